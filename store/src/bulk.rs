//! Changes of many jobs at once: what was asked, and what became of each job. A durable command carries them out; what
//! is changed are the jobs, by events of their own.

use chrono::{DateTime, Utc};
use domain::ids::{BotId, JobId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row};
use uuid::Uuid;

use crate::command_queue::{CommandQueue, NewCommand, QueueError};
use crate::error::StoreError;

/// Most jobs of one operation.
pub const MOST_JOBS: usize = 10_000;

/// An operation that is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBulkOperation {
    pub id: Uuid,
    pub bot_id: BotId,
    /// The name of a `domain::job::JobChange`.
    pub change: String,
    /// The name of a `domain::job::JobPriority`, for a change of that.
    pub priority: Option<String>,
    pub reason: String,
    /// In the text form of `domain::metadata::Actor`.
    pub actor: String,
    pub correlation_id: Uuid,
    /// The engine's time.
    pub at: DateTime<Utc>,
}

/// An operation and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkOperation {
    pub id: Uuid,
    pub bot_id: BotId,
    pub change: String,
    /// The name of a `domain::job::JobPriority`, for a change of that.
    pub priority: Option<String>,
    pub reason: String,
    pub actor: String,
    pub correlation_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub total: i32,
    pub done: i32,
    pub refused: i32,
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkResult {
    pub number: i32,
    pub job_id: JobId,
    /// `PENDING`, `DONE` or `REFUSED`.
    pub status: String,
    pub code: Option<String>,
    pub message: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for BulkOperation {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("operation_id")?,
            bot_id: BotId::from_uuid(row.try_get("bot_id")?),
            change: row.try_get("change")?,
            priority: row.try_get("priority")?,
            reason: row.try_get("reason")?,
            actor: row.try_get("actor")?,
            correlation_id: row.try_get("correlation_id")?,
            created_at: row.try_get("created_at")?,
            finished_at: row.try_get("finished_at")?,
            total: row.try_get("total")?,
            done: row.try_get("done")?,
            refused: row.try_get("refused")?,
        })
    }
}

impl FromRow<'_, PgRow> for BulkResult {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            job_id: JobId::from_uuid(row.try_get("job_id")?),
            status: row.try_get("status")?,
            code: row.try_get("code")?,
            message: row.try_get("message")?,
            at: row.try_get("at")?,
        })
    }
}

/// Stores the operation, its jobs and the command that carries it out, all or nothing. A second time it is the first one.
pub async fn begin(
    pool: &PgPool,
    operation: &NewBulkOperation,
    jobs: &[JobId],
    command: NewCommand,
) -> Result<(), QueueError> {
    let mut tx = pool.begin().await?;
    let stored = sqlx::query(
        "INSERT INTO job_bulk_operations (operation_id, bot_id, change, reason, actor, correlation_id, total,
                                          created_at, finished_at, priority)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $7 = 0 THEN $8 END, $9)
             ON CONFLICT (operation_id) DO NOTHING",
    )
    .bind(operation.id)
    .bind(operation.bot_id.uuid())
    .bind(&operation.change)
    .bind(operation.reason.replace('\0', "\u{fffd}"))
    .bind(&operation.actor)
    .bind(operation.correlation_id)
    .bind(i32::try_from(jobs.len()).unwrap_or(i32::MAX))
    .bind(operation.at)
    .bind(&operation.priority)
    .execute(&mut *tx)
    .await?;
    if stored.rows_affected() == 0 || jobs.is_empty() {
        tx.commit().await?;
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO job_bulk_results (operation_id, number, job_id, status)
         SELECT $1, number, job_id, 'PENDING'
           FROM UNNEST ($2::uuid[]) WITH ORDINALITY AS jobs (job_id, number)",
    )
    .bind(operation.id)
    .bind(jobs.iter().map(|job| job.uuid()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    CommandQueue::enqueue_in(&mut tx, &[command]).await?;
    tx.commit().await?;
    Ok(())
}

const SELECT: &str = "
    SELECT operation.operation_id, operation.bot_id, operation.change, operation.priority, operation.reason,
           operation.actor,
           operation.correlation_id, operation.created_at, operation.finished_at, operation.total,
           counts.done, counts.refused
      FROM job_bulk_operations AS operation
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE status = 'DONE')::integer AS done,
                  count(*) FILTER (WHERE status = 'REFUSED')::integer AS refused
             FROM job_bulk_results AS results
            WHERE results.operation_id = operation.operation_id
     ) AS counts";

/// The operation of an id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<BulkOperation>, StoreError> {
    let sql = format!("{SELECT} WHERE operation.operation_id = $1");
    Ok(sqlx::query_as(&sql).bind(id).fetch_optional(pool).await?)
}

/// The operations on the jobs of a bot beyond a key, at most `limit`; the newest first, or the oldest.
pub async fn of_bot(
    pool: &PgPool,
    bot_id: BotId,
    after: Option<Uuid>,
    newest_first: bool,
    limit: i64,
) -> Result<Vec<BulkOperation>, StoreError> {
    let (order, beyond) = if newest_first { ("DESC", "<") } else { ("ASC", ">") };
    let sql = format!(
        "{SELECT}
          WHERE operation.bot_id = $1
            AND ($2::uuid IS NULL OR operation.operation_id {beyond} $2)
          ORDER BY operation.operation_id {order}
          LIMIT $3"
    );
    Ok(sqlx::query_as(&sql).bind(bot_id.uuid()).bind(after).bind(limit).fetch_all(pool).await?)
}

/// The results of an operation beyond a number, at most `limit`; all, or those of one status.
pub async fn results(
    pool: &PgPool,
    id: Uuid,
    status: Option<&str>,
    after: Option<i32>,
    backwards: bool,
    limit: i64,
) -> Result<Vec<BulkResult>, StoreError> {
    let (order, beyond) = if backwards { ("DESC", "<") } else { ("ASC", ">") };
    let sql = format!(
        "SELECT number, job_id, status, code, message, at
           FROM job_bulk_results
          WHERE operation_id = $1
            AND ($2::text IS NULL OR status = $2)
            AND ($3::integer IS NULL OR number {beyond} $3)
          ORDER BY number {order}
          LIMIT $4"
    );
    Ok(sqlx::query_as(&sql).bind(id).bind(status).bind(after).bind(limit).fetch_all(pool).await?)
}

/// Records what became of one job; `refused` is the code and the message of a refusal.
pub async fn record(
    pool: &PgPool,
    id: Uuid,
    number: i32,
    refused: Option<(&str, &str)>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE job_bulk_results
            SET status = $3, code = $4, message = $5, at = $6
          WHERE operation_id = $1
            AND number = $2",
    )
    .bind(id)
    .bind(number)
    .bind(if refused.is_some() { "REFUSED" } else { "DONE" })
    .bind(refused.map(|(code, _)| code))
    .bind(refused.map(|(_, message)| message.replace('\0', "\u{fffd}")))
    .bind(at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Nothing of the operation is left to do.
pub async fn finish(pool: &PgPool, id: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("UPDATE job_bulk_operations SET finished_at = coalesce(finished_at, $2) WHERE operation_id = $1")
        .bind(id)
        .bind(at)
        .execute(pool)
        .await?;
    Ok(())
}
