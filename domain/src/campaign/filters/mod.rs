//! Whom a campaign acts on: what its filters say about a person. Pure: what is not known is said to be needed.

mod check;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use self::check::{DraftFilters, DraftRange, DraftRatio};
pub(super) use self::check::{people, words};
use super::person::Person;
use super::skip::{Judgement, Read, SkipReason};

/// What filters and texts look at. What is `None` is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The platform's number of the person.
    pub number: String,
    pub username: Option<String>,
    pub full_name: Option<String>,
    pub is_private: Option<bool>,
    pub is_verified: Option<bool>,
    pub is_business: Option<bool>,
    pub followers: Option<u64>,
    pub following: Option<u64>,
    pub posts: Option<u64>,
    pub biography: Option<String>,
    pub has_picture: Option<bool>,
    /// Whether the person's page was read: what is not known by then stays unknown.
    pub is_whole: bool,
}

/// From least to most, both included; open where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}

impl Range {
    /// Whether it lets everything through.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.least.is_none() && self.most.is_none()
    }

    fn judge(self, value: u64, too_low: SkipReason, too_high: SkipReason) -> Judgement {
        if self.least.is_some_and(|least| value < least) {
            return Judgement::Skip(too_low);
        }
        Judgement::skip_if(self.most.is_some_and(|most| value > most), too_high)
    }
}

/// Leaves alone whom the product has acted on before, in whatever campaign of the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// After how many days a person may be met again; never when there is none.
    pub again_after_days: Option<u32>,
}

/// Whom a campaign acts on. Nothing set lets everybody through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_picture: Option<bool>,
    #[serde(skip_serializing_if = "Range::is_open")]
    pub followers: Range,
    #[serde(skip_serializing_if = "Range::is_open")]
    pub following: Range,
    /// Followers divided by following, in hundredths.
    #[serde(skip_serializing_if = "Range::is_open")]
    pub ratio: Range,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_posts: Option<u64>,
    /// Any of these must be in the biography, as whole words; in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Pass whatever the filters say about facts; are never unfollowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub white_list: Vec<Person>,
    /// Are never acted on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub black_list: Vec<Person>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
}

impl Filters {
    /// Whether any filter looks at what only the person's own page tells.
    #[must_use]
    pub fn needs_profile(&self) -> bool {
        self.verified.is_some()
            || self.business.is_some()
            || !self.followers.is_open()
            || !self.following.is_open()
            || !self.ratio.is_open()
            || self.least_posts.is_some()
            || !self.words.is_empty()
    }

    /// Whether the person is on the white list.
    #[must_use]
    pub fn spares(&self, facts: &Facts) -> bool {
        is_in(&self.white_list, facts)
    }

    /// What the filters say about a person whom the product met last at `met_at`.
    #[must_use]
    pub fn judge(&self, facts: &Facts, met_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Judgement {
        if is_in(&self.black_list, facts) {
            return Judgement::Skip(SkipReason::BlackListed);
        }
        if self.lists_names() && facts.username.is_none() {
            return unknown(facts);
        }
        if self.has_met(met_at, now) {
            return Judgement::Skip(SkipReason::AlreadyMet);
        }
        if self.spares(facts) { Judgement::Pass } else { self.judge_facts(facts) }
    }

    /// Whether the lists say some people by their names, which a number alone does not tell.
    fn lists_names(&self) -> bool {
        self.white_list.iter().chain(&self.black_list).any(|person| matches!(person, Person::Name(_)))
    }

    fn has_met(&self, met_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        let (Some(met), Some(met_at)) = (self.met, met_at) else { return false };
        met.again_after_days.is_none_or(|days| now < met_at + TimeDelta::days(i64::from(days)))
    }

    fn judge_facts(&self, facts: &Facts) -> Judgement {
        // What lists tell comes first: it may save the read of a page.
        flag(self.private, facts.is_private, facts, SkipReason::Private, SkipReason::NotPrivate)
            .and_then(|| {
                flag(self.has_picture, facts.has_picture, facts, SkipReason::HasPicture, SkipReason::NoPicture)
            })
            .and_then(|| flag(self.verified, facts.is_verified, facts, SkipReason::Verified, SkipReason::NotVerified))
            .and_then(|| flag(self.business, facts.is_business, facts, SkipReason::Business, SkipReason::NotBusiness))
            .and_then(|| self.judge_counts(facts))
            .and_then(|| self.judge_words(facts))
    }

    fn judge_counts(&self, facts: &Facts) -> Judgement {
        let followers = |value| self.followers.judge(value, SkipReason::TooFewFollowers, SkipReason::TooManyFollowers);
        let following = |value| self.following.judge(value, SkipReason::TooFewFollowing, SkipReason::TooManyFollowing);
        let ratio = |value| self.ratio.judge(value, SkipReason::RatioTooLow, SkipReason::RatioTooHigh);
        let posts =
            |value| Judgement::skip_if(self.least_posts.is_some_and(|least| value < least), SkipReason::TooFewPosts);
        number(!self.followers.is_open(), facts.followers, facts, followers)
            .and_then(|| number(!self.following.is_open(), facts.following, facts, following))
            .and_then(|| number(!self.ratio.is_open(), ratio_of(facts), facts, ratio))
            .and_then(|| number(self.least_posts.is_some(), facts.posts, facts, posts))
    }

    fn judge_words(&self, facts: &Facts) -> Judgement {
        if self.words.is_empty() {
            return Judgement::Pass;
        }
        let Some(biography) = &facts.biography else { return unknown(facts) };
        Judgement::skip_if(!self.words.iter().any(|word| has_words(biography, word)), SkipReason::NoWord)
    }
}

fn is_in(list: &[Person], facts: &Facts) -> bool {
    list.iter().any(|person| person.is(&facts.number, facts.username.as_deref()))
}

/// A page may tell it; when it was read, nothing will.
const fn unknown(facts: &Facts) -> Judgement {
    if facts.is_whole { Judgement::Skip(SkipReason::NotKnown) } else { Judgement::Needs(Read::Profile) }
}

fn flag(wanted: Option<bool>, known: Option<bool>, facts: &Facts, is: SkipReason, is_not: SkipReason) -> Judgement {
    match (wanted, known) {
        (None, _) => Judgement::Pass,
        (Some(_), None) => unknown(facts),
        (Some(wanted), Some(known)) => Judgement::skip_if(wanted != known, if known { is } else { is_not }),
    }
}

fn number(asked: bool, known: Option<u64>, facts: &Facts, judge: impl FnOnce(u64) -> Judgement) -> Judgement {
    match known {
        _ if !asked => Judgement::Pass,
        None => unknown(facts),
        Some(value) => judge(value),
    }
}

/// Followers divided by following, in hundredths. Whoever follows nobody counts as following one.
fn ratio_of(facts: &Facts) -> Option<u64> {
    let (followers, following) = (facts.followers?, facts.following?);
    Some(followers.saturating_mul(100) / following.max(1))
}

/// Whether the words of `wanted` stand in `text`, one after the other, as whole words and whatever their case. Where
/// words have no spaces between them, or there are only signs, any place will do.
#[must_use]
pub fn has_words(text: &str, wanted: &str) -> bool {
    let words = words_of(wanted);
    if words.is_empty() || wanted.chars().any(stands_without_spaces) {
        let wanted = wanted.trim().to_lowercase();
        return !wanted.is_empty() && text.to_lowercase().contains(&wanted);
    }
    words_of(text).windows(words.len()).any(|some| some == words)
}

/// Thai, Lao, Chinese and Japanese.
const fn stands_without_spaces(letter: char) -> bool {
    matches!(letter, '\u{0E00}'..='\u{0EFF}' | '\u{2E80}'..='\u{9FFF}' | '\u{20000}'..='\u{3FFFF}')
}

fn words_of(text: &str) -> Vec<String> {
    // An apostrophe is part of its word: "don't".
    let text = text.to_lowercase().replace('’', "'");
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.trim_matches('\'').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}
