//! What a campaign is to be, as it is asked for.

use async_graphql::{InputObject, OneofObject};
use domain::campaign::{Draft, DraftFilters, DraftRange, DraftRatio, DraftSource, Met};

use crate::graphql::names::{HashtagTab, Module};

/// Where the targets of a campaign come from: exactly one of these.
#[derive(Debug, Clone, OneofObject)]
pub enum SourceInput {
    /// Posts of a hashtag.
    Hashtag(HashtagSourceInput),
    /// Posts of a place.
    Location(LocationSourceInput),
    /// Posts of the first place that a search finds, looked up in each run.
    Place(PlaceSourceInput),
    /// Who follows a person.
    Followers(PersonSourceInput),
    /// Whom a person follows.
    Following(PersonSourceInput),
    /// Who liked a post.
    Likers(PostSourceInput),
    /// People of a list.
    List(ListSourceInput),
    /// Whom the campaigns of this bot followed and have not unfollowed: `true`.
    Followed(bool),
}

/// Posts of a hashtag.
#[derive(Debug, Clone, InputObject)]
pub struct HashtagSourceInput {
    /// 1 to 100 letters, digits or underscores, with or without the `#`.
    name: String,
    /// Which of its posts.
    #[graphql(default_with = "HashtagTab::Recent")]
    tab: HashtagTab,
}

/// Posts of a place.
#[derive(Debug, Clone, InputObject)]
pub struct LocationSourceInput {
    /// Instagram's number of the place, such as `212988663`.
    location_pk: String,
    /// Which of its posts.
    #[graphql(default_with = "HashtagTab::Recent")]
    tab: HashtagTab,
}

/// Posts of a place that is searched.
#[derive(Debug, Clone, InputObject)]
pub struct PlaceSourceInput {
    /// What to search, 1 to 100 characters.
    query: String,
    /// Which of its posts.
    #[graphql(default_with = "HashtagTab::Recent")]
    tab: HashtagTab,
}

/// People around a person.
#[derive(Debug, Clone, InputObject)]
pub struct PersonSourceInput {
    /// Instagram's number of the person, or the account's name; a name of digits alone needs an `@` before it.
    of: String,
}

/// People around a post.
#[derive(Debug, Clone, InputObject)]
pub struct PostSourceInput {
    /// Instagram's number of the post, or its address, such as `https://www.instagram.com/p/CODE/`.
    of: String,
}

/// People of a list.
#[derive(Debug, Clone, InputObject)]
pub struct ListSourceInput {
    /// Numbers or names as with other sources; at most 10,000, in at most 192 KiB.
    people: Vec<String>,
}

impl From<SourceInput> for DraftSource {
    fn from(source: SourceInput) -> Self {
        match source {
            SourceInput::Hashtag(HashtagSourceInput { name, tab }) => Self::Hashtag { name, tab: tab.into() },
            SourceInput::Location(LocationSourceInput { location_pk, tab }) => {
                Self::Location { location_pk, tab: tab.into() }
            }
            SourceInput::Place(PlaceSourceInput { query, tab }) => Self::Place { query, tab: tab.into() },
            SourceInput::Followers(PersonSourceInput { of }) => Self::Followers { of },
            SourceInput::Following(PersonSourceInput { of }) => Self::Following { of },
            SourceInput::Likers(PostSourceInput { of }) => Self::Likers { of },
            SourceInput::List(ListSourceInput { people }) => Self::List { people },
            SourceInput::Followed(_) => Self::Followed,
        }
    }
}

/// Whom a campaign acts on. What is left out lets everybody through.
#[derive(Debug, Clone, Default, InputObject)]
pub struct CampaignFiltersInput {
    /// Only private accounts, or only others.
    private: Option<bool>,
    /// Only verified accounts, or only others.
    verified: Option<bool>,
    /// Only business accounts, or only others.
    business: Option<bool>,
    /// Only accounts with a picture, or only others.
    has_picture: Option<bool>,
    /// How many followers.
    followers: Option<CountRangeInput>,
    /// How many they follow.
    following: Option<CountRangeInput>,
    /// Followers divided by following.
    ratio: Option<RatioRangeInput>,
    /// At least so many posts.
    least_posts: Option<u64>,
    /// Any of these must be in the biography, as whole words; at most 50.
    #[graphql(default)]
    words: Vec<String>,
    /// Numbers or names of people who pass all filters but the black list and `met`, and are never unfollowed; at most 1,000.
    #[graphql(default)]
    white_list: Vec<String>,
    /// Numbers or names of people who are never acted on; at most 1,000.
    #[graphql(default)]
    black_list: Vec<String>,
    /// Leave alone whom any campaign of the bot has met.
    met: Option<MetFilterInput>,
}

/// From least to most, both included.
#[derive(Debug, Clone, InputObject)]
pub struct CountRangeInput {
    /// At least so many.
    least: Option<u64>,
    /// At most so many.
    most: Option<u64>,
}

/// From least to most, both included.
#[derive(Debug, Clone, InputObject)]
pub struct RatioRangeInput {
    /// At least so much.
    least: Option<f64>,
    /// At most so much.
    most: Option<f64>,
}

/// Leave alone whom any campaign of the bot has acted on.
#[derive(Debug, Clone, InputObject)]
pub struct MetFilterInput {
    /// After how many days somebody may be met again, 1 to 3650; never when left out.
    again_after_days: Option<u32>,
}

impl From<CampaignFiltersInput> for DraftFilters {
    fn from(given: CampaignFiltersInput) -> Self {
        let range = |range: Option<CountRangeInput>| {
            range.map(|CountRangeInput { least, most }| DraftRange { least, most }).unwrap_or_default()
        };
        let ratio = given.ratio.map(|RatioRangeInput { least, most }| DraftRatio { least, most });
        Self {
            private: given.private,
            verified: given.verified,
            business: given.business,
            has_picture: given.has_picture,
            followers: range(given.followers),
            following: range(given.following),
            ratio: ratio.unwrap_or_default(),
            least_posts: given.least_posts,
            words: given.words,
            white_list: given.white_list,
            black_list: given.black_list,
            met: given.met.map(|MetFilterInput { again_after_days }| Met { again_after_days }),
        }
    }
}

/// What both mutations ask for.
pub struct Asked {
    pub name: String,
    pub module: Module,
    pub source: SourceInput,
    pub max_targets: u32,
    pub filters: Option<CampaignFiltersInput>,
    pub text: Option<String>,
    pub stop_words: Option<Vec<String>>,
}

impl From<Asked> for Draft {
    fn from(asked: Asked) -> Self {
        let Asked { name, module, source, max_targets, filters, text, stop_words } = asked;
        Self {
            filters: filters.unwrap_or_default().into(),
            text,
            stop_words: stop_words.unwrap_or_default(),
            ..Self::new(name, module.into(), source.into(), max_targets)
        }
    }
}
