//! Mutations that switch automation on and off. On takes two steps, so that a person sees what they agree to.

use async_graphql::{Context, InputObject, Object, Result};
use domain::bot::{BotCommand, BotError};
use domain::ids::EnablementId;
use domain::metadata::Metadata;
use domain::plan::PlanHash;

use super::payload::{bot_payloads, plain_inputs};
use crate::code::Code;
use crate::graphql::ask::{Answer, Ask, BOTS};
use crate::graphql::bot::Bot;
use crate::graphql::error::UserError;
use crate::graphql::names::Mode;
use crate::graphql::plan::{self, Plan};

plain_inputs! {
    /// Acts again.
    ResumeAutomationInput,
}

bot_payloads! {
    /// What `authorizeAutomation` did.
    AuthorizeAutomationPayload,
    /// What `enableAutomation` did.
    EnableAutomationPayload,
    /// What `pauseAutomation` did.
    PauseAutomationPayload,
    /// What `resumeAutomation` did.
    ResumeAutomationPayload,
    /// What `disableAutomation` did.
    DisableAutomationPayload,
}

/// Step 1 of switching automation on.
#[derive(Debug, InputObject)]
pub struct AuthorizeAutomationInput {
    /// Whether writes will reach Instagram. LIVE needs a finished dry run of the same plan.
    mode: Mode,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Step 2 of switching automation on.
#[derive(Debug, InputObject)]
pub struct EnableAutomationInput {
    /// The hash of the plan that the person saw: `bot.authorization.planHash`.
    plan_hash: String,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Stops acting until it is resumed.
#[derive(Debug, InputObject)]
pub struct PauseAutomationInput {
    /// Why, at most 500 characters.
    reason: Option<String>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Switches automation off.
#[derive(Debug, InputObject)]
pub struct DisableAutomationInput {
    /// Why, at most 500 characters.
    reason: Option<String>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Mutations that switch automation on and off.
#[derive(Default)]
pub struct AutomationMutation;

#[Object]
impl AutomationMutation {
    /// Step 1 of 2: agrees to the plan as it is now. The connection must have been tested in the last 10 minutes.
    async fn authorize_automation(
        &self,
        ctx: &Context<'_>,
        input: AuthorizeAutomationInput,
    ) -> Result<AuthorizeAutomationPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let plan = match current_plan(ask, "AuthorizeAutomation").await? {
                Ok(plan) => plan,
                Err(refusal) => return Ok(Answer::refused(&refusal)),
            };
            let command = BotCommand::AuthorizeAutomation {
                plan_hash: plan.hash(),
                campaigns: plan.campaign_ids(),
                mode: input.mode.into(),
                dry_run_waived: ask.services.deps.settings.dry_run_waived,
                at: metadata.recorded_at,
            };
            ask.execute_bot(command, &metadata).await
        };
        let answer = ask.once(BOTS, act).await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Step 2 of 2: automation acts from now on, in the authorized mode. Refused when the plan changed since step 1.
    async fn enable_automation(
        &self,
        ctx: &Context<'_>,
        input: EnableAutomationInput,
    ) -> Result<EnableAutomationPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let Ok(confirmed) = input.plan_hash.parse::<PlanHash>() else {
                return Ok(Answer::refused(invalid_plan_hash()));
            };
            let current = match current_plan(ask, "EnableAutomation").await? {
                Ok(plan) => plan.hash(),
                Err(refusal) => return Ok(Answer::refused(&refusal)),
            };
            let enablement_id = EnablementId::from_uuid(ask.services.deps.entropy.uuid());
            let command = BotCommand::EnableAutomation { enablement_id, confirmed, current, at: metadata.recorded_at };
            ask.execute_bot(command, &metadata).await
        };
        let answer = ask.once(BOTS, act).await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Stops acting until it is resumed.
    async fn pause_automation(&self, ctx: &Context<'_>, input: PauseAutomationInput) -> Result<PauseAutomationPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let reason = input.reason.clone().unwrap_or_default();
        Ok(ask.bot(|at| BotCommand::PauseAutomation { reason, at }).await?.into())
    }

    /// Acts again, under the same plan and in the same mode.
    async fn resume_automation(
        &self,
        ctx: &Context<'_>,
        input: ResumeAutomationInput,
    ) -> Result<ResumeAutomationPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(ask.bot(|at| BotCommand::ResumeAutomation { at }).await?.into())
    }

    /// Switches automation off. On again takes both steps.
    async fn disable_automation(
        &self,
        ctx: &Context<'_>,
        input: DisableAutomationInput,
    ) -> Result<DisableAutomationPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let reason = input.reason.clone().unwrap_or_default();
        Ok(ask.bot(|at| BotCommand::DisableAutomation { reason, at }).await?.into())
    }
}

/// The plan as it is now. A bot without an account cannot be in a state that allows `command`.
async fn current_plan(ask: &Ask<'_>, command: &'static str) -> Result<Result<Plan, BotError>> {
    plan::wait_for_campaigns(ask.services).await?;
    let bot = Bot::load(ask.services, ask.bot_id()).await?;
    let state = bot.state.state();
    let plan = plan::of(ask.services, &bot).await?;
    Ok(plan.ok_or(BotError::NotAllowed { command, state }))
}

fn invalid_plan_hash() -> UserError {
    let message = "a plan hash is 64 hexadecimal digits, as bot.authorization.planHash shows it";
    UserError::new(Code::PlanHashInvalid, message, &["planHash"])
}
