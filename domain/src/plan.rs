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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::bot::WorkingHours;
    use crate::campaign::{CampaignEvent, Definition, HashtagTab, Module, Source};
    use crate::decide::fold;
    use crate::ids::BotId;

    fn campaign(number: u128, revisions: u32, archived: bool) -> Campaign {
        let at = "2026-03-02T10:00:00Z".parse().unwrap();
        let source = Source::Hashtag { name: "alps".to_owned(), tab: HashtagTab::Top };
        let definition = Definition::new("Mountains".to_owned(), Module::Like, source, 20);
        let mut events = vec![CampaignEvent::CampaignDefined {
            campaign_id: CampaignId::from_uuid(Uuid::from_u128(number)),
            bot_id: BotId::from_uuid(Uuid::from_u128(1)),
            definition: definition.clone(),
            at,
        }];
        events.extend((2..=revisions).map(|revision| CampaignEvent::CampaignRevised {
            revision,
            definition: definition.clone(),
            at,
        }));
        events.extend(archived.then_some(CampaignEvent::CampaignArchived { at }));
        fold(Campaign::default(), events)
    }

    fn account(number: u128) -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(number))
    }

    fn plan(campaigns: &[Campaign]) -> Plan {
        Plan::new(account(2), Limits::default(), campaigns)
    }

    #[test]
    fn a_plan_holds_the_active_campaigns_in_the_order_of_their_ids() {
        let plan = plan(&[campaign(9, 1, false), campaign(7, 3, false), campaign(8, 1, true), Campaign::default()]);
        let ids: Vec<u128> = plan.campaign_ids().iter().map(|id| id.uuid().as_u128()).collect();
        assert_eq!(ids, [7, 9]);
        assert_eq!(plan.campaigns[0].revision, 3);
    }

    #[test]
    fn the_hash_is_the_same_in_every_process_and_every_version() {
        let plan = plan(&[campaign(7, 2, false), campaign(9, 1, false)]);
        assert_eq!(plan.hash().to_string(), "ce6c310bb254c32c4a96e059d2e0c317caaa611a62c7dad2ce400dc665da9e97");
    }

    #[test]
    fn the_order_of_the_campaigns_does_not_count_and_everything_else_does() {
        let (seven, nine) = (campaign(7, 2, false), campaign(9, 1, false));
        let base = plan(&[seven.clone(), nine.clone()]).hash();
        assert_eq!(plan(&[nine.clone(), seven.clone()]).hash(), base);
        let hours = WorkingHours { from: 8, until: 21 };
        let others = [
            plan(std::slice::from_ref(&seven)),
            plan(&[campaign(7, 3, false), nine.clone()]),
            Plan::new(account(3), Limits::default(), [&seven, &nine]),
            Plan::new(account(2), Limits { like: 41, ..Limits::default() }, [&seven, &nine]),
            Plan::new(account(2), Limits { hours, ..Limits::default() }, [&seven, &nine]),
        ];
        for other in others {
            assert_ne!(other.hash(), base, "{other:?}");
        }
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_reads_as_one() {
        let hash = plan(&[]).hash();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert_eq!(text.parse::<PlanHash>(), Err(InvalidPlanHash));
        }
    }
}
