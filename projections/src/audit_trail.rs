//! `audit_trail`: every event in words, with who asked for it and why. It shows; that nothing was changed is proved
//! elsewhere, from the hashes of the log. Of a job it has how it began and ended and what was done to it; what its
//! code did step by step is the job's own history, and is not written twice.

mod owners;
mod summary;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::ids::{BotId, RequestId, UserId};
use domain::job::JobEvent;
use domain::metadata::Actor;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

pub use summary::summary;

use self::owners::Owners;
use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `audit_trail`.
#[derive(Debug, Clone, Copy)]
pub struct AuditTrail;

/// One event in the audit trail.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub shard: i32,
    pub position: i64,
    pub event_id: Uuid,
    /// Engine time.
    pub recorded_at: DateTime<Utc>,
    pub actor: Actor,
    pub bot_id: Option<BotId>,
    /// Whose login, account, bot or campaign it is about; nobody's when it is about the engine.
    pub user_id: Option<UserId>,
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    pub request_id: RequestId,
    pub summary: String,
    pub payload: Value,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditFilter {
    pub user_id: Option<UserId>,
    pub actor: Option<Actor>,
    pub correlation_id: Option<Uuid>,
    /// Any of these; all when empty.
    pub event_types: Vec<String>,
    /// Engine time, included.
    pub from: Option<DateTime<Utc>>,
    /// Engine time, not included.
    pub until: Option<DateTime<Utc>>,
}

/// Where in the log an entry is: the key of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogKey {
    pub position: i64,
    pub shard: i32,
}

#[async_trait]
impl Projection for AuditTrail {
    fn name(&self) -> &'static str {
        "audit_trail"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["audit_trail", "audit_trail_campaigns"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        self.apply_all(db, &[event]).await
    }

    /// One statement for all, as nearly every event of the log has a row here.
    async fn apply_all(&self, db: &mut PgConnection, events: &[&LogEvent]) -> Result<(), ProjectionError> {
        let told: Vec<_> = events.iter().copied().filter(|event| is_told(event)).collect();
        if told.is_empty() {
            return Ok(());
        }
        let owners = Owners::of(db, &told).await?;
        let mut rows = Rows::default();
        for event in told {
            rows.push(event, &owners)?;
        }
        rows.insert(db).await
    }
}

/// Whether the event has an entry: all have but what a job's code records as it goes.
fn is_told(event: &LogEvent) -> bool {
    let AnyEvent::Job(_, event) = &event.event else { return true };
    match event {
        JobEvent::JobStarted { .. }
        | JobEvent::StepStarted { .. }
        | JobEvent::StepCompleted { .. }
        | JobEvent::StepFailed { .. }
        | JobEvent::TimerSet { .. }
        | JobEvent::TimerFired { .. }
        | JobEvent::SignalAwaited { .. }
        | JobEvent::SignalTimedOut { .. }
        | JobEvent::ChildStarted { .. }
        | JobEvent::ChildFinished { .. }
        | JobEvent::PatchMarked { .. } => false,
        JobEvent::JobCreated { .. }
        | JobEvent::SignalReceived { .. }
        | JobEvent::JobPaused { .. }
        | JobEvent::JobResumed { .. }
        | JobEvent::JobPrioritized { .. }
        | JobEvent::JobCancelRequested { .. }
        | JobEvent::JobCancelled { .. }
        | JobEvent::JobTerminated { .. }
        | JobEvent::JobCompleted { .. }
        | JobEvent::JobFailed { .. }
        | JobEvent::JobDiverged { .. }
        | JobEvent::JobReset { .. }
        | JobEvent::JobForked { .. }
        | JobEvent::JobContinuedAsNew { .. } => true,
    }
}

/// The columns of many new entries.
#[derive(Default)]
struct Rows {
    shards: Vec<i32>,
    positions: Vec<i64>,
    event_ids: Vec<Uuid>,
    recorded_at: Vec<DateTime<Utc>>,
    actors: Vec<String>,
    bot_ids: Vec<Option<Uuid>>,
    user_ids: Vec<Option<Uuid>>,
    event_types: Vec<String>,
    aggregate_types: Vec<String>,
    aggregate_ids: Vec<String>,
    sequences: Vec<i64>,
    correlation_ids: Vec<Uuid>,
    causation_ids: Vec<Uuid>,
    request_ids: Vec<Uuid>,
    summaries: Vec<String>,
    payloads: Vec<Value>,
}

impl Rows {
    fn push(&mut self, event: &LogEvent, owners: &Owners) -> Result<(), ProjectionError> {
        let metadata = event.metadata()?;
        let bot_id = owners.bot_of(&event.event)?;
        let user_id = match (&event.event, bot_id) {
            (AnyEvent::User(user_id, _), _) => Some(*user_id),
            (AnyEvent::Engine(_), _) => None,
            (_, Some(bot_id)) => Some(bot_id.owner()),
            (_, None) => {
                return Err(ProjectionError::RowMissing {
                    table: "audit_trail",
                    key: event.stored.aggregate_id.clone(),
                });
            }
        };
        let stored = &event.stored;
        self.shards.push(stored.shard);
        self.positions.push(stored.position);
        self.event_ids.push(stored.event_id);
        self.recorded_at.push(stored.recorded_at);
        self.actors.push(columns::text(&metadata.actor.to_string()).into_owned());
        self.bot_ids.push(bot_id.map(BotId::uuid));
        self.user_ids.push(user_id.map(UserId::uuid));
        self.event_types.push(stored.event_type.clone());
        self.aggregate_types.push(stored.aggregate_type.clone());
        self.aggregate_ids.push(stored.aggregate_id.clone());
        self.sequences.push(stored.sequence);
        self.correlation_ids.push(metadata.correlation_id);
        self.causation_ids.push(metadata.causation_id);
        self.request_ids.push(metadata.request_id.uuid());
        self.summaries.push(columns::text(&summary(&event.event)).into_owned());
        self.payloads.push(columns::clean(stored.payload.clone()));
        Ok(())
    }

    async fn insert(self, db: &mut PgConnection) -> Result<(), ProjectionError> {
        sqlx::query(
            "INSERT INTO audit_trail (shard, position, event_id, recorded_at, actor, bot_id, user_id, event_type,
                                      aggregate_type, aggregate_id, sequence, correlation_id, causation_id,
                                      request_id, summary, payload)
             SELECT shard, position, event_id, recorded_at, actor, bot_id, user_id, event_type, aggregate_type,
                    aggregate_id, sequence, correlation_id, causation_id, request_id, summary, payload
               FROM UNNEST ($1::integer[], $2::bigint[], $3::uuid[], $4::timestamptz[], $5::text[], $6::uuid[],
                            $7::uuid[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::uuid[], $13::uuid[],
                            $14::uuid[], $15::text[], $16::jsonb[])
                 AS entries (shard, position, event_id, recorded_at, actor, bot_id, user_id, event_type,
                             aggregate_type, aggregate_id, sequence, correlation_id, causation_id, request_id,
                             summary, payload)",
        )
        .bind(self.shards)
        .bind(self.positions)
        .bind(self.event_ids)
        .bind(self.recorded_at)
        .bind(self.actors)
        .bind(self.bot_ids)
        .bind(self.user_ids)
        .bind(self.event_types)
        .bind(self.aggregate_types)
        .bind(self.aggregate_ids)
        .bind(self.sequences)
        .bind(self.correlation_ids)
        .bind(self.causation_ids)
        .bind(self.request_ids)
        .bind(self.summaries)
        .bind(self.payloads)
        .execute(db)
        .await?;
        Ok(())
    }
}

impl AuditEntry {
    /// The key of the entry in lists.
    #[must_use]
    pub const fn key(&self) -> LogKey {
        LogKey { position: self.position, shard: self.shard }
    }
}

impl FromRow<'_, PgRow> for AuditEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            shard: row.try_get("shard")?,
            position: row.try_get("position")?,
            event_id: row.try_get("event_id")?,
            recorded_at: row.try_get("recorded_at")?,
            actor: columns::name(row, "actor")?,
            bot_id: columns::optional_id(row, "bot_id", BotId::from_uuid)?,
            user_id: columns::optional_id(row, "user_id", UserId::from_uuid)?,
            event_type: row.try_get("event_type")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            correlation_id: row.try_get("correlation_id")?,
            causation_id: row.try_get("causation_id")?,
            request_id: columns::id(row, "request_id", RequestId::from_uuid)?,
            summary: row.try_get("summary")?,
            payload: row.try_get("payload")?,
        })
    }
}

const SELECT: &str = "SELECT shard, position, event_id, recorded_at, actor, bot_id, user_id, event_type,
       aggregate_type, aggregate_id, sequence, correlation_id, causation_id, request_id, summary, payload
  FROM audit_trail
 WHERE true";

/// The entry of one event.
pub async fn by_position(
    db: impl PgExecutor<'_>,
    shard: i32,
    position: i64,
) -> Result<Option<AuditEntry>, sqlx::Error> {
    sqlx::query_as(&format!("{SELECT} AND shard = $1 AND position = $2"))
        .bind(shard)
        .bind(position)
        .fetch_optional(db)
        .await
}

fn conditions<'a>(query: &mut QueryBuilder<'a, Postgres>, filter: &'a AuditFilter) {
    if let Some(user_id) = filter.user_id {
        query.push(" AND user_id = ").push_bind(user_id.uuid());
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor.to_string());
    }
    if let Some(correlation_id) = filter.correlation_id {
        query.push(" AND correlation_id = ").push_bind(correlation_id);
    }
    if !filter.event_types.is_empty() {
        query.push(" AND event_type = ANY (").push_bind(&filter.event_types).push(")");
    }
    if let Some(from) = filter.from {
        query.push(" AND recorded_at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" AND recorded_at < ").push_bind(until);
    }
}

/// How many entries `filter` lets through, counted up to `most`.
pub async fn count(db: impl PgExecutor<'_>, filter: &AuditFilter, most: i64) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM audit_trail WHERE true");
    conditions(&mut query, filter);
    query.push(" LIMIT ").push_bind(most).push(") AS found");
    query.build_query_scalar().fetch_one(db).await
}

/// The entries that `filter` lets through, in the order of the log.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &AuditFilter,
    page: &PageRequest<LogKey>,
) -> Result<Page<AuditEntry>, sqlx::Error> {
    let mut query = QueryBuilder::new(SELECT);
    conditions(&mut query, filter);
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    if let Some(key) = page.after {
        query.push(" AND (position, shard) ").push(beyond);
        query.push(" (").push_bind(key.position).push(", ").push_bind(key.shard).push(")");
    }
    query.push(format!(" ORDER BY position {order}, shard {order} LIMIT ")).push_bind(page.fetched());
    let rows = query.build_query_as().fetch_all(db).await?;
    Ok(page.page(rows))
}
