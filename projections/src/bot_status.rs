//! `bot_status`: where each bot stands and why. The state machine is the domain's; the fold only follows its events.

mod fold;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::bot::{ActionKind, BotState, FailureClass, Limits, LoginFailureReason, Mode};
use domain::ids::{BotId, EnablementId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `bot_status`.
#[derive(Debug, Clone, Copy)]
pub struct BotStatuses;

/// Where a bot stands.
#[derive(Debug, Clone, PartialEq)]
pub struct BotStatus {
    pub bot_id: BotId,
    pub state: BotState,
    /// Why, when there is more to say than the state.
    pub reason: Option<String>,
    pub automation: Option<Automation>,
    pub authorization: Option<Authorization>,
    pub login: Login,
    /// The challenge that locks login until a person says that it is settled.
    pub challenge: Option<String>,
    pub slow_down: Option<SlowDown>,
    /// Kinds of action that the platform blocked; a block may be over by now.
    pub kind_blocks: BTreeMap<ActionKind, KindBlock>,
    /// Kinds of action that stopped until automation is enabled again.
    pub stopped_modules: BTreeMap<ActionKind, StoppedModule>,
    /// `None`: the usual limits.
    pub limits: Option<ChosenLimits>,
    /// The last event of the bot's stream that is in here.
    pub last_sequence: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automation {
    pub mode: Mode,
    pub enablement_id: EnablementId,
    pub enabled_at: DateTime<Utc>,
}

/// Step 1 of switching on, waiting for the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub plan_hash: String,
    pub mode: Mode,
    pub authorized_at: DateTime<Utc>,
}

/// The login and its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub attempt: u32,
    /// In a row.
    pub failures: u32,
    pub failure: Option<LoginFailureReason>,
    pub retry_not_before: Option<DateTime<Utc>>,
    pub two_factor_pending: bool,
    pub session_expires_at: Option<DateTime<Utc>>,
    pub connection_verified_at: Option<DateTime<Utc>>,
    /// Why the last connection test had no answer.
    pub connection_failure: Option<String>,
}

/// The platform asked to slow down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowDown {
    pub step: u32,
    pub until: DateTime<Utc>,
    pub code: String,
}

/// The platform blocked a kind of action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindBlock {
    pub strike: u32,
    pub until: DateTime<Utc>,
    pub halved_until: Option<DateTime<Utc>>,
}

/// A module stopped after an answer that nobody understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedModule {
    pub class: FailureClass,
    pub code: String,
    pub at: DateTime<Utc>,
}

/// Limits that a person chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenLimits {
    pub limits: Limits,
    /// What holds until `raise_at`.
    pub effective: Limits,
    pub raise_at: DateTime<Utc>,
}

#[async_trait]
impl Projection for BotStatuses {
    fn name(&self) -> &'static str {
        "bot_status"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["bot_status"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        match &event.event {
            AnyEvent::Bot(bot_id, change) => {
                fold::apply(db, *bot_id, event.stored.sequence, event.stored.recorded_at, change).await
            }
            _ => Ok(()),
        }
    }
}

impl FromRow<'_, PgRow> for BotStatus {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            state: columns::name(row, "state")?,
            reason: row.try_get("reason")?,
            automation: automation(row)?,
            authorization: authorization(row)?,
            login: Login {
                attempt: columns::count(row, "login_attempt")?,
                failures: columns::count(row, "login_failures")?,
                failure: columns::optional_name(row, "login_failure")?,
                retry_not_before: row.try_get("retry_not_before")?,
                two_factor_pending: row.try_get("two_factor_pending")?,
                session_expires_at: row.try_get("session_expires_at")?,
                connection_verified_at: row.try_get("connection_verified_at")?,
                connection_failure: row.try_get("connection_failure")?,
            },
            challenge: row.try_get("challenge_kind")?,
            slow_down: slow_down(row)?,
            kind_blocks: columns::json(row, "kind_blocks")?,
            stopped_modules: columns::json(row, "stopped_modules")?,
            limits: limits(row)?,
            last_sequence: row.try_get("last_sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

fn automation(row: &PgRow) -> Result<Option<Automation>, sqlx::Error> {
    let mode = columns::optional_name(row, "mode")?;
    let enablement_id = columns::optional_id(row, "enablement_id", EnablementId::from_uuid)?;
    let enabled_at = row.try_get("enabled_at")?;
    Ok(match (mode, enablement_id, enabled_at) {
        (Some(mode), Some(enablement_id), Some(enabled_at)) => Some(Automation { mode, enablement_id, enabled_at }),
        _ => None,
    })
}

fn authorization(row: &PgRow) -> Result<Option<Authorization>, sqlx::Error> {
    let plan_hash = row.try_get("authorized_plan_hash")?;
    let mode = columns::optional_name(row, "authorized_mode")?;
    let authorized_at = row.try_get("authorized_at")?;
    Ok(match (plan_hash, mode, authorized_at) {
        (Some(plan_hash), Some(mode), Some(authorized_at)) => Some(Authorization { plan_hash, mode, authorized_at }),
        _ => None,
    })
}

fn slow_down(row: &PgRow) -> Result<Option<SlowDown>, sqlx::Error> {
    let step = columns::optional_count(row, "slow_down_step")?;
    let until = row.try_get("slow_down_until")?;
    let code = row.try_get("slow_down_code")?;
    Ok(match (step, until, code) {
        (Some(step), Some(until), Some(code)) => Some(SlowDown { step, until, code }),
        _ => None,
    })
}

fn limits(row: &PgRow) -> Result<Option<ChosenLimits>, sqlx::Error> {
    let limits = columns::optional_json(row, "limits")?;
    let effective = columns::optional_json(row, "effective_limits")?;
    let raise_at = row.try_get("limits_raise_at")?;
    Ok(match (limits, effective, raise_at) {
        (Some(limits), Some(effective), Some(raise_at)) => Some(ChosenLimits { limits, effective, raise_at }),
        _ => None,
    })
}

const COLUMNS: &str = "bot_id, state, reason, mode, enablement_id, enabled_at, authorized_plan_hash, authorized_mode,
     authorized_at, login_attempt, login_failures, login_failure, retry_not_before, two_factor_pending, challenge_kind,
     session_expires_at, connection_verified_at, connection_failure, slow_down_step, slow_down_until, slow_down_code,
     kind_blocks, stopped_modules, limits, effective_limits, limits_raise_at, last_sequence, created_at, updated_at";

/// Where a bot stands; `None` before it is initialized.
pub async fn of_bot(db: impl PgExecutor<'_>, bot_id: BotId) -> Result<Option<BotStatus>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM bot_status WHERE bot_id = $1"))
        .bind(bot_id.uuid())
        .fetch_optional(db)
        .await
}

/// Where many bots stand, in no order.
pub async fn of_bots(db: impl PgExecutor<'_>, bot_ids: &[BotId]) -> Result<Vec<BotStatus>, sqlx::Error> {
    let ids: Vec<_> = bot_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM bot_status WHERE bot_id = ANY ($1)")).bind(ids).fetch_all(db).await
}

/// The bots in one state, or all, by their ids.
pub async fn list(
    db: impl PgExecutor<'_>,
    state: Option<BotState>,
    page: &PageRequest<BotId>,
) -> Result<Page<BotStatus>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "SELECT {COLUMNS}
           FROM bot_status
          WHERE ($1::text IS NULL OR state = $1)
            AND ($2::uuid IS NULL OR bot_id {beyond} $2)
          ORDER BY bot_id {order}
          LIMIT $3"
    );
    let rows = sqlx::query_as(&sql)
        .bind(state.map(BotState::as_str))
        .bind(page.after.map(BotId::uuid))
        .bind(page.fetched())
        .fetch_all(db)
        .await?;
    Ok(page.page(rows))
}

/// How many bots are in each state.
pub async fn count_by_state(db: impl PgExecutor<'_>) -> Result<BTreeMap<BotState, i64>, sqlx::Error> {
    let rows = sqlx::query("SELECT state, count(*) AS bots FROM bot_status GROUP BY state").fetch_all(db).await?;
    rows.iter().map(|row| Ok((columns::name(row, "state")?, row.try_get("bots")?))).collect()
}
