//! Where the targets of a campaign come from, and whom it leaves alone.

use async_graphql::{Object, Result, SimpleObject, Union};
use domain::campaign::{self as campaign_domain, Facts, TemplateError, template, unfollow};

use super::error::coded;
use super::names::HashtagTab;
use crate::code::Code;

/// Most people of an uploaded list that are shown at once.
const MOST_SHOWN: i32 = 1_000;
/// Most renderings of one preview.
const MOST_SAMPLES: i32 = 20;

/// Where the targets of a campaign come from.
#[derive(Debug, Clone, Union)]
pub enum Source {
    Hashtag(HashtagSource),
    Location(LocationSource),
    Place(PlaceSource),
    Followers(FollowersSource),
    Following(FollowingSource),
    Likers(LikersSource),
    List(ListSource),
    Followed(FollowedSource),
}

/// Posts of a hashtag.
#[derive(Debug, Clone, SimpleObject)]
pub struct HashtagSource {
    /// Without the `#`, in lower case.
    name: String,
    /// Which of them.
    tab: HashtagTab,
}

/// Posts of a place.
#[derive(Debug, Clone, SimpleObject)]
pub struct LocationSource {
    /// Instagram's number of the place.
    location_pk: String,
    /// Which of them.
    tab: HashtagTab,
}

/// Posts of the first place that a search finds, looked up in each run.
#[derive(Debug, Clone, SimpleObject)]
pub struct PlaceSource {
    /// What is searched.
    query: String,
    /// Which of its posts.
    tab: HashtagTab,
}

/// Who follows a person.
#[derive(Debug, Clone, SimpleObject)]
pub struct FollowersSource {
    /// Instagram's number of the person, or `@` and the account's name.
    of: String,
}

/// Whom a person follows.
#[derive(Debug, Clone, SimpleObject)]
pub struct FollowingSource {
    /// Instagram's number of the person, or `@` and the account's name.
    of: String,
}

/// Who liked a post.
#[derive(Debug, Clone, SimpleObject)]
pub struct LikersSource {
    /// Instagram's number of the post.
    of: String,
}

/// People that somebody listed.
#[derive(Debug, Clone)]
pub struct ListSource {
    people: Vec<String>,
}

/// People that somebody listed.
#[Object]
impl ListSource {
    /// How many they are.
    async fn count(&self) -> usize {
        self.people.len()
    }

    /// Instagram's numbers, or `@` and names, in the order of the list.
    async fn people(
        &self,
        #[graphql(desc = "How many, 1 to 1000", default = 100)] first: i32,
        #[graphql(desc = "How many to leave out before them", default = 0)] offset: i32,
    ) -> Result<Vec<&str>> {
        let (Ok(count), Ok(skipped)) = (usize::try_from(first), usize::try_from(offset)) else {
            return Err(coded(Code::InvalidPage, "first and offset are not negative"));
        };
        if !(1..=MOST_SHOWN).contains(&first) {
            return Err(coded(Code::InvalidPage, format!("first is 1 to {MOST_SHOWN}")));
        }
        Ok(self.people.iter().skip(skipped).take(count).map(String::as_str).collect())
    }
}

/// Whom the campaigns of this bot followed and have not unfollowed, the longest ago first.
#[derive(Debug, Clone, SimpleObject)]
pub struct FollowedSource {
    /// Before so many days have passed since the follow, nobody is unfollowed.
    unfollow_after_days: i64,
}

impl From<&campaign_domain::Source> for Source {
    fn from(source: &campaign_domain::Source) -> Self {
        match source {
            campaign_domain::Source::Hashtag { name, tab } => {
                Self::Hashtag(HashtagSource { name: name.clone(), tab: (*tab).into() })
            }
            campaign_domain::Source::Location { location_pk, tab } => {
                Self::Location(LocationSource { location_pk: location_pk.to_string(), tab: (*tab).into() })
            }
            campaign_domain::Source::Place { query, tab } => {
                Self::Place(PlaceSource { query: query.clone(), tab: (*tab).into() })
            }
            campaign_domain::Source::Followers { of } => Self::Followers(FollowersSource { of: of.to_string() }),
            campaign_domain::Source::Following { of } => Self::Following(FollowingSource { of: of.to_string() }),
            campaign_domain::Source::Likers { of } => Self::Likers(LikersSource { of: of.to_string() }),
            campaign_domain::Source::List { people } => Self::List(ListSource { people: texts(people) }),
            campaign_domain::Source::Followed => {
                Self::Followed(FollowedSource { unfollow_after_days: unfollow::WAIT.num_days() })
            }
        }
    }
}

fn texts(people: &[campaign_domain::Person]) -> Vec<String> {
    people.iter().map(ToString::to_string).collect()
}

/// Whom a campaign acts on. A field that is null, open or empty lets everybody through.
#[derive(Debug, Clone, SimpleObject)]
pub struct CampaignFilters {
    /// Only private accounts, or only others.
    private: Option<bool>,
    /// Only verified accounts, or only others.
    verified: Option<bool>,
    /// Only business accounts, or only others.
    business: Option<bool>,
    /// Only accounts with a picture, or only others.
    has_picture: Option<bool>,
    /// How many followers.
    followers: CountRange,
    /// How many they follow.
    following: CountRange,
    /// Followers divided by following.
    ratio: RatioRange,
    /// At least so many posts.
    least_posts: Option<u64>,
    /// Any of these must be in the biography, as whole words.
    words: Vec<String>,
    /// Pass all filters but the black list and `met`, and are never unfollowed.
    white_list: Vec<String>,
    /// Are never acted on.
    black_list: Vec<String>,
    /// Leaves alone whom any campaign of the bot has met.
    met: Option<MetFilter>,
}

/// From least to most, both included.
#[derive(Debug, Clone, SimpleObject)]
pub struct CountRange {
    /// At least so many; null when open.
    least: Option<u64>,
    /// At most so many; null when open.
    most: Option<u64>,
}

/// From least to most, both included.
#[derive(Debug, Clone, SimpleObject)]
pub struct RatioRange {
    /// At least so much; null when open.
    least: Option<f64>,
    /// At most so much; null when open.
    most: Option<f64>,
}

/// Leaves alone whom any campaign of the bot has acted on.
#[derive(Debug, Clone, SimpleObject)]
pub struct MetFilter {
    /// After how many days somebody may be met again; never when null.
    again_after_days: Option<u32>,
}

impl From<&campaign_domain::Filters> for CampaignFilters {
    fn from(filters: &campaign_domain::Filters) -> Self {
        let range = |range: campaign_domain::Range| CountRange { least: range.least, most: range.most };
        Self {
            private: filters.private,
            verified: filters.verified,
            business: filters.business,
            has_picture: filters.has_picture,
            followers: range(filters.followers),
            following: range(filters.following),
            ratio: RatioRange { least: filters.ratio.least.map(ratio), most: filters.ratio.most.map(ratio) },
            least_posts: filters.least_posts,
            words: filters.words.clone(),
            white_list: texts(&filters.white_list),
            black_list: texts(&filters.black_list),
            met: filters.met.map(|met| MetFilter { again_after_days: met.again_after_days }),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a hundred million")]
fn ratio(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

/// What a text becomes, before any of it is sent.
#[derive(Debug, Clone, SimpleObject)]
pub struct TemplatePreview {
    /// The text for people who do not exist, one of whom has no name; empty when it is not understood.
    renderings: Vec<TemplateRendering>,
    /// How many different texts its alternatives give for one person; a very large number may be more.
    variants: f64,
    /// Why a campaign would refuse it; null when it would not.
    problem: Option<TemplateProblem>,
    /// The variables that there are, without braces.
    variables: Vec<&'static str>,
}

/// A text for one person.
#[derive(Debug, Clone, SimpleObject)]
pub struct TemplateRendering {
    /// The person's account.
    username: String,
    /// The text; null when nothing can be sent to this person.
    text: Option<String>,
    /// Why nothing can be sent to this person.
    problem: Option<TemplateProblem>,
}

/// What is wrong with a text.
#[derive(Debug, Clone, SimpleObject)]
pub struct TemplateProblem {
    /// A stable code; docs/errors has a page for each.
    code: &'static str,
    /// What is wrong and what to do, in words.
    message: String,
    /// At which character, from 1; null when it is about all of it.
    position: Option<usize>,
}

impl From<&TemplateError> for TemplateProblem {
    fn from(error: &TemplateError) -> Self {
        Self { code: error.code(), message: error.to_string(), position: error.position() }
    }
}

impl TemplatePreview {
    /// Of `text` for `samples` people, as a campaign with so many targets would take it.
    pub fn of(text: &str, samples: i32, max_targets: u32) -> Result<Self> {
        let count = usize::try_from(samples).ok().filter(|_| (1..=MOST_SAMPLES).contains(&samples));
        let count = count.ok_or_else(|| coded(Code::InvalidPage, format!("samples is 1 to {MOST_SAMPLES}")))?;
        let variables = template::Variable::ALL.iter().map(|variable| variable.as_str()).collect();
        let read = match text.parse::<campaign_domain::Template>() {
            Ok(read) => read,
            Err(error) => {
                return Ok(Self { renderings: Vec::new(), variants: 0.0, problem: Some((&error).into()), variables });
            }
        };
        let people: Vec<Facts> = template::sample_people();
        let renderings = read.preview(&people, count).into_iter().map(TemplateRendering::from).collect();
        let problem = read.check(max_targets).err().map(|error| (&error).into());
        #[expect(clippy::cast_precision_loss, reason = "nobody counts so many")]
        let variants = read.variants() as f64;
        Ok(Self { renderings, variants, problem, variables })
    }
}

impl From<template::Rendering> for TemplateRendering {
    fn from(rendering: template::Rendering) -> Self {
        let problem = rendering.text.as_ref().err().map(|error| TemplateProblem {
            code: error.code(),
            message: error.to_string(),
            position: None,
        });
        Self { username: rendering.username, text: rendering.text.ok(), problem }
    }
}
