//! What each event does to an action's row: one statement an event.

use chrono::{DateTime, Utc};
use domain::bot::{BotEvent, FailureClass, Settlement};
use domain::ids::{ActionId, BotId};
use sqlx::PgConnection;
use store::event::StoredEvent;

use super::ActionStatus;
use crate::columns;
use crate::error::ProjectionError;

/// How an action ended, or that it is in doubt.
struct Ending<'e> {
    action_id: ActionId,
    status: ActionStatus,
    class: Option<FailureClass>,
    code: Option<&'e str>,
    evidence: Option<&'e str>,
    /// `None` while it is in doubt.
    settled_at: Option<DateTime<Utc>>,
}

impl Ending<'_> {
    fn new(action_id: ActionId, status: ActionStatus, at: DateTime<Utc>) -> Self {
        let settled_at = (status != ActionStatus::InDoubt).then_some(at);
        Self { action_id, status, class: None, code: None, evidence: None, settled_at }
    }
}

/// Folds one event into the action's row.
pub(super) async fn apply(
    db: &mut PgConnection,
    bot_id: BotId,
    stored: &StoredEvent,
    event: &BotEvent,
) -> Result<(), ProjectionError> {
    match event {
        BotEvent::ActionReserved { .. } => reserve(db, bot_id, stored, event).await,
        BotEvent::ActionSuppressed { .. } => suppress(db, bot_id, stored, event).await,
        _ => match ending(event) {
            Some(ending) => settle(db, bot_id, stored, ending).await,
            None => Ok(()),
        },
    }
}

fn ending(event: &BotEvent) -> Option<Ending<'_>> {
    Some(match event {
        BotEvent::ActionPerformed { action_id, evidence, at, .. } => {
            Ending { evidence: Some(evidence), ..Ending::new(*action_id, ActionStatus::Performed, *at) }
        }
        BotEvent::ActionSimulated { action_id, at, .. } => Ending::new(*action_id, ActionStatus::Simulated, *at),
        BotEvent::ActionRefused { action_id, class, code, at, .. } => {
            Ending { class: Some(*class), code: Some(code), ..Ending::new(*action_id, ActionStatus::Refused, *at) }
        }
        BotEvent::ActionFailed { action_id, class, code, at, .. } => {
            Ending { class: Some(*class), code: Some(code), ..Ending::new(*action_id, ActionStatus::Failed, *at) }
        }
        BotEvent::ActionInDoubt { action_id, code, evidence, at, .. } => {
            Ending { code: Some(code), evidence: Some(evidence), ..Ending::new(*action_id, ActionStatus::InDoubt, *at) }
        }
        BotEvent::ActionReconciled { action_id, settlement, evidence, at, .. } => {
            let status = match settlement {
                Settlement::Performed => ActionStatus::ReconciledPerformed,
                Settlement::NotPerformed => ActionStatus::ReconciledNotPerformed,
            };
            Ending { evidence: Some(evidence), ..Ending::new(*action_id, status, *at) }
        }
        _ => return None,
    })
}

async fn reserve(
    db: &mut PgConnection,
    bot_id: BotId,
    stored: &StoredEvent,
    event: &BotEvent,
) -> Result<(), ProjectionError> {
    let BotEvent::ActionReserved {
        action_id, run_id, campaign_id, kind, target, mode, requests, local_day, at, ..
    } = event
    else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO actions (action_id, bot_id, run_id, campaign_id, kind, target, mode, status, local_day,
                              first_position, updated_at, suppressions, requests, reserved_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13)
         ON CONFLICT (action_id) DO UPDATE
            SET status = excluded.status,
                local_day = excluded.local_day,
                requests = excluded.requests,
                reserved_at = excluded.reserved_at,
                updated_at = excluded.updated_at",
    )
    .bind(action_id.uuid())
    .bind(bot_id.uuid())
    .bind(run_id.uuid())
    .bind(campaign_id.uuid())
    .bind(kind.as_str())
    .bind(columns::text(target))
    .bind(mode.as_str())
    .bind(ActionStatus::Open.as_str())
    .bind(local_day)
    .bind(stored.position)
    .bind(stored.recorded_at)
    .bind(i64::from(*requests))
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

async fn suppress(
    db: &mut PgConnection,
    bot_id: BotId,
    stored: &StoredEvent,
    event: &BotEvent,
) -> Result<(), ProjectionError> {
    let BotEvent::ActionSuppressed {
        action_id,
        run_id,
        campaign_id,
        kind,
        target,
        mode,
        reason,
        counter,
        window,
        frees_at,
        local_day,
        at,
    } = event
    else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO actions (action_id, bot_id, run_id, campaign_id, kind, target, mode, status, local_day,
                              first_position, updated_at, suppressions, suppressed_at, suppress_reason,
                              suppress_counter, suppress_window, frees_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13, $14, $15, $16)
         ON CONFLICT (action_id) DO UPDATE
            SET local_day = excluded.local_day,
                suppressions = actions.suppressions + 1,
                suppressed_at = excluded.suppressed_at,
                suppress_reason = excluded.suppress_reason,
                suppress_counter = excluded.suppress_counter,
                suppress_window = excluded.suppress_window,
                frees_at = excluded.frees_at,
                updated_at = excluded.updated_at",
    )
    .bind(action_id.uuid())
    .bind(bot_id.uuid())
    .bind(run_id.uuid())
    .bind(campaign_id.uuid())
    .bind(kind.as_str())
    .bind(columns::text(target))
    .bind(mode.as_str())
    .bind(ActionStatus::Suppressed.as_str())
    .bind(local_day)
    .bind(stored.position)
    .bind(stored.recorded_at)
    .bind(at)
    .bind(reason.as_str())
    .bind(counter.map(domain::bot::Counter::as_str))
    .bind(window.map(domain::bot::Window::as_str))
    .bind(frees_at)
    .execute(db)
    .await?;
    Ok(())
}

/// The code of an action in doubt stays when it is reconciled.
async fn settle(
    db: &mut PgConnection,
    bot_id: BotId,
    stored: &StoredEvent,
    ending: Ending<'_>,
) -> Result<(), ProjectionError> {
    let done = sqlx::query(
        "UPDATE actions
            SET status = $3,
                class = coalesce($4, class),
                code = coalesce($5, code),
                evidence = coalesce($6, evidence),
                settled_at = $7,
                updated_at = $8
          WHERE action_id = $1
            AND bot_id = $2",
    )
    .bind(ending.action_id.uuid())
    .bind(bot_id.uuid())
    .bind(ending.status.as_str())
    .bind(ending.class.map(FailureClass::as_str))
    .bind(ending.code.map(columns::text))
    .bind(ending.evidence.map(columns::text))
    .bind(ending.settled_at)
    .bind(stored.recorded_at)
    .execute(db)
    .await?;
    columns::one_row(&done, "actions", ending.action_id)
}
