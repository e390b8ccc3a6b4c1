//! What a campaign is: its module, where its targets come from, whom it leaves alone, and what it says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::filters::Filters;
use super::person::{Person, Post};
use crate::bot::ActionKind;
use crate::bot::UnknownName;
use crate::bot::named;

named!(
    /// What a campaign does to its targets.
    Module {
        /// Likes posts: those that the source gives, or the newest of the people that it gives.
        Like = "LIKE",
        /// Follows people: those that the source gives, or the authors of its posts.
        Follow = "FOLLOW",
        /// Stops following people whom the product followed.
        Unfollow = "UNFOLLOW",
        /// Looks at people's stories.
        StorySee = "STORY_SEE",
        /// Likes people's stories.
        StoryLike = "STORY_LIKE",
        /// Comments on posts.
        Comment = "COMMENT",
        /// Writes to people.
        Dm = "DM",
    }
);

/// What a module acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    Post,
    Person,
    Story,
}

impl Module {
    /// The action that the module performs.
    #[must_use]
    pub const fn action(self) -> ActionKind {
        match self {
            Self::Like => ActionKind::Like,
            Self::Follow => ActionKind::Follow,
            Self::Unfollow => ActionKind::Unfollow,
            Self::StorySee | Self::StoryLike => ActionKind::Story,
            Self::Comment => ActionKind::Comment,
            Self::Dm => ActionKind::Dm,
        }
    }

    /// What it acts on.
    #[must_use]
    pub const fn target(self) -> TargetKind {
        match self {
            Self::Like | Self::Comment => TargetKind::Post,
            Self::Follow | Self::Unfollow | Self::Dm => TargetKind::Person,
            Self::StorySee | Self::StoryLike => TargetKind::Story,
        }
    }

    /// Whether it says something.
    #[must_use]
    pub const fn has_words(self) -> bool {
        matches!(self, Self::Comment | Self::Dm)
    }

    /// Whether its targets may come from such a source.
    #[must_use]
    pub const fn takes(self, source: &Source) -> bool {
        match self {
            Self::Unfollow => matches!(source, Source::Followed | Source::List { .. }),
            Self::Follow => !matches!(source, Source::Followed),
            _ => true,
        }
    }
}

named!(
    /// Which posts of a hashtag or place.
    HashtagTab {
        Top = "TOP",
        Recent = "RECENT",
    }
);

/// Where the targets come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    /// Posts of a hashtag, without the `#`, in lower case.
    Hashtag { name: String, tab: HashtagTab },
    /// Posts of a place, by the platform's own key.
    Location { location_pk: u64, tab: HashtagTab },
    /// Posts of the first place that a search finds, looked up in each run.
    Place { query: String, tab: HashtagTab },
    /// Who follows a person.
    Followers { of: Person },
    /// Whom a person follows.
    Following { of: Person },
    /// Who liked a post.
    Likers { of: Post },
    /// People that somebody listed.
    List { people: Vec<Person> },
    /// Whom the product followed for this account and has not unfollowed, the longest ago first.
    Followed,
}

impl Source {
    /// The stored name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hashtag { .. } => "HASHTAG",
            Self::Location { .. } => "LOCATION",
            Self::Place { .. } => "PLACE",
            Self::Followers { .. } => "FOLLOWERS",
            Self::Following { .. } => "FOLLOWING",
            Self::Likers { .. } => "LIKERS",
            Self::List { .. } => "LIST",
            Self::Followed => "FOLLOWED",
        }
    }

    /// Whether it gives posts; else it gives people.
    #[must_use]
    pub const fn gives_posts(&self) -> bool {
        matches!(self, Self::Hashtag { .. } | Self::Location { .. } | Self::Place { .. })
    }
}

/// In words, as the audit trail has it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashtag { name, tab } => write!(f, "#{name} ({tab})"),
            Self::Location { location_pk, tab } => write!(f, "place {location_pk} ({tab})"),
            Self::Place { query, tab } => write!(f, "the place {query:?} ({tab})"),
            Self::Followers { of } => write!(f, "followers of {of}"),
            Self::Following { of } => write!(f, "whom {of} follows"),
            Self::Likers { of } => write!(f, "who liked post {of}"),
            Self::List { people } => write!(f, "a list of {} people", people.len()),
            Self::Followed => f.write_str("whom it followed"),
        }
    }
}

/// What a campaign is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    pub module: Module,
    pub source: Source,
    /// Most targets of one run, 1 to 200.
    pub max_targets: u32,
    /// The journals of runs that began before there were filters have none; so with what follows.
    #[serde(default)]
    pub filters: Box<Filters>,
    /// What it says, as a template; only with a module that says something.
    pub text: Option<String>,
    /// What ends all contact when somebody writes it, beside the words that always do; only with DM.
    #[serde(default)]
    pub stop_words: Vec<String>,
}

impl Definition {
    /// One that lets everybody through and says nothing.
    #[must_use]
    pub fn new(name: String, module: Module, source: Source, max_targets: u32) -> Self {
        Self { name, module, source, max_targets, filters: Box::default(), text: None, stop_words: Vec::new() }
    }
}
