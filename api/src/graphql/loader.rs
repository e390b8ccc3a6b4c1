//! Loads what many nodes of a page refer to at once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{Context, Error, Result};
use domain::ids::{BotId, CampaignId, JobId, UserId};
use projections::campaign_schedules::CampaignSchedule;
use projections::{bot_status, campaign_schedules, campaigns, instagram_accounts, jobs};

use super::campaign::Campaign;
use super::error::fault;
use crate::deps::Services;
use crate::http::Problem;

/// Reads rows by their ids.
pub struct Rows(pub Arc<Services>);

impl Loader<CampaignId> for Rows {
    type Value = campaigns::Campaign;
    type Error = Error;

    async fn load(&self, ids: &[CampaignId]) -> Result<HashMap<CampaignId, campaigns::Campaign>, Error> {
        let rows = campaigns::by_ids(&self.0.deps.pool, ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (row.campaign_id, row)).collect())
    }
}

/// The key of a campaign's schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScheduleOf(pub CampaignId);

impl Loader<ScheduleOf> for Rows {
    type Value = CampaignSchedule;
    type Error = Error;

    async fn load(&self, keys: &[ScheduleOf]) -> Result<HashMap<ScheduleOf, CampaignSchedule>, Error> {
        let ids: Vec<CampaignId> = keys.iter().map(|key| key.0).collect();
        let rows = campaign_schedules::by_ids(&self.0.deps.pool, &ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (ScheduleOf(row.campaign_id), row)).collect())
    }
}

impl Loader<BotId> for Rows {
    type Value = bot_status::BotStatus;
    type Error = Error;

    async fn load(&self, ids: &[BotId]) -> Result<HashMap<BotId, bot_status::BotStatus>, Error> {
        let rows = bot_status::of_bots(&self.0.deps.pool, ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (row.bot_id, row)).collect())
    }
}

impl Loader<UserId> for Rows {
    type Value = instagram_accounts::InstagramAccount;
    type Error = Error;

    async fn load(&self, ids: &[UserId]) -> Result<HashMap<UserId, instagram_accounts::InstagramAccount>, Error> {
        let rows = instagram_accounts::of_users(&self.0.deps.pool, ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (row.user_id, row)).collect())
    }
}

impl Loader<JobId> for Rows {
    type Value = jobs::JobView;
    type Error = Error;

    async fn load(&self, ids: &[JobId]) -> Result<HashMap<JobId, jobs::JobView>, Error> {
        let rows = jobs::by_ids(&self.0.deps.pool, ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (row.job_id, row)).collect())
    }
}

/// The loader of a request.
pub fn rows<'a>(ctx: &Context<'a>) -> Result<&'a DataLoader<Rows>> {
    ctx.data::<DataLoader<Rows>>().map_err(|_| fault(Problem::internal()))
}

/// The campaign of an id that a row of the caller's own refers to.
pub async fn campaign(ctx: &Context<'_>, id: CampaignId) -> Result<Option<Campaign>> {
    Ok(rows(ctx)?.load_one(id).await?.map(Campaign))
}
