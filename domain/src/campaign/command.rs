//! What may be asked of a campaign.

use chrono::{DateTime, Utc};

use super::event::{HashtagTab, Module};
use crate::ids::{BotId, CampaignId};
use crate::variants::variants;

/// A definition as a person gave it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub module: Module,
    pub source: DraftSource,
    pub max_targets: u32,
}

/// A source as a person gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftSource {
    Hashtag {
        name: String,
        tab: HashtagTab,
    },
    /// `location_pk` must read as a whole number.
    Location {
        location_pk: String,
        tab: HashtagTab,
    },
}

/// What may be asked of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignCommand {
    Define { campaign_id: CampaignId, bot_id: BotId, draft: Draft, at: DateTime<Utc> },
    Revise { draft: Draft, at: DateTime<Utc> },
    Archive { at: DateTime<Utc> },
}

variants!(CampaignCommand, " The name that refusals and logs show.", [Define, Revise, Archive,]);
