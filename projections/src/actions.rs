//! `actions`: one row an action, from the first time that it had to wait or was reserved to how it ended.

mod fold;
pub mod people;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use domain::any_event::AnyEvent;
use domain::bot::{ActionKind, Counter, FailureClass, Mode, SuppressReason, UnknownName, Window};
use domain::ids::{ActionId, BotId, CampaignId, RunId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};
use uuid::Uuid;

use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `actions`.
#[derive(Debug, Clone, Copy)]
pub struct Actions;

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionStatus {
    /// It has to wait and was never reserved.
    Suppressed,
    /// Reserved; not settled.
    Open,
    Performed,
    Simulated,
    Refused,
    Failed,
    InDoubt,
    ReconciledPerformed,
    ReconciledNotPerformed,
}

impl ActionStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[
        Self::Suppressed,
        Self::Open,
        Self::Performed,
        Self::Simulated,
        Self::Refused,
        Self::Failed,
        Self::InDoubt,
        Self::ReconciledPerformed,
        Self::ReconciledNotPerformed,
    ];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppressed => "SUPPRESSED",
            Self::Open => "OPEN",
            Self::Performed => "PERFORMED",
            Self::Simulated => "SIMULATED",
            Self::Refused => "REFUSED",
            Self::Failed => "FAILED",
            Self::InDoubt => "IN_DOUBT",
            Self::ReconciledPerformed => "RECONCILED_PERFORMED",
            Self::ReconciledNotPerformed => "RECONCILED_NOT_PERFORMED",
        }
    }
}

impl fmt::Display for ActionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ActionStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownName { what: "ActionStatus", name: text.to_owned() })
    }
}

/// One side effect on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub action_id: ActionId,
    pub bot_id: BotId,
    pub run_id: RunId,
    pub campaign_id: CampaignId,
    pub kind: ActionKind,
    /// The platform's key of what is acted on.
    pub target: String,
    pub mode: Mode,
    pub status: ActionStatus,
    pub local_day: NaiveDate,
    /// Gateway calls that it was reserved with.
    pub requests: Option<u32>,
    pub class: Option<FailureClass>,
    pub code: Option<String>,
    pub evidence: Option<String>,
    /// The last time that it had to wait.
    pub suppression: Option<Suppression>,
    pub reserved_at: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
    /// Position of its first event: the key of lists.
    pub first_position: i64,
    pub updated_at: DateTime<Utc>,
}

/// Why an action had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// How often it had to.
    pub times: u32,
    pub at: DateTime<Utc>,
    pub reason: SuppressReason,
    pub counter: Option<Counter>,
    pub window: Option<Window>,
    /// `None`: not by waiting; a person has to act.
    pub frees_at: Option<DateTime<Utc>>,
}

/// Which actions are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionFilter {
    pub run_id: Option<RunId>,
    pub campaign_id: Option<CampaignId>,
    pub kind: Option<ActionKind>,
    pub mode: Option<Mode>,
    /// Any of these; all when empty.
    pub statuses: Vec<ActionStatus>,
}

#[async_trait]
impl Projection for Actions {
    fn name(&self) -> &'static str {
        "actions"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["actions"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        match &event.event {
            AnyEvent::Bot(bot_id, change) => fold::apply(db, *bot_id, &event.stored, change).await,
            _ => Ok(()),
        }
    }
}

impl FromRow<'_, PgRow> for Action {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            action_id: columns::id(row, "action_id", ActionId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            run_id: columns::id(row, "run_id", RunId::from_uuid)?,
            campaign_id: columns::id(row, "campaign_id", CampaignId::from_uuid)?,
            kind: columns::name(row, "kind")?,
            target: row.try_get("target")?,
            mode: columns::name(row, "mode")?,
            status: columns::name(row, "status")?,
            local_day: row.try_get("local_day")?,
            requests: columns::optional_count(row, "requests")?,
            class: columns::optional_name(row, "class")?,
            code: row.try_get("code")?,
            evidence: row.try_get("evidence")?,
            suppression: suppression(row)?,
            reserved_at: row.try_get("reserved_at")?,
            settled_at: row.try_get("settled_at")?,
            first_position: row.try_get("first_position")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

fn suppression(row: &PgRow) -> Result<Option<Suppression>, sqlx::Error> {
    let times = columns::count(row, "suppressions")?;
    let at = row.try_get("suppressed_at")?;
    let reason = columns::optional_name(row, "suppress_reason")?;
    let (Some(at), Some(reason)) = (at, reason) else { return Ok(None) };
    Ok(Some(Suppression {
        times,
        at,
        reason,
        counter: columns::optional_name(row, "suppress_counter")?,
        window: columns::optional_name(row, "suppress_window")?,
        frees_at: row.try_get("frees_at")?,
    }))
}

const COLUMNS: &str = "action_id, bot_id, run_id, campaign_id, kind, target, mode, status, local_day, requests, class,
     code, evidence, suppressions, suppressed_at, suppress_reason, suppress_counter, suppress_window, frees_at,
     reserved_at, settled_at, first_position, updated_at";

/// The action of an id.
pub async fn by_id(db: impl PgExecutor<'_>, action_id: ActionId) -> Result<Option<Action>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM actions WHERE action_id = $1"))
        .bind(action_id.uuid())
        .fetch_optional(db)
        .await
}

/// How many actions of a bot `filter` lets through.
pub async fn count_of_bot(db: impl PgExecutor<'_>, bot_id: BotId, filter: &ActionFilter) -> Result<i64, sqlx::Error> {
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    sqlx::query_scalar(
        "SELECT count(*)
           FROM actions
          WHERE bot_id = $1
            AND ($2::uuid IS NULL OR run_id = $2)
            AND ($3::uuid IS NULL OR campaign_id = $3)
            AND ($4::text IS NULL OR kind = $4)
            AND ($5::text IS NULL OR mode = $5)
            AND (cardinality($6::text[]) = 0 OR status = ANY ($6))",
    )
    .bind(bot_id.uuid())
    .bind(filter.run_id.map(RunId::uuid))
    .bind(filter.campaign_id.map(CampaignId::uuid))
    .bind(filter.kind.map(ActionKind::as_str))
    .bind(filter.mode.map(Mode::as_str))
    .bind(statuses)
    .fetch_one(db)
    .await
}

/// The actions of a bot in the order of their first events.
pub async fn of_bot(
    db: impl PgExecutor<'_>,
    bot_id: BotId,
    filter: &ActionFilter,
    page: &PageRequest<i64>,
) -> Result<Page<Action>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "SELECT {COLUMNS}
           FROM actions
          WHERE bot_id = $1
            AND ($2::uuid IS NULL OR run_id = $2)
            AND ($3::uuid IS NULL OR campaign_id = $3)
            AND ($4::text IS NULL OR kind = $4)
            AND ($5::text IS NULL OR mode = $5)
            AND (cardinality($6::text[]) = 0 OR status = ANY ($6))
            AND ($7::bigint IS NULL OR first_position {beyond} $7)
          ORDER BY first_position {order}
          LIMIT $8"
    );
    let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let rows = sqlx::query_as(&sql)
        .bind(bot_id.uuid())
        .bind(filter.run_id.map(RunId::uuid))
        .bind(filter.campaign_id.map(CampaignId::uuid))
        .bind(filter.kind.map(ActionKind::as_str))
        .bind(filter.mode.map(Mode::as_str))
        .bind(statuses)
        .bind(page.after)
        .bind(page.fetched())
        .fetch_all(db)
        .await?;
    Ok(page.page(rows))
}

/// Actions that have been open since before an instant, by their bots, after a bot: a bot has one at the most.
pub async fn open(
    db: impl PgExecutor<'_>,
    reserved_before: DateTime<Utc>,
    after: Option<BotId>,
    limit: i64,
) -> Result<Vec<(BotId, ActionId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT bot_id, action_id
           FROM actions
          WHERE status = 'OPEN'
            AND reserved_at <= $1
            AND ($2::uuid IS NULL OR bot_id > $2)
          ORDER BY bot_id
          LIMIT $3",
    )
    .bind(reserved_before)
    .bind(after.map(BotId::uuid))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(bot, action)| (BotId::from_uuid(bot), ActionId::from_uuid(action))).collect())
}
