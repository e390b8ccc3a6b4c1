//! What a person agrees to before automation starts: the account, the campaigns and the limits, and their hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bot::Limits;
use crate::campaign::Campaign;
use crate::ids::{AccountId, CampaignId};

/// SHA-256 of a plan's canonical JSON, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanHash(String);

/// A text that is no plan hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a plan hash is 64 hexadecimal digits, as the authorization returned it")]
pub struct InvalidPlanHash;

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlanHash {
    type Err = InvalidPlanHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        valid.then(|| Self(text.to_owned())).ok_or(InvalidPlanHash)
    }
}

/// One campaign as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedCampaign {
    pub campaign_id: CampaignId,
    pub revision: u32,
}

/// What a person agrees to. The mode is not part of it: a plan runs dry first, then live.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub account_id: AccountId,
    /// Ordered by id.
    pub campaigns: Vec<PlannedCampaign>,
    pub limits: Limits,
}

impl Plan {
    /// The plan of `account_id` with its active campaigns.
    #[must_use]
    pub fn new<'a>(account_id: AccountId, limits: Limits, campaigns: impl IntoIterator<Item = &'a Campaign>) -> Self {
        let mut campaigns: Vec<_> = campaigns
            .into_iter()
            .filter(|campaign| campaign.is_active())
            .filter_map(|campaign| {
                campaign.id().map(|campaign_id| PlannedCampaign { campaign_id, revision: campaign.revision() })
            })
            .collect();
        campaigns.sort_by_key(|campaign| campaign.campaign_id);
        Self { account_id, campaigns, limits }
    }

    /// The ids of the campaigns, in order.
    #[must_use]
    pub fn campaign_ids(&self) -> Vec<CampaignId> {
        self.campaigns.iter().map(|campaign| campaign.campaign_id).collect()
    }

    /// The hash that authorization and enabling compare.
    #[must_use]
    pub fn hash(&self) -> PlanHash {
        // Fields are written in the order of their declaration and no map is involved, so the text is canonical.
        let text = serde_json::to_vec(self).unwrap_or_default();
        PlanHash(hex::encode(Sha256::digest(text)))
    }
}
