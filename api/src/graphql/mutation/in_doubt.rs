//! Mutations of the in-doubt desk. Settling by hand is the bot's `settleAction`.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use domain::bot::BotError;
use domain::ids::ActionId;
use domain::metadata::Metadata;
use projections::actions;
use projections::reactor::work::Work;

use super::job_bulk::errand;
use crate::graphql::action::action_id;
use crate::graphql::ask::{Answer, Ask};
use crate::graphql::bot::Bot;
use crate::graphql::error::{UserError, fault};
use crate::graphql::in_doubt::InDoubtAction;

/// An action in doubt that a worker is to look after.
#[derive(Debug, InputObject)]
pub struct ProbeInDoubtInput {
    /// Global id of the action.
    action_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// What `probeInDoubt` began.
#[derive(SimpleObject)]
pub struct ProbeInDoubtPayload {
    /// The action as it is now; the look follows. Null when it was refused.
    in_doubt: Option<InDoubtAction>,
    /// Why it was refused; empty when it was begun.
    user_errors: Vec<UserError>,
}

/// Mutations of the in-doubt desk.
#[derive(Default)]
pub struct InDoubtMutation;

#[Object]
impl InDoubtMutation {
    /// Lets a worker look at Instagram again. What it sees for sure settles the action; otherwise it stays in doubt, and
    /// the person decides. Nothing is sent.
    async fn probe_in_doubt(&self, ctx: &Context<'_>, input: ProbeInDoubtInput) -> Result<ProbeInDoubtPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let missing = || Answer::refused(UserError::not_found("action", &["actionId"]));
            let Some(action_id) = action_id(&input.action_id) else { return Ok(missing()) };
            let bot = Bot::load(ask.services, ask.bot_id()).await?.state;
            if !bot.in_doubt().any(|doubt| doubt.action_id == action_id) {
                return Ok(Answer::refused(&BotError::NotInDoubt { action_id }));
            }
            let work = Work::ProbeAction { action_id };
            let command = errand(ask, &work, action_id.uuid(), &metadata);
            ask.services.deps.queue.enqueue(&[command]).await.map_err(fault)?;
            Ok(Answer { subject: Some(action_id.uuid()), ..Answer::default() })
        };
        let answer = ask.once(&[], act).await?;
        let in_doubt = match answer.subject().map(ActionId::from_uuid) {
            Some(id) => actions::by_id(&ask.services.deps.pool, id).await.map_err(fault)?.map(InDoubtAction),
            None => None,
        };
        Ok(ProbeInDoubtPayload { in_doubt, user_errors: answer.user_errors })
    }
}
