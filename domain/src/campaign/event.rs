//! Facts about one campaign. Names are stored: a variant is added, never renamed.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::bot::ActionKind;
use crate::bot::UnknownName;
use crate::bot::named;
use crate::ids::{BotId, CampaignId};
use crate::variants::variants;

named!(
    /// What a campaign does to its targets.
    Module {
        /// Likes the posts that the source gives.
        Like = "LIKE",
        /// Follows the authors of those posts.
        Follow = "FOLLOW",
    }
);

impl Module {
    /// The action that the module performs.
    #[must_use]
    pub const fn action(self) -> ActionKind {
        match self {
            Self::Like => ActionKind::Like,
            Self::Follow => ActionKind::Follow,
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
}

/// What a campaign is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    pub module: Module,
    pub source: Source,
    /// Most targets of one run, 1 to 200.
    pub max_targets: u32,
}

/// Facts about one campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CampaignEvent {
    CampaignDefined { campaign_id: CampaignId, bot_id: BotId, definition: Definition, at: DateTime<Utc> },
    CampaignRevised { revision: u32, definition: Definition, at: DateTime<Utc> },
    CampaignArchived { at: DateTime<Utc> },
}

variants!(CampaignEvent, " The stored name.", [CampaignDefined, CampaignRevised, CampaignArchived,]);

impl DomainEvent for CampaignEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
