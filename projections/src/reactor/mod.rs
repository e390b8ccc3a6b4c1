//! Reactors: projections whose rows are commands for the workers. A command is enqueued in the transaction that moves
//! the checkpoint, once for each event; a reactor is never rebuilt. The migration that installs one puts its checkpoint at
//! the head of the log, so that what happened before asks for no work.

pub mod accounts;
pub mod automation;
pub mod campaign_due;
pub mod work;

use domain::ids::{BotId, derive};
use store::command_queue::NewCommand;
use uuid::Uuid;

use self::work::Work;
use crate::error::ProjectionError;
use crate::projection::LogEvent;

/// Failures that count before a command is dead.
const MOST_ATTEMPTS: i32 = 10;

/// The command that `event` asks for; `part` tells apart several of one kind.
///
/// Due at once by the engine's clock: at the event's own time, which has passed.
fn command(
    event: &LogEvent,
    bot_id: BotId,
    work: &Work,
    part: &str,
    group_key: Option<Uuid>,
) -> Result<NewCommand, ProjectionError> {
    let metadata = event.metadata()?;
    let event_id = event.stored.event_id.to_string();
    let dedupe_key = format!("{}:{event_id}:{part}", work.kind());
    Ok(NewCommand {
        id: derive(&["command", &dedupe_key]),
        bot_id,
        kind: work.kind().to_owned(),
        payload: work.payload(),
        dedupe_key: Some(dedupe_key),
        group_key,
        priority: work.priority(),
        not_before: event.stored.recorded_at,
        max_attempts: MOST_ATTEMPTS,
        correlation_id: metadata.correlation_id,
        causation_id: event.stored.event_id,
        actor: metadata.actor.to_string(),
    })
}
