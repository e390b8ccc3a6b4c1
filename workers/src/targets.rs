//! Whom or what a run acts on: read from the campaign's source, page by page, without what has been acted on before.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{ActionKind, Bot, BotCommand, BotEvent, Mode, Verdict};
use domain::campaign::{Definition, HashtagTab, Module, Source};
use domain::ids::{ActionId, derive};

use crate::campaign_run::Run;
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::Link;
use crate::platform::{Cursor, FollowState, Media, Page, PlatformError, Tab, UserPk};

/// Most media of one page.
const LONGEST_PAGE: usize = 50;
/// How long a list waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);

/// What was found.
pub(crate) enum Listing {
    Found(Vec<String>),
    /// The source has nothing at all.
    Empty,
    /// The account has made all the calls that it may for now.
    Wait(DateTime<Utc>),
    Failed(PlatformError),
}

/// Why a list ends early.
enum Broken {
    Wait(DateTime<Utc>),
    Failed(PlatformError),
    Fault(Fault),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<PlatformError> for Broken {
    fn from(error: PlatformError) -> Self {
        Self::Failed(error)
    }
}

/// The id of the action on a target: in earnest the same in every run of the campaign, so that none is done twice.
pub(crate) fn action_id(run: Run, mode: Mode, kind: ActionKind, target: &str) -> ActionId {
    let (campaign, run_id) = (run.campaign.to_string(), run.id.to_string());
    let mut parts = vec!["action", &campaign, mode.as_str(), kind.as_str(), target];
    if mode == Mode::DryRun {
        parts.push(&run_id);
    }
    ActionId::from_uuid(derive(&parts))
}

/// Lists the targets of a run.
pub(crate) async fn list(
    errand: &Errand,
    link: &Link<'_>,
    bot: &Bot,
    run: Run,
    definition: &Definition,
    mode: Mode,
) -> Result<Listing, Fault> {
    let search = Search { errand, link, bot, run, definition, mode };
    match search.all().await {
        Ok(listing) => Ok(listing),
        Err(Broken::Wait(until)) => Ok(Listing::Wait(until)),
        Err(Broken::Failed(error)) => Ok(Listing::Failed(error)),
        Err(Broken::Fault(fault)) => Err(fault),
    }
}

struct Search<'a> {
    errand: &'a Errand,
    link: &'a Link<'a>,
    bot: &'a Bot,
    run: Run,
    definition: &'a Definition,
    mode: Mode,
}

impl Search<'_> {
    async fn all(&self) -> Result<Listing, Broken> {
        let wanted = usize::try_from(self.definition.max_targets).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut saw_any = false;
        let mut cursor: Option<Cursor> = None;
        for number in 0..self.errand.engine.config.source_pages {
            self.reserve(&format!("page:{number}"), 1).await?;
            let page = self.page(wanted - found.len(), cursor.as_ref()).await?;
            saw_any |= !page.items.is_empty();
            let candidates: Vec<String> = page
                .items
                .iter()
                .filter_map(|media| self.candidate(media))
                .filter(|it| seen.insert(it.clone()))
                .collect();
            let usable = self.usable(number, candidates).await?;
            found.extend(usable.into_iter().take(wanted - found.len()));
            cursor = page.next;
            if cursor.is_none() || found.len() == wanted {
                break;
            }
        }
        Ok(if saw_any { Listing::Found(found) } else { Listing::Empty })
    }

    async fn page(&self, missing: usize, cursor: Option<&Cursor>) -> Result<Page<Media>, PlatformError> {
        let platform = self.link.platform();
        let amount = u32::try_from(missing.clamp(1, LONGEST_PAGE)).unwrap_or(1);
        match &self.definition.source {
            Source::Hashtag { name, tab } => {
                let tab = tab_of(*tab);
                self.link
                    .call(|call, session| async move {
                        platform.hashtag_medias(call, &session, name, tab, amount, cursor).await
                    })
                    .await
            }
            Source::Location { location_pk, tab } => {
                let (place, tab) = (&(*location_pk).into(), tab_of(*tab));
                self.link
                    .call(|call, session| async move {
                        platform.location_medias(call, &session, place, tab, amount, cursor).await
                    })
                    .await
            }
        }
    }

    /// The target in a media, unless it is ours, has been acted on, or is known.
    fn candidate(&self, media: &Media) -> Option<String> {
        let owner = media.user.as_ref().map(|user| user.pk.as_str());
        if owner.is_some() && owner == self.link.own_pk.as_deref() {
            return None;
        }
        let target = match self.definition.module {
            Module::Like if media.has_liked == Some(true) => return None,
            Module::Like => media.id().as_str().to_owned(),
            Module::Follow => owner?.to_owned(),
        };
        let kind = self.definition.module.action();
        (!self.bot.knows_action(action_id(self.run, self.mode, kind, &target))).then_some(target)
    }

    /// The candidates without those that need no action.
    async fn usable(&self, page: u32, candidates: Vec<String>) -> Result<Vec<String>, Broken> {
        if self.definition.module != Module::Follow || candidates.is_empty() {
            return Ok(candidates);
        }
        let platform = self.link.platform();
        let users: Vec<UserPk> = candidates.iter().filter_map(|pk| pk.parse().ok()).collect();
        let mut usable = Vec::new();
        if platform.capabilities().bulk_relationships {
            self.reserve(&format!("friendships:{page}"), 1).await?;
            let users = &users;
            let known = self
                .link
                .call(|call, session| async move { platform.friendships(call, &session, users).await })
                .await?;
            let free = |pk: &UserPk| {
                known.iter().any(|of| of.user_id == *pk && of.relationship.follow_state() == FollowState::NotFollowing)
            };
            usable.extend(users.iter().filter(|pk| free(pk)).map(ToString::to_string));
            return Ok(usable);
        }
        for (number, user) in users.iter().enumerate() {
            self.reserve(&format!("friendship:{page}:{number}"), 1).await?;
            let known =
                self.link.call(|call, session| async move { platform.friendship(call, &session, user).await }).await?;
            if known.follow_state() == FollowState::NotFollowing {
                usable.push(user.to_string());
            }
        }
        Ok(usable)
    }

    /// Reserves calls inside the limits; a wait is recorded once.
    async fn reserve(&self, step: &str, count: u32) -> Result<(), Broken> {
        let errand = self.errand;
        let now = errand.now();
        let bot = errand.load().await?;
        let request = match bot.request_verdict(count, now) {
            Verdict::Free => errand.in_this_claim(step),
            Verdict::Wait(wait) => {
                let until = wait.frees_at.map_or(0, |at| at.timestamp_micros());
                errand.once(&format!("wait:{}:{until}", wait.reason))
            }
        };
        let purpose = "list_targets".to_owned();
        let reserve = BotCommand::ReserveRequests { purpose, count, automated: true, at: now };
        match errand.tell(request, reserve).await? {
            Told::Done(executed) => match executed.events.first() {
                Some(BotEvent::RequestsSuppressed { frees_at, .. }) => {
                    Err(Broken::Wait(frees_at.unwrap_or(now + LONG_WAIT)))
                }
                _ => Ok(()),
            },
            // The next look at the state says what becomes of the run.
            Told::Refused(_) => Err(Broken::Wait(now)),
        }
    }
}

const fn tab_of(tab: HashtagTab) -> Tab {
    match tab {
        HashtagTab::Top => Tab::Top,
        HashtagTab::Recent => Tab::Recent,
    }
}
