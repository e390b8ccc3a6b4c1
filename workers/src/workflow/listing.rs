//! Whom or what a run acts on: one page of the campaign's source, without what has been acted on before.

use chrono::TimeDelta;
use domain::bot::{Bot, BotCommand, BotEvent, FailureClass, Verdict};
use domain::campaign::{HashtagTab, Module, Source};
use serde::{Deserialize, Serialize};

use super::campaign_run::{Run, Scheme, waits};
use crate::action::not_now;
use crate::answer::{Answer, NotNow};
use crate::connection_test::{self, Gatekeeping};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::Link;
use crate::platform::{Cursor, FollowState, Media, Page, PlatformError, Tab, UserPk};

/// Most media of one page.
const LONGEST_PAGE: usize = 50;
/// How long a list waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);

/// One page of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// What can be acted on.
    pub(crate) found: Vec<String>,
    /// How much there was.
    pub(crate) saw: usize,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
}

/// Why a page is not read to its end.
enum Broken {
    NotNow(NotNow),
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

/// Reads a page of the run's source, of which `missing` targets are wanted.
pub(crate) async fn page(
    errand: &Errand,
    run: Run,
    scheme: &Scheme,
    missing: usize,
    cursor: Option<String>,
) -> Result<Answer<Listed>, Fault> {
    let bot = errand.load().await?;
    if let Some(not_now) = not_now(&bot, run.enablement) {
        return Ok(not_now.into());
    }
    if let Some(not_now) = waits(&bot, scheme.definition.module.action(), scheme.mode, errand.now()) {
        return Ok(not_now.into());
    }
    let link = match connection_test::gate(errand, &bot).await? {
        Gatekeeping::Open(link) => link,
        Gatekeeping::Closed(not_now) => return Ok(not_now.into()),
    };
    let search = Search { errand, link: &link, bot: &bot, run, scheme };
    match search.read(missing, cursor.and_then(Cursor::new).as_ref()).await {
        Ok(listed) => Ok(Answer::Done(listed)),
        Err(Broken::NotNow(not_now)) => Ok(not_now.into()),
        Err(Broken::Failed(error)) => failed(errand, scheme, error).await,
        Err(Broken::Fault(fault)) => Err(fault),
    }
}

/// The page could not be read.
async fn failed(errand: &Errand, scheme: &Scheme, error: PlatformError) -> Result<Answer<Listed>, Fault> {
    let (class, code) = (error.class, error.kind.code());
    tracing::warn!(class = class.as_str(), code, "the targets of a run could not be listed");
    let kind = match class {
        FailureClass::ContractBroken | FailureClass::Unknown => Some(scheme.definition.module.action()),
        _ => None,
    };
    if !matches!(class, FailureClass::Transport | FailureClass::SessionLost | FailureClass::SkipTarget) {
        let trouble = BotCommand::ReportTrouble { class, code: code.to_owned(), kind, at: errand.now() };
        errand.tell_if_allowed(errand.in_this_claim("list.trouble"), trouble).await?;
    }
    match class {
        FailureClass::Transport | FailureClass::SessionLost => match error.retry_after {
            Some(pause) => Ok(NotNow::wait(errand.hands.after(pause), code).into()),
            None => Err(Fault::Platform(error)),
        },
        FailureClass::SlowDown | FailureClass::ActionBlocked => {
            let bot = errand.load().await?;
            let until = bot.slowed_down_until(errand.now()).unwrap_or(errand.now() + LONG_WAIT);
            Ok(NotNow::wait(until, "SLOW_DOWN").into())
        }
        FailureClass::PersonNeeded | FailureClass::LoginEnded => Ok(NotNow::ended("NOT_RUNNING").into()),
        FailureClass::SkipTarget | FailureClass::ContractBroken | FailureClass::Unknown => {
            Ok(NotNow::ended(code).into())
        }
    }
}

struct Search<'a> {
    errand: &'a Errand,
    link: &'a Link<'a>,
    bot: &'a Bot,
    run: Run,
    scheme: &'a Scheme,
}

impl Search<'_> {
    async fn read(&self, missing: usize, cursor: Option<&Cursor>) -> Result<Listed, Broken> {
        self.reserve("page", 1).await?;
        let page = self.page(missing, cursor).await?;
        let candidates: Vec<String> = page.items.iter().filter_map(|media| self.candidate(media)).collect();
        let found = self.usable(candidates).await?;
        Ok(Listed { found, saw: page.items.len(), next: page.next.map(|next| next.as_str().to_owned()) })
    }

    async fn page(&self, missing: usize, cursor: Option<&Cursor>) -> Result<Page<Media>, PlatformError> {
        let platform = self.link.platform();
        let amount = u32::try_from(missing.clamp(1, LONGEST_PAGE)).unwrap_or(1);
        match &self.scheme.definition.source {
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
            // Not listed yet.
            _ => Ok(Page { items: Vec::new(), next: None }),
        }
    }

    /// The target in a media, unless it is ours, has been acted on, or is known.
    fn candidate(&self, media: &Media) -> Option<String> {
        let owner = media.user.as_ref().map(|user| user.pk.as_str());
        if owner.is_some() && owner == self.link.own_pk.as_deref() {
            return None;
        }
        let target = match self.scheme.definition.module {
            Module::Like if media.has_liked == Some(true) => return None,
            Module::Like => media.id().as_str().to_owned(),
            Module::Follow => owner?.to_owned(),
            // Not listed yet.
            _ => return None,
        };
        let action_id = self.run.action_id(self.scheme, &target);
        (!self.bot.knows_action(action_id)).then_some(target)
    }

    /// The candidates without those that need no action.
    async fn usable(&self, candidates: Vec<String>) -> Result<Vec<String>, Broken> {
        if self.scheme.definition.module != Module::Follow || candidates.is_empty() {
            return Ok(candidates);
        }
        let platform = self.link.platform();
        let users: Vec<UserPk> = candidates.iter().filter_map(|pk| pk.parse().ok()).collect();
        let mut usable = Vec::new();
        if platform.capabilities().bulk_relationships {
            self.reserve("friendships", 1).await?;
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
            self.reserve(&format!("friendship:{number}"), 1).await?;
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
                Some(BotEvent::RequestsSuppressed { frees_at, window, .. }) => Err(Broken::NotNow(NotNow::Wait {
                    until: frees_at.unwrap_or(now + LONG_WAIT),
                    reason: "REQUESTS_SUPPRESSED".to_owned(),
                    counter: Some("REQUEST".to_owned()),
                    window: window.map(|window| window.as_str().to_owned()),
                })),
                _ => Ok(()),
            },
            // The next look at the state says what becomes of the run.
            Told::Refused(_) => Err(Broken::NotNow(NotNow::wait(now, "BOT_MOVED_ON"))),
        }
    }
}

const fn tab_of(tab: HashtagTab) -> Tab {
    match tab {
        HashtagTab::Top => Tab::Top,
        HashtagTab::Recent => Tab::Recent,
    }
}
