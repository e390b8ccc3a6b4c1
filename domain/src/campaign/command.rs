//! What may be asked of a campaign.

use chrono::{DateTime, Utc};

use super::draft::Draft;
use crate::ids::{BotId, CampaignId};
use crate::variants::variants;

/// What may be asked of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignCommand {
    Define { campaign_id: CampaignId, bot_id: BotId, draft: Draft, at: DateTime<Utc> },
    Revise { draft: Draft, at: DateTime<Utc> },
    Archive { at: DateTime<Utc> },
}

variants!(CampaignCommand, " The name that refusals and logs show.", [Define, Revise, Archive,]);
