//! Facts about one campaign. Names are stored: a variant is added, never renamed.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::ids::{BotId, CampaignId};
use crate::variants::variants;

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
        match self {
            // v2 added filters, texts and stop words.
            Self::CampaignDefined { .. } | Self::CampaignRevised { .. } => "2".to_owned(),
            Self::CampaignArchived { .. } => "1".to_owned(),
        }
    }
}
