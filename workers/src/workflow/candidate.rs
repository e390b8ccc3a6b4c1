//! Whoever or whatever a source gives, in the form that a job's history keeps: no more of people than the next decision needs.

use std::collections::BTreeMap;

use domain::campaign::{Definition, Facts, Module, SkipReason, TargetKind, Template};
use serde::{Deserialize, Serialize};

use crate::platform::{Media, UserProfile, UserShort};

/// Instagram shows this picture for people who have none.
const NO_PICTURE: &str = "44884218_345707102882519_2446069589734326272_n";

/// How many were left alone, by reason.
pub(crate) type Skips = BTreeMap<SkipReason, u32>;

/// Adds one.
pub(crate) fn count(skips: &mut Skips, reason: SkipReason) {
    *skips.entry(reason).or_default() += 1;
}

/// What a page gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Found {
    /// It can be acted on as it is.
    Target(String),
    /// More has to be read before that.
    Candidate(Box<Candidate>),
}

/// Somebody, and the post that led there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) person: Facts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) post: Option<String>,
    /// What the post itself says against acting on it.
    #[serde(skip)]
    pub(crate) objection: Option<SkipReason>,
}

impl Found {
    /// What makes two of them the same: with `each_once` the person, whatever the post.
    pub(crate) fn key(&self, each_once: bool) -> String {
        match self {
            Self::Target(target) => target.clone(),
            Self::Candidate(candidate) if each_once && !candidate.person.number.is_empty() => {
                candidate.person.number.clone()
            }
            Self::Candidate(candidate) => candidate.key(),
        }
    }
}

impl Candidate {
    pub(crate) const fn of_person(person: Facts) -> Self {
        Self { person, post: None, objection: None }
    }

    /// Of a post; where people are wanted, of its author.
    pub(crate) fn of_media(module: Module, media: &Media) -> Option<Self> {
        let wants_post = module.target() == TargetKind::Post;
        let person = match &media.user {
            Some(user) => facts(user),
            None if wants_post => Facts::default(),
            None => return None,
        };
        let objection = match module {
            Module::Like if media.has_liked == Some(true) => Some(SkipReason::AlreadyLiked),
            Module::Comment if media.comments_disabled == Some(true) => Some(SkipReason::CommentsDisabled),
            _ => None,
        };
        let post = wants_post.then(|| media.id().as_str().to_owned());
        Some(Self { person, post, objection })
    }

    /// The target, where it is known without another look.
    pub(crate) fn target(&self, module: Module) -> Option<&str> {
        match module {
            Module::Like | Module::Comment => self.post.as_deref(),
            Module::Follow | Module::Unfollow | Module::Dm => {
                Some(self.person.number.as_str()).filter(|number| !number.is_empty())
            }
            Module::StorySee | Module::StoryLike => None,
        }
    }

    /// Names the step that looks at it.
    pub(crate) fn key(&self) -> String {
        let person = if self.person.number.is_empty() { self.person.username.as_deref() } else { None };
        let person = person.unwrap_or(&self.person.number);
        self.post.clone().unwrap_or_else(|| person.to_owned())
    }
}

/// Whether every candidate of a campaign has to be looked at when its turn comes: what lists say is not enough, or is not
/// true for long.
pub(crate) fn examines(definition: &Definition) -> bool {
    let needs_page = |text: &String| text.parse::<Template>().is_ok_and(|template| template.needs_profile());
    match definition.module {
        Module::Unfollow | Module::StorySee | Module::StoryLike | Module::Dm | Module::Comment => true,
        Module::Like if !definition.source.gives_posts() => true,
        Module::Like | Module::Follow => {
            definition.filters.needs_profile()
                || definition.filters.met.is_some()
                || definition.text.as_ref().is_some_and(needs_page)
        }
    }
}

/// What lists tell of a person.
pub(crate) fn facts(user: &UserShort) -> Facts {
    Facts {
        number: user.pk.as_str().to_owned(),
        username: Some(user.username.clone()).filter(|name| !name.is_empty()),
        full_name: Some(user.full_name.clone()),
        is_private: user.is_private,
        has_picture: user.profile_pic_url.as_deref().map(is_picture),
        ..Facts::default()
    }
}

/// What the person's own page tells.
pub(crate) fn whole_facts(user: &UserProfile) -> Facts {
    Facts {
        number: user.pk.as_str().to_owned(),
        username: Some(user.username.clone()).filter(|name| !name.is_empty()),
        full_name: Some(user.full_name.clone()),
        is_private: user.is_private,
        is_verified: Some(user.is_verified),
        is_business: Some(user.is_business),
        followers: Some(user.follower_count),
        following: Some(user.following_count),
        posts: Some(user.media_count),
        biography: Some(user.biography.clone()),
        has_picture: Some(user.profile_pic_url.as_deref().is_some_and(is_picture)),
        is_whole: true,
    }
}

fn is_picture(url: &str) -> bool {
    !url.is_empty() && !url.contains(NO_PICTURE)
}
