//! Mutations of schedules. What was due until then is decided first, under the schedule as it was.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::bot::Bot;
use domain::campaign::CampaignCommand;
use domain::campaign::schedule::BotStanding;
use domain::metadata::Metadata;

use super::campaign::{campaign_payloads, execute, missing, own, shown};
use crate::graphql::ask::{Answer, Ask, SCHEDULES};
use crate::graphql::campaign::Campaign;
use crate::graphql::error::{UserError, fault};
use crate::graphql::schedule::ScheduleInput;

/// When a campaign is to run from now on.
#[derive(Debug, InputObject)]
pub struct SetCampaignScheduleInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// The schedule.
    schedule: ScheduleInput,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A campaign that is to run by no schedule any more.
#[derive(Debug, InputObject)]
pub struct ClearCampaignScheduleInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A schedule that is to start nothing for a while.
#[derive(Debug, InputObject)]
pub struct PauseCampaignScheduleInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// Why, 1 to 500 characters.
    reason: String,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A schedule that is to start runs again.
#[derive(Debug, InputObject)]
pub struct ResumeCampaignScheduleInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Due times whose runs are to be made up for.
#[derive(Debug, InputObject)]
pub struct BackfillCampaignInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// The first instant.
    from: DateTime<Utc>,
    /// The end, which is not part of it and not in the future.
    until: DateTime<Utc>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

campaign_payloads! {
    /// What `setCampaignSchedule` did.
    SetCampaignSchedulePayload,
    /// What `clearCampaignSchedule` did.
    ClearCampaignSchedulePayload,
    /// What `pauseCampaignSchedule` did.
    PauseCampaignSchedulePayload,
    /// What `resumeCampaignSchedule` did.
    ResumeCampaignSchedulePayload,
    /// What `backfillCampaign` did.
    BackfillCampaignPayload,
}

/// Mutations of schedules.
#[derive(Default)]
pub struct ScheduleMutation;

#[Object]
impl ScheduleMutation {
    /// Sets when a campaign runs. Then it does not run when automation is enabled, but when it is due while automation is.
    async fn set_campaign_schedule(
        &self,
        ctx: &Context<'_>,
        input: SetCampaignScheduleInput,
    ) -> Result<SetCampaignSchedulePayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let schedule = input.schedule.clone();
        let set = |bot, at| CampaignCommand::SetSchedule { draft: schedule.draft(at), bot, at };
        Ok(change(ask, &input.campaign_id, set).await?.into())
    }

    /// Takes the schedule of a campaign away; runs that are under way go on, those that wait do not start.
    async fn clear_campaign_schedule(
        &self,
        ctx: &Context<'_>,
        input: ClearCampaignScheduleInput,
    ) -> Result<ClearCampaignSchedulePayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let clear = |bot, at| CampaignCommand::ClearSchedule { bot, at };
        Ok(change(ask, &input.campaign_id, clear).await?.into())
    }

    /// Lets a schedule start nothing until it is resumed; what is due meanwhile is skipped.
    async fn pause_campaign_schedule(
        &self,
        ctx: &Context<'_>,
        input: PauseCampaignScheduleInput,
    ) -> Result<PauseCampaignSchedulePayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let reason = input.reason.clone();
        let pause = |bot, at| CampaignCommand::PauseSchedule { reason, bot, at };
        Ok(change(ask, &input.campaign_id, pause).await?.into())
    }

    /// Lets a schedule start runs again, from the next due time on.
    async fn resume_campaign_schedule(
        &self,
        ctx: &Context<'_>,
        input: ResumeCampaignScheduleInput,
    ) -> Result<ResumeCampaignSchedulePayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let resume = |bot, at| CampaignCommand::ResumeSchedule { bot, at };
        Ok(change(ask, &input.campaign_id, resume).await?.into())
    }

    /// Makes up for the runs that were due in a time and did not happen, one after another; at most 100.
    async fn backfill_campaign(
        &self,
        ctx: &Context<'_>,
        input: BackfillCampaignInput,
    ) -> Result<BackfillCampaignPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let (from, until) = (input.from, input.until);
        let backfill = |bot, at| CampaignCommand::Backfill { from, until, bot, at };
        Ok(change(ask, &input.campaign_id, backfill).await?.into())
    }
}

/// Changes the schedule of a campaign of the caller's own.
async fn change(
    ask: &Ask<'_>,
    campaign_id: &ID,
    command: impl FnOnce(BotStanding, DateTime<Utc>) -> CampaignCommand + Send,
) -> Result<(Option<Campaign>, Vec<UserError>)> {
    let act = |metadata: Metadata| async move {
        let Some(id) = own(ask, campaign_id).await? else { return Ok(Answer::refused(missing())) };
        let bot = ask.services.deps.bus.load::<Bot>(&ask.bot_id().to_string()).await.map_err(fault)?.state;
        let command = command(BotStanding::of(&bot, id), metadata.recorded_at);
        execute(ask, id, command, &metadata).await
    };
    let answer = ask.once(SCHEDULES, act).await?;
    shown(ask, answer).await
}
