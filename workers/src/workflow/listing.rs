//! One page of a campaign's source: what can be acted on, what has to be looked at first, and why the rest is left alone.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::campaign::unfollow::{self, may_unfollow};
use domain::campaign::{Facts, HashtagTab, Judgement, Module, Person, SkipReason, Source};
use domain::ids::ActionId;
use projections::actions::people::{Follows, Since};
use serde::{Deserialize, Serialize};

use super::campaign_run::{Run, Scheme};
use super::candidate::{self, Candidate, Found, Skips, examines};
use super::reading::{self, Broken, Reading};
use crate::answer::Answer;
use crate::errand::Errand;
use crate::fault::Fault;
use crate::platform::{Cursor, FollowState, LocationPk, Media, MediaId, Page, PlatformError, Tab, UserPk, UserShort};

/// Most entries of one page.
const LONGEST_PAGE: usize = 50;

/// One page of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// What can be acted on.
    pub(crate) found: Vec<Found>,
    /// How much there was.
    pub(crate) saw: usize,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    /// Who and what was left alone.
    #[serde(default, skip_serializing_if = "Skips::is_empty")]
    pub(crate) skipped: Skips,
}

/// What a source gives.
struct Given {
    candidates: Vec<Candidate>,
    saw: usize,
    next: Option<String>,
    followed: HashMap<String, DateTime<Utc>>,
}

/// Whether the platform's number of a source has to be looked up first.
pub(crate) const fn needs_number(source: &Source) -> bool {
    matches!(
        source,
        Source::Place { .. } | Source::Followers { of: Person::Name(_) } | Source::Following { of: Person::Name(_) }
    )
}

/// Looks up the platform's number of a source.
pub(crate) async fn number(errand: &Errand, run: Run, scheme: &Scheme) -> Result<Answer<String>, Fault> {
    let nobody = || "SOURCE_NOT_FOUND".to_owned();
    reading::read(errand, run, scheme, async |reading: &Reading<'_>| {
        let platform = reading.link.platform();
        reading.reserve("number", 1).await?;
        match &scheme.definition.source {
            Source::Place { query, .. } => {
                let found = reading
                    .link
                    .call(|call, session| async move { platform.search_places(call, &session, query, None).await })
                    .await?;
                let number = found.into_iter().find_map(|place| place.pk);
                number.map(|number| number.to_string()).ok_or_else(|| Broken::ended(&nobody()))
            }
            Source::Followers { of: Person::Name(name) } | Source::Following { of: Person::Name(name) } => {
                let user = reading
                    .link
                    .call(|call, session| async move { platform.user_by_name(call, &session, name).await })
                    .await?;
                Ok(user.pk.to_string())
            }
            _ => Err(Broken::ended(&nobody())),
        }
    })
    .await
}

/// Reads a page of the run's source, of which `missing` are wanted. `number` is what was looked up before.
pub(crate) async fn page(
    errand: &Errand,
    run: Run,
    scheme: &Scheme,
    number: Option<&str>,
    missing: usize,
    cursor: Option<String>,
) -> Result<Answer<Listed>, Fault> {
    reading::read(errand, run, scheme, async |reading: &Reading<'_>| {
        let given = reading.given(number, missing, cursor).await?;
        let (saw, next) = (given.saw, given.next.clone());
        let mut skipped = Skips::new();
        let mut found = reading.sift(given, &mut skipped).await?;
        // A list that comes whole may be longer than a history should be.
        found.truncate(missing + LONGEST_PAGE);
        Ok(Listed { found, saw, next, skipped })
    })
    .await
}

impl Reading<'_> {
    async fn given(&self, number: Option<&str>, missing: usize, cursor: Option<String>) -> Result<Given, Broken> {
        match &self.scheme.definition.source {
            Source::List { people } => Ok(of_list(people, cursor.as_deref())),
            Source::Followed => self.followed(cursor.as_deref()).await,
            source if source.gives_posts() => {
                self.reserve("page", 1).await?;
                let page = self.posts(source, number, missing, cursor.and_then(Cursor::new).as_ref()).await?;
                let module = self.scheme.definition.module;
                let candidates = page.items.iter().filter_map(|media| Candidate::of_media(module, media)).collect();
                Ok(Given::of(candidates, page.items.len(), page.next.map(|next| next.as_str().to_owned())))
            }
            source => {
                self.reserve("page", 1).await?;
                let page = self.people(source, number, missing, cursor.and_then(Cursor::new).as_ref()).await?;
                let candidates = page.items.iter().map(candidate::facts).map(Candidate::of_person).collect();
                Ok(Given::of(candidates, page.items.len(), page.next.map(|next| next.as_str().to_owned())))
            }
        }
    }

    async fn posts(
        &self,
        source: &Source,
        number: Option<&str>,
        missing: usize,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError> {
        let platform = self.link.platform();
        let amount = u32::try_from(missing.clamp(1, LONGEST_PAGE)).unwrap_or(1);
        let (place, tab): (LocationPk, Tab) = match source {
            Source::Hashtag { name, tab } => {
                let tab = tab_of(*tab);
                return self
                    .link
                    .call(|call, session| async move {
                        platform.hashtag_medias(call, &session, name, tab, amount, cursor).await
                    })
                    .await;
            }
            Source::Location { location_pk, tab } => ((*location_pk).into(), tab_of(*tab)),
            Source::Place { tab, .. } => (parsed(number, "GET /location/media")?, tab_of(*tab)),
            _ => return Ok(Page { items: Vec::new(), next: None }),
        };
        let place = &place;
        self.link
            .call(|call, session| async move {
                platform.location_medias(call, &session, place, tab, amount, cursor).await
            })
            .await
    }

    async fn people(
        &self,
        source: &Source,
        number: Option<&str>,
        missing: usize,
        cursor: Option<&Cursor>,
    ) -> Result<Page<UserShort>, PlatformError> {
        let platform = self.link.platform();
        let amount = u32::try_from(missing.clamp(1, LONGEST_PAGE)).unwrap_or(1);
        match source {
            Source::Followers { of } => {
                let user = &person(of, number)?;
                self.link
                    .call(|call, session| async move { platform.followers(call, &session, user, amount, cursor).await })
                    .await
            }
            Source::Following { of } => {
                let user = &person(of, number)?;
                self.link
                    .call(|call, session| async move { platform.following(call, &session, user, amount, cursor).await })
                    .await
            }
            Source::Likers { of } => {
                let media = &parsed::<MediaId>(Some(of.as_str()), "GET /media/likers")?;
                let items = self
                    .link
                    .call(|call, session| async move { platform.media_likers(call, &session, media).await })
                    .await?;
                Ok(Page { items, next: None })
            }
            _ => Ok(Page { items: Vec::new(), next: None }),
        }
    }

    /// Whom the product followed, the longest ago first; those who may not be unfollowed yet are none of an unfollower's.
    async fn followed(&self, cursor: Option<&str>) -> Result<Given, Broken> {
        let errand = self.errand;
        let until = (self.scheme.definition.module == Module::Unfollow).then(|| errand.now() - unfollow::WAIT);
        let limit = i64::try_from(LONGEST_PAGE).unwrap_or(i64::MAX);
        let asked = Follows { people: None, until, after: cursor.and_then(since), limit };
        let follows = errand.hands.acquaintances.followed(errand.bot_id(), asked).await?;
        let is_full = follows.len() == LONGEST_PAGE;
        let next = follows.last().filter(|_| is_full).map(|last| format!("{} {}", last.at.to_rfc3339(), last.person));
        let number = |since: &Since| Facts { number: since.person.clone(), ..Facts::default() };
        let candidates = follows.iter().map(number).map(Candidate::of_person).collect();
        let followed = follows.iter().map(|since| (since.person.clone(), since.at)).collect();
        Ok(Given { followed, ..Given::of(candidates, follows.len(), next) })
    }

    /// Who and what is worth a closer look, or an action at once.
    async fn sift(&self, given: Given, skipped: &mut Skips) -> Result<Vec<Found>, Broken> {
        let Given { candidates, followed, .. } = given;
        let (definition, now) = (&self.scheme.definition, self.errand.now());
        let numbers: Vec<String> = candidates.iter().map(|candidate| candidate.person.number.clone()).collect();
        let acquaintances = self.errand.hands.acquaintances.as_ref();
        let met = match definition.filters.met {
            Some(_) => acquaintances.met(self.errand.bot_id(), &numbers).await?,
            None => HashMap::new(),
        };
        let followed = if definition.module == Module::Unfollow && followed.is_empty() {
            let asked = Follows { people: Some(&numbers), limit: i64::from(u32::MAX), ..Follows::default() };
            let follows = acquaintances.followed(self.errand.bot_id(), asked).await?;
            follows.into_iter().map(|since| (since.person, since.at)).collect()
        } else {
            followed
        };
        let begun = self.begun(&candidates).await?;
        let mut found = Vec::new();
        for candidate in candidates {
            let number = candidate.person.number.as_str();
            let judgement = if begun.contains(&candidate.key()) {
                Judgement::Skip(SkipReason::ActedBefore)
            } else {
                self.objections(&candidate.person, candidate.objection).and_then(|| match definition.module {
                    // Whom a list names by name is looked up when its turn comes.
                    _ if number.is_empty() => Judgement::Pass,
                    Module::Unfollow => {
                        let followed_at = followed.get(number).copied();
                        may_unfollow(&definition.filters, &candidate.person, followed_at, None, now)
                    }
                    _ => definition.filters.judge(&candidate.person, met.get(number).copied(), now),
                })
            };
            match (judgement, candidate.target(definition.module)) {
                (Judgement::Skip(reason), _) => candidate::count(skipped, reason),
                (Judgement::Pass, Some(target)) if !examines(definition) => {
                    found.push(Found::Target(target.to_owned()));
                }
                _ => found.push(Found::Candidate(Box::new(candidate))),
            }
        }
        self.not_followed(found, skipped).await
    }

    /// What stands against anybody, whatever the filters.
    pub(crate) fn objections(&self, person: &Facts, of_post: Option<SkipReason>) -> Judgement {
        let number = person.number.as_str();
        let is_own = self.link.own_pk.as_deref().is_some_and(|own| own == number);
        let is_stopped = self.scheme.definition.module != Module::Unfollow && self.bot.has_stopped(number);
        let of_post = of_post.map_or(Judgement::Pass, Judgement::Skip);
        Judgement::skip_if(is_own, SkipReason::OwnAccount)
            .and_then(|| Judgement::skip_if(is_stopped, SkipReason::ContactStopped))
            .and_then(|| of_post)
    }

    /// Which of the candidates have been acted on: the bot knows the latest, its books all of them.
    async fn begun(&self, candidates: &[Candidate]) -> Result<Vec<String>, Fault> {
        let module = self.scheme.definition.module;
        let ids: Vec<(String, ActionId)> = candidates
            .iter()
            .filter_map(|candidate| Some((candidate.key(), self.run.action_id(self.scheme, candidate.target(module)?))))
            .collect();
        let asked: Vec<ActionId> = ids.iter().map(|(_, action)| *action).collect();
        let recorded = self.errand.hands.acquaintances.begun(&asked).await?;
        let is_begun = |action: &ActionId| self.bot.knows_action(*action) || recorded.contains(action);
        Ok(ids.into_iter().filter(|(_, action)| is_begun(action)).map(|(key, _)| key).collect())
    }

    /// Who can be followed: not whom the account follows already, or has asked.
    async fn not_followed(&self, found: Vec<Found>, skipped: &mut Skips) -> Result<Vec<Found>, Broken> {
        if self.scheme.definition.module != Module::Follow {
            return Ok(found);
        }
        let number = |found: &Found| match found {
            Found::Target(target) => target.parse::<UserPk>().ok(),
            Found::Candidate(candidate) => candidate.person.number.parse().ok(),
        };
        let users: Vec<UserPk> = found.iter().filter_map(number).collect();
        let free = self.free(&users).await?;
        let mut kept = Vec::new();
        for found in found {
            if number(&found).is_none_or(|user| free.contains(&user)) {
                kept.push(found);
            } else {
                candidate::count(skipped, SkipReason::AlreadyFollowing);
            }
        }
        Ok(kept)
    }

    async fn free(&self, users: &[UserPk]) -> Result<Vec<UserPk>, Broken> {
        let platform = self.link.platform();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        if platform.capabilities().bulk_relationships {
            self.reserve("friendships", 1).await?;
            let known = self
                .link
                .call(|call, session| async move { platform.friendships(call, &session, users).await })
                .await?;
            let free =
                |of: &crate::platform::RelationshipOf| of.relationship.follow_state() == FollowState::NotFollowing;
            return Ok(known.into_iter().filter(free).map(|of| of.user_id).collect());
        }
        let mut free = Vec::new();
        for (number, user) in users.iter().enumerate() {
            self.reserve(&format!("friendship:{number}"), 1).await?;
            let known =
                self.link.call(|call, session| async move { platform.friendship(call, &session, user).await }).await?;
            if known.follow_state() == FollowState::NotFollowing {
                free.push(user.clone());
            }
        }
        Ok(free)
    }
}

impl Given {
    fn of(candidates: Vec<Candidate>, saw: usize, next: Option<String>) -> Self {
        Self { candidates, saw, next, followed: HashMap::new() }
    }
}

/// The next people of an uploaded list.
fn of_list(people: &[Person], cursor: Option<&str>) -> Given {
    let start = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0_usize).min(people.len());
    let end = people.len().min(start + LONGEST_PAGE);
    let facts = |person: &Person| match person {
        Person::Number(number) => Facts { number: number.clone(), ..Facts::default() },
        Person::Name(name) => Facts { username: Some(name.clone()), ..Facts::default() },
    };
    let candidates: Vec<Candidate> = people[start..end].iter().map(facts).map(Candidate::of_person).collect();
    let next = (end < people.len()).then(|| end.to_string());
    Given::of(candidates, end - start, next)
}

/// The last of a page of follows.
fn since(cursor: &str) -> Option<Since> {
    let (at, person) = cursor.split_once(' ')?;
    Some(Since { person: person.to_owned(), at: at.parse().ok()? })
}

fn person(of: &Person, number: Option<&str>) -> Result<UserPk, PlatformError> {
    match of {
        Person::Number(own) => parsed(Some(own), "GET /user/followers"),
        Person::Name(_) => parsed(number, "GET /user/followers"),
    }
}

fn parsed<T: std::str::FromStr>(text: Option<&str>, call: &'static str) -> Result<T, PlatformError> {
    let invalid = || PlatformError::new(crate::platform::PlatformErrorKind::RequestInvalid, call);
    text.and_then(|text| text.parse().ok()).ok_or_else(invalid)
}

const fn tab_of(tab: HashtagTab) -> Tab {
    match tab {
        HashtagTab::Top => Tab::Top,
        HashtagTab::Recent => Tab::Recent,
    }
}
