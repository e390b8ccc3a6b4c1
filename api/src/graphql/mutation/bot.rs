//! Mutations of the bot as a whole.

use async_graphql::{Context, ID, InputObject, Object, Result};
use domain::bot::{self as bots, BotCommand, BotError};
use domain::metadata::Metadata;

use super::payload::{bot_payloads, plain_inputs};
use crate::graphql::action::action_id;
use crate::graphql::ask::{Answer, Ask, BOTS};
use crate::graphql::bot::Bot;
use crate::graphql::error::UserError;
use crate::graphql::names::Settlement;

const LONGEST_NOTE: usize = 500;

plain_inputs! {
    /// Gives the user their bot.
    InitializeBotInput,
    /// Takes a bot out of ERROR.
    RecoverBotInput,
}

bot_payloads! {
    /// What `initializeBot` did.
    InitializeBotPayload,
    /// What `recoverBot` did.
    RecoverBotPayload,
    /// What `changeLimits` did.
    ChangeLimitsPayload,
    /// What `settleAction` did.
    SettleActionPayload,
}

/// New limits; what is left out stays as it was chosen. Lowered limits hold at once, raised ones from the account's next
/// day on.
#[derive(Debug, InputObject)]
pub struct ChangeLimitsInput {
    /// People followed a day.
    follow: Option<u32>,
    /// People no longer followed a day.
    unfollow: Option<u32>,
    /// Posts liked a day.
    like: Option<u32>,
    /// Stories seen or liked a day.
    story: Option<u32>,
    /// Comments a day.
    comment: Option<u32>,
    /// Direct messages a day.
    dm: Option<u32>,
    /// Calls of the gateway a day.
    request: Option<u32>,
    /// From which to which hour of the account's day automation may act.
    working_hours: Option<WorkingHoursInput>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// From which to which hour automation may act.
#[derive(Debug, Clone, Copy, InputObject)]
pub struct WorkingHoursInput {
    /// First hour, 0 to 23.
    from: u8,
    /// The hour at which it ends, 1 to 24.
    until: u8,
}

/// What a person found out about an action in doubt.
#[derive(Debug, InputObject)]
pub struct SettleActionInput {
    /// Global id of the action.
    action_id: ID,
    /// Whether it took effect.
    settlement: Settlement,
    /// How the person knows, at most 500 characters.
    note: Option<String>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

impl ChangeLimitsInput {
    fn applied_to(&self, chosen: &bots::Limits) -> bots::Limits {
        bots::Limits {
            follow: self.follow.unwrap_or(chosen.follow),
            unfollow: self.unfollow.unwrap_or(chosen.unfollow),
            like: self.like.unwrap_or(chosen.like),
            story: self.story.unwrap_or(chosen.story),
            comment: self.comment.unwrap_or(chosen.comment),
            dm: self.dm.unwrap_or(chosen.dm),
            request: self.request.unwrap_or(chosen.request),
            hours: self
                .working_hours
                .map_or(chosen.hours, |hours| bots::WorkingHours { from: hours.from, until: hours.until }),
        }
    }
}

/// Mutations of the bot as a whole.
#[derive(Default)]
pub struct BotMutation;

#[Object]
impl BotMutation {
    /// Gives whoever asks their bot. Nothing acts by that.
    async fn initialize_bot(&self, ctx: &Context<'_>, input: InitializeBotInput) -> Result<InitializeBotPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let bot_id = ask.bot_id();
        Ok(ask.bot(|at| BotCommand::Initialize { bot_id, at }).await?.into())
    }

    /// Takes the bot out of ERROR, logged out. The reason should be understood first.
    async fn recover_bot(&self, ctx: &Context<'_>, input: RecoverBotInput) -> Result<RecoverBotPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(ask.bot(|at| BotCommand::RecoverBot { at }).await?.into())
    }

    /// Changes the limits, inside ceilings that nobody can pass.
    async fn change_limits(&self, ctx: &Context<'_>, input: ChangeLimitsInput) -> Result<ChangeLimitsPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let answer = ask
            .once(BOTS, |metadata: Metadata| async move {
                let Bot { state, now, .. } = Bot::load(ask.services, ask.bot_id()).await?;
                let chosen = state.raised_limits().map_or_else(|| state.limits_at(now), |(limits, _)| limits);
                let limits = input.applied_to(chosen);
                let command = BotCommand::ChangeLimits { limits, at: metadata.recorded_at };
                ask.execute_bot(command, &metadata).await
            })
            .await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Says what became of an action in doubt. It is never done again by itself.
    async fn settle_action(&self, ctx: &Context<'_>, input: SettleActionInput) -> Result<SettleActionPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let command = match settled(&input) {
            Ok(command) => command,
            Err(error) => return Ok(ask.bot_answer(Answer::refused(error)).await?.into()),
        };
        Ok(ask.bot(command).await?.into())
    }
}

fn settled(
    input: &SettleActionInput,
) -> Result<impl FnOnce(chrono::DateTime<chrono::Utc>) -> BotCommand + Send + use<>, UserError> {
    let action_id = action_id(&input.action_id).ok_or_else(|| UserError::not_found("action", &["actionId"]))?;
    let note = input.note.clone().unwrap_or_default();
    let length = note.chars().count();
    if length > LONGEST_NOTE {
        return Err((&BotError::TooLong { field: "note", length, most: LONGEST_NOTE }).into());
    }
    let evidence = if note.trim().is_empty() { "a person said so".to_owned() } else { format!("a person: {note}") };
    let settlement = input.settlement.into();
    Ok(move |at| BotCommand::ReconcileAction { action_id, settlement, evidence, at })
}
