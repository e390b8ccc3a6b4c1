//! What each event does to a bot's row: one statement an event.

use chrono::{DateTime, Utc};
use domain::bot::BotEvent;
use domain::ids::BotId;
use sqlx::PgConnection;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::{KindBlock, StoppedModule};
use crate::columns;
use crate::error::ProjectionError;

/// Automation is off, whether it was on or only agreed to.
macro_rules! off {
    () => {
        "mode = NULL, enablement_id = NULL, enabled_at = NULL,
         authorized_plan_hash = NULL, authorized_mode = NULL, authorized_at = NULL"
    };
}

/// No session, and so no automation.
macro_rules! logged_out {
    () => {
        concat!(off!(), ", session_expires_at = NULL, connection_verified_at = NULL, connection_failure = NULL")
    };
}

/// The event's place in the stream and its instant, which every change notes.
#[derive(Clone, Copy)]
struct Noted {
    bot_id: BotId,
    sequence: i64,
    at: DateTime<Utc>,
}

type Change<'q> = Query<'q, Postgres, PgArguments>;

/// `UPDATE bot_status SET …` of one bot; parameters of the assignments start at `$4`.
macro_rules! set {
    ($noted:expr) => {
        $noted.change("UPDATE bot_status SET last_sequence = $2, updated_at = $3 WHERE bot_id = $1")
    };
    ($noted:expr, $($assignments:expr),+) => {
        $noted.change(concat!(
            "UPDATE bot_status SET ", $($assignments,)+ ", last_sequence = $2, updated_at = $3 WHERE bot_id = $1"
        ))
    };
}

impl Noted {
    fn change(self, sql: &str) -> Change<'_> {
        sqlx::query(sql).bind(self.bot_id.uuid()).bind(self.sequence).bind(self.at)
    }
}

/// Folds one event into the bot's row.
pub(super) async fn apply(
    db: &mut PgConnection,
    bot_id: BotId,
    sequence: i64,
    at: DateTime<Utc>,
    event: &BotEvent,
) -> Result<(), ProjectionError> {
    let noted = Noted { bot_id, sequence, at };
    let done = change(noted, event)?.execute(db).await?;
    columns::one_row(&done, "bot_status", bot_id)
}

fn change(noted: Noted, event: &BotEvent) -> Result<Change<'_>, ProjectionError> {
    Ok(match event {
        BotEvent::BotInitialized { .. } => noted.change(
            "INSERT INTO bot_status (bot_id, state, login_attempt, login_failures, two_factor_pending, kind_blocks,
                                     stopped_modules, last_sequence, created_at, updated_at)
             VALUES ($1, 'LOGGED_OUT', 0, 0, false, '{}', '{}', $2, $3, $3)",
        ),
        BotEvent::LimitsChanged { limits, effective, raises_at, .. } => {
            set!(noted, "limits = $4, effective_limits = $5, limits_raise_at = $6")
                .bind(columns::to_json(limits)?)
                .bind(columns::to_json(effective)?)
                .bind(raises_at)
        }
        BotEvent::BotFailed { reason, .. } => {
            set!(noted, "state = 'ERROR', reason = $4, ", logged_out!()).bind(columns::text(reason))
        }
        BotEvent::BotRecovered { .. } => set!(noted, "state = 'LOGGED_OUT', reason = NULL"),
        BotEvent::AccountLinked { .. }
        | BotEvent::AccountUnlinked { .. }
        | BotEvent::LoginRequested { .. }
        | BotEvent::LoginSucceeded { .. }
        | BotEvent::LoginFailed { .. }
        | BotEvent::TwoFactorRequired { .. } => login(noted, event),
        BotEvent::ChallengeRaised { .. }
        | BotEvent::ChallengeResolved { .. }
        | BotEvent::ConnectionTestRequested { .. }
        | BotEvent::ConnectionVerified { .. }
        | BotEvent::ConnectionTestFailed { .. }
        | BotEvent::SessionExpired { .. }
        | BotEvent::LoggedOut { .. } => session(noted, event),
        BotEvent::AutomationAuthorized { .. }
        | BotEvent::AutomationEnabled { .. }
        | BotEvent::AutomationPaused { .. }
        | BotEvent::AutomationResumed { .. }
        | BotEvent::AutomationDisabled { .. } => automation(noted, event),
        BotEvent::ActionKindBlocked { .. } | BotEvent::SlowDownStarted { .. } | BotEvent::ModuleStopped { .. } => {
            trouble(noted, event)?
        }
        // Runs, requests and actions have tables of their own.
        BotEvent::RunStarted { .. }
        | BotEvent::RunFinished { .. }
        | BotEvent::DryRunFinished { .. }
        | BotEvent::RequestsReserved { .. }
        | BotEvent::RequestsSuppressed { .. }
        | BotEvent::ActionReserved { .. }
        | BotEvent::ActionSuppressed { .. }
        | BotEvent::ActionPerformed { .. }
        | BotEvent::ActionSimulated { .. }
        | BotEvent::ActionRefused { .. }
        | BotEvent::ActionFailed { .. }
        | BotEvent::ActionInDoubt { .. }
        | BotEvent::ActionReconciled { .. }
        | BotEvent::UnknownFailureSeen { .. }
        | BotEvent::ContactStopped { .. } => set!(noted),
    })
}

fn login(noted: Noted, event: &BotEvent) -> Change<'_> {
    match event {
        BotEvent::AccountLinked { .. } => set!(
            noted,
            "state = 'LOGGED_OUT', reason = NULL, two_factor_pending = false,
             login_failure = CASE WHEN login_failure = 'WRONG_PASSWORD' THEN NULL ELSE login_failure END"
        ),
        BotEvent::AccountUnlinked { .. } => set!(
            noted,
            "state = 'LOGGED_OUT', reason = NULL, two_factor_pending = false, challenge_kind = NULL, ",
            logged_out!()
        ),
        BotEvent::LoginRequested { attempt, .. } => {
            set!(noted, "state = 'LOGGING_IN', reason = NULL, login_attempt = $4").bind(i64::from(*attempt))
        }
        BotEvent::LoginSucceeded { session_expires_at, .. } => set!(
            noted,
            "state = 'LOGGED_IN', reason = NULL, login_failures = 0, login_failure = NULL, retry_not_before = NULL,
             two_factor_pending = false, challenge_kind = NULL, session_expires_at = $4, connection_verified_at = NULL,
             connection_failure = NULL"
        )
        .bind(session_expires_at),
        BotEvent::LoginFailed { reason, retry_not_before, .. } => set!(
            noted,
            "state = 'LOGGED_OUT', reason = $4, login_failures = login_failures + 1, login_failure = $4,
             retry_not_before = $5, two_factor_pending = ($4 = 'WRONG_TWO_FACTOR_CODE')"
        )
        .bind(reason.as_str())
        .bind(retry_not_before),
        BotEvent::TwoFactorRequired { .. } => {
            set!(
                noted,
                "state = 'LOGGED_OUT', reason = 'TWO_FACTOR_REQUIRED', two_factor_pending = true,
                 retry_not_before = NULL"
            )
        }
        _ => set!(noted),
    }
}

fn session(noted: Noted, event: &BotEvent) -> Change<'_> {
    match event {
        BotEvent::ChallengeRaised { kind, .. } => set!(
            noted,
            "state = CASE WHEN state IN ('RUNNING', 'PAUSED', 'ERROR') THEN 'ERROR' ELSE 'LOGGED_OUT' END,
             reason = 'challenge: ' || $4, challenge_kind = $4, two_factor_pending = false, ",
            logged_out!()
        )
        .bind(columns::text(kind)),
        BotEvent::ChallengeResolved { .. } => {
            set!(noted, "state = 'LOGGED_OUT', reason = NULL, challenge_kind = NULL")
        }
        BotEvent::ConnectionVerified { at } => {
            set!(noted, "connection_verified_at = $4, connection_failure = NULL").bind(at)
        }
        BotEvent::ConnectionTestFailed { code, .. } => set!(noted, "connection_failure = $4").bind(columns::text(code)),
        BotEvent::SessionExpired { code, .. } => {
            set!(noted, "state = 'LOGGED_OUT', reason = 'session ended: ' || $4, ", logged_out!())
                .bind(columns::text(code))
        }
        BotEvent::LoggedOut { .. } => set!(noted, "state = 'LOGGED_OUT', reason = NULL, ", logged_out!()),
        _ => set!(noted),
    }
}

fn automation(noted: Noted, event: &BotEvent) -> Change<'_> {
    match event {
        BotEvent::AutomationAuthorized { plan_hash, mode, at, .. } => {
            set!(noted, "authorized_plan_hash = $4, authorized_mode = $5, authorized_at = $6")
                .bind(plan_hash.to_string())
                .bind(mode.as_str())
                .bind(at)
        }
        BotEvent::AutomationEnabled { enablement_id, mode, at, .. } => set!(
            noted,
            "state = 'RUNNING', reason = NULL, mode = $4, enablement_id = $5, enabled_at = $6, stopped_modules = '{}',
             authorized_plan_hash = NULL, authorized_mode = NULL, authorized_at = NULL"
        )
        .bind(mode.as_str())
        .bind(enablement_id.uuid())
        .bind(at),
        BotEvent::AutomationPaused { reason, .. } => {
            set!(noted, "state = 'PAUSED', reason = $4").bind(columns::text(reason))
        }
        BotEvent::AutomationResumed { .. } => set!(noted, "state = 'RUNNING', reason = NULL"),
        BotEvent::AutomationDisabled { reason, .. } => {
            set!(noted, "state = 'LOGGED_IN', reason = $4, ", off!()).bind(columns::text(reason))
        }
        _ => set!(noted),
    }
}

fn trouble(noted: Noted, event: &BotEvent) -> Result<Change<'_>, ProjectionError> {
    Ok(match event {
        BotEvent::ActionKindBlocked { kind, strike, until, halved_until, .. } => {
            let block = KindBlock { strike: *strike, until: *until, halved_until: *halved_until };
            // Limits stay halved as long as an earlier block said.
            set!(
                noted,
                "kind_blocks = kind_blocks || jsonb_build_object($4::text, $5::jsonb || jsonb_build_object(
                     'halved_until',
                     coalesce(nullif($5::jsonb -> 'halved_until', 'null'), kind_blocks -> $4::text -> 'halved_until')))"
            )
            .bind(kind.as_str())
            .bind(columns::to_json(&block)?)
        }
        BotEvent::SlowDownStarted { step, until, code, .. } => {
            set!(noted, "slow_down_step = $4, slow_down_until = $5, slow_down_code = $6")
                .bind(i64::from(*step))
                .bind(until)
                .bind(columns::text(code))
        }
        BotEvent::ModuleStopped { kind, class, code, at } => {
            let stopped = StoppedModule { class: *class, code: code.clone(), at: *at };
            set!(noted, "stopped_modules = stopped_modules || jsonb_build_object($4::text, $5::jsonb)")
                .bind(kind.as_str())
                .bind(columns::clean(columns::to_json(&stopped)?))
        }
        _ => set!(noted),
    })
}
