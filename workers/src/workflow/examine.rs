//! A closer look at one candidate when its turn has come: whether to act on it, on what exactly, and with which words.

use std::collections::HashSet;

use domain::bot::{BotCommand, FailureClass, MOST_ALIKE, Mode, Verdict, WordsId};
use domain::campaign::direct::{self, Conversation};
use domain::campaign::template::{RenderError, Template};
use domain::campaign::unfollow::{Standing, may_unfollow};
use domain::campaign::{Facts, Judgement, Module, Read, SkipReason};
use domain::ids::ActionId;
use projections::actions::people::Follows;
use serde::{Deserialize, Serialize};

use super::campaign_run::{Run, Scheme};
use super::candidate::{self, Candidate};
use super::reading::{self, Broken, Reading};
use crate::answer::{Answer, NotNow};
use crate::errand::Errand;
use crate::fault::Fault;
use crate::look;
use crate::perform::requests_of;
use crate::platform::{FollowState, Media, PlatformError, PlatformErrorKind, Relationship, UserPk};

/// How long an action waits that no passing of time frees by itself.
const LONG_WAIT: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// Messages of a conversation that are looked at for stop words.
const NEWEST_MESSAGES: u32 = 50;
/// The request of a look that ends all contact.
const STOP_CONTACT: &str = "stop_contact";
/// Posts of a person among which one is chosen.
const NEWEST_POSTS: u32 = 6;
/// Other variants that are tried when a text went to too many people.
const MOST_ROLLS: u64 = 16;

/// What a closer look came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Examined {
    /// Act on this; on nothing if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// With these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Why it is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skip: Option<SkipReason>,
}

impl Examined {
    const fn skip(reason: SkipReason) -> Self {
        Self { target: None, text: None, skip: Some(reason) }
    }
}

/// What a judgement may read by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    None,
    Relationship,
}

/// Why the look ends before an answer.
enum Stop {
    Skip(SkipReason),
    Broken(Broken),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.into())
    }
}

/// Who is not there any more, or is not shown, is no reason to end a run.
impl From<PlatformError> for Stop {
    fn from(error: PlatformError) -> Self {
        match error.class {
            FailureClass::SkipTarget if error.kind == PlatformErrorKind::PrivateAccount => {
                Self::Skip(SkipReason::Private)
            }
            FailureClass::SkipTarget => Self::Skip(SkipReason::NotFound),
            _ => Self::Broken(error.into()),
        }
    }
}

fn passed(judgement: Judgement) -> Result<(), Stop> {
    match judgement {
        Judgement::Pass => Ok(()),
        Judgement::Skip(reason) => Err(Stop::Skip(reason)),
        // Everything was read that can be.
        Judgement::Needs(_) => Err(Stop::Skip(SkipReason::NotKnown)),
    }
}

/// Looks at `candidate`, once the account may act. `said` is what this run has said to others.
pub(crate) async fn examine(
    errand: &Errand,
    run: Run,
    scheme: &Scheme,
    candidate: &Candidate,
    said: &[WordsId],
) -> Result<Answer<Examined>, Fault> {
    reading::read(errand, run, scheme, async |reading: &Reading<'_>| {
        let kind = scheme.definition.module.action();
        if let Verdict::Wait(wait) = reading.bot.verdict(kind, scheme.mode, requests_of(kind), errand.now()) {
            // What is seen now would be old by then.
            return Err(Broken::NotNow(NotNow::of_wait(&wait, errand.now() + LONG_WAIT)));
        }
        match reading.look_at(candidate, said).await {
            Ok(examined) => Ok(examined),
            Err(Stop::Skip(reason)) => Ok(Examined::skip(reason)),
            Err(Stop::Broken(broken)) => Err(broken),
        }
    })
    .await
}

impl Reading<'_> {
    async fn look_at(&self, candidate: &Candidate, said: &[WordsId]) -> Result<Examined, Stop> {
        let definition = &self.scheme.definition;
        let template: Option<Template> = definition.text.as_deref().and_then(|text| text.parse().ok());
        let mut facts = candidate.person.clone();
        let wants_page = template.as_ref().is_some_and(Template::needs_profile);
        if facts.number.is_empty()
            || wants_page
            || self.judge(&facts, Reads::None).await? == Judgement::Needs(Read::Profile)
        {
            facts = self.profile(&facts).await?;
        }
        let objection = self.objections(&facts, candidate.objection);
        if objection == Judgement::Skip(SkipReason::ContactStopped) && self.heard_stop().await? {
            return Err(Stop::Skip(SkipReason::SaidStop));
        }
        passed(objection)?;
        passed(self.judge(&facts, Reads::Relationship).await?)?;
        let target = match definition.module {
            Module::Like | Module::Comment => match &candidate.post {
                Some(post) => post.clone(),
                None => self.post_of(&facts).await?,
            },
            Module::StorySee | Module::StoryLike => self.story_of(&facts).await?,
            Module::Follow => self.followable(candidate, &facts).await?,
            // Judged with its relationship already.
            Module::Unfollow => facts.number.clone(),
            Module::Dm => self.open_to_words(&facts).await?,
        };
        if !self.unbegun(std::slice::from_ref(&target)).await?.contains(&target) {
            return Err(Stop::Skip(SkipReason::ActedBefore));
        }
        let text = match &template {
            Some(template) => {
                let action = self.run.action_id(self.scheme, &target);
                Some(words(template, &facts, action, |text| self.times_said(text, said))?)
            }
            None => None,
        };
        Ok(Examined { target: Some(target), text, skip: None })
    }

    /// How many people were told `text`: in this run, and when it is in earnest, by the bot lately.
    fn times_said(&self, text: &str, said: &[WordsId]) -> u32 {
        let words = WordsId::of(text);
        let here = said.iter().filter(|other| **other == words).count();
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        match self.scheme.mode {
            Mode::Live => here.max(self.bot.times_said(words, self.errand.now())),
            Mode::DryRun => here,
        }
    }

    /// What the filters say, or the rules of unfollowing, with what is known by now.
    async fn judge(&self, facts: &Facts, reads: Reads) -> Result<Judgement, Stop> {
        let (definition, now) = (&self.scheme.definition, self.errand.now());
        let acquaintances = self.errand.hands.acquaintances.as_ref();
        if facts.number.is_empty() {
            return Ok(Judgement::Needs(Read::Profile));
        }
        let number = std::slice::from_ref(&facts.number);
        if definition.module != Module::Unfollow {
            let met = match definition.filters.met {
                Some(_) => acquaintances.met(self.errand.bot_id(), number).await?.remove(&facts.number),
                None => None,
            };
            return Ok(definition.filters.judge(facts, met, now));
        }
        let asked = Follows { people: Some(number), limit: 1, ..Follows::default() };
        let follows = acquaintances.followed(self.errand.bot_id(), asked).await?;
        let followed_at = follows.first().map(|since| since.at);
        let judgement = may_unfollow(&definition.filters, facts, followed_at, None, now);
        if judgement != Judgement::Needs(Read::Relationship) || reads == Reads::None {
            return Ok(judgement);
        }
        let relationship = self.relationship(facts).await?;
        let we_follow = match relationship.follow_state() {
            FollowState::Following | FollowState::Requested => Some(true),
            FollowState::NotFollowing => Some(false),
            FollowState::Unclear => None,
        };
        let standing = Standing { we_follow, follows_us: relationship.followed_by };
        Ok(may_unfollow(&definition.filters, facts, followed_at, Some(standing), now))
    }

    async fn profile(&self, facts: &Facts) -> Result<Facts, Stop> {
        let platform = self.link.platform();
        self.reserve("profile", 1).await?;
        let found = if facts.number.is_empty() {
            let name = facts.username.as_deref().unwrap_or_default();
            self.link.call(|call, session| async move { platform.user_by_name(call, &session, name).await }).await?
        } else {
            let user = &number(facts)?;
            self.link.call(|call, session| async move { platform.user(call, &session, user).await }).await?
        };
        Ok(candidate::whole_facts(&found))
    }

    async fn relationship(&self, facts: &Facts) -> Result<Relationship, Stop> {
        let (platform, user) = (self.link.platform(), &number(facts)?);
        self.reserve("friendship", 1).await?;
        Ok(self.link.call(|call, session| async move { platform.friendship(call, &session, user).await }).await?)
    }

    /// Whom a list named by name was not among those that were asked about at once.
    async fn followable(&self, candidate: &Candidate, facts: &Facts) -> Result<String, Stop> {
        if candidate.person.number.is_empty() {
            match self.relationship(facts).await?.follow_state() {
                FollowState::NotFollowing => {}
                FollowState::Following | FollowState::Requested => {
                    return Err(Stop::Skip(SkipReason::AlreadyFollowing));
                }
                FollowState::Unclear => return Err(Stop::Skip(SkipReason::NotKnown)),
            }
        }
        Ok(facts.number.clone())
    }

    /// The newest post of a person that can be acted on.
    async fn post_of(&self, facts: &Facts) -> Result<String, Stop> {
        let (platform, user) = (self.link.platform(), &number(facts)?);
        self.reserve("posts", 1).await?;
        let page = self
            .link
            .call(|call, session| async move { platform.user_medias(call, &session, user, NEWEST_POSTS, None).await })
            .await?;
        let module = self.scheme.definition.module;
        let is_open = |media: &&Media| match module {
            Module::Comment => media.comments_disabled != Some(true),
            _ => media.has_liked != Some(true),
        };
        let posts: Vec<String> =
            page.items.iter().filter(is_open).map(|media| media.id().as_str().to_owned()).collect();
        let unbegun = self.unbegun(&posts).await?;
        posts.into_iter().find(|post| unbegun.contains(post)).ok_or(Stop::Skip(SkipReason::NoPost))
    }

    /// The newest story of a person that was not acted on.
    async fn story_of(&self, facts: &Facts) -> Result<String, Stop> {
        let (platform, user) = (self.link.platform(), &number(facts)?);
        self.reserve("stories", 1).await?;
        let mut stories =
            self.link.call(|call, session| async move { platform.user_stories(call, &session, user).await }).await?;
        stories.sort_by_key(|story| std::cmp::Reverse(story.taken_at));
        let ids: Vec<String> = stories.iter().filter_map(|story| Some(story.id()?.as_str().to_owned())).collect();
        let unbegun = self.unbegun(&ids).await?;
        ids.into_iter().find(|story| unbegun.contains(story)).ok_or(Stop::Skip(SkipReason::NoStory))
    }

    /// Somebody who may be written to. Who asked for no more is remembered.
    async fn open_to_words(&self, facts: &Facts) -> Result<String, Stop> {
        let own = &self.scheme.definition.stop_words;
        let conversation = self.conversation(facts).await?;
        if let Some(word) = direct::stop_word(&conversation, own) {
            let (person, reason, at) = (facts.number.clone(), word.to_owned(), self.errand.now());
            let stop = BotCommand::StopContact { person, reason, at };
            self.errand.tell_if_allowed(self.errand.once(STOP_CONTACT), stop).await?;
        }
        let mut judgement = direct::may_write(Some(&conversation), None, own);
        if judgement == Judgement::Needs(Read::Relationship) {
            let follows_us = self.relationship(facts).await?.followed_by;
            judgement = direct::may_write(Some(&conversation), Some(follows_us), own);
        }
        passed(judgement)?;
        Ok(facts.number.clone())
    }

    /// Whether it was this look that found the stop word, before it broke off.
    async fn heard_stop(&self) -> Result<bool, Stop> {
        Ok(self.errand.first_event(self.errand.once(STOP_CONTACT)).await?.is_some())
    }

    async fn conversation(&self, facts: &Facts) -> Result<Conversation, Stop> {
        let (platform, user) = (self.link.platform(), &number(facts)?);
        self.reserve("thread", 2).await?;
        let thread = self.link.call(|call, session| async move { platform.thread_with(call, &session, user).await });
        let Some(thread) = thread.await? else { return Ok(Conversation::default()) };
        self.reserve("messages", 1).await?;
        let messages = self
            .link
            .call(
                |call, session| async move { platform.direct_messages(call, &session, thread, NEWEST_MESSAGES).await },
            )
            .await?;
        let theirs: Vec<_> = messages.into_iter().filter(|message| !look::is_ours(message, self.link)).collect();
        let has_theirs = !theirs.is_empty();
        Ok(Conversation { theirs: theirs.into_iter().filter_map(|message| message.text).collect(), has_theirs })
    }

    /// Those of `targets` that were not acted on.
    async fn unbegun(&self, targets: &[String]) -> Result<HashSet<String>, Stop> {
        let ids: Vec<ActionId> = targets.iter().map(|target| self.run.action_id(self.scheme, target)).collect();
        let recorded = self.errand.hands.acquaintances.begun(&ids).await?;
        let is_new = |action: &ActionId| !self.bot.knows_action(*action) && !recorded.contains(action);
        Ok(targets.iter().zip(&ids).filter(|(_, action)| is_new(action)).map(|(target, _)| target.clone()).collect())
    }
}

fn number(facts: &Facts) -> Result<UserPk, Stop> {
    facts.number.parse().map_err(|_| Stop::Skip(SkipReason::NotFound))
}

/// The words for a person: another variant if too many people were told the same, in this run or lately.
fn words(
    template: &Template,
    facts: &Facts,
    action: ActionId,
    times_said: impl Fn(&str) -> u32,
) -> Result<String, Stop> {
    let (first, _) = action.uuid().as_u64_pair();
    for roll in 0..MOST_ROLLS {
        let text = template.render(facts, first.wrapping_add(roll)).map_err(|error| match error {
            RenderError::Empty => Stop::Skip(SkipReason::TextEmpty),
            RenderError::TooLong => Stop::Skip(SkipReason::TextTooLong),
        })?;
        if times_said(&text) < MOST_ALIKE {
            return Ok(text);
        }
    }
    Err(Stop::Skip(SkipReason::TextRepeated))
}
