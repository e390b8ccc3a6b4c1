//! The jobs that are not over, as whoever takes over their partitions needs them.

use chrono::{DateTime, Utc};
use domain::ids::{BotId, CampaignId, JobId};
use domain::job::{JobPriority, JobState};
use sqlx::postgres::PgRow;
use sqlx::{Executor, FromRow, PgExecutor, PgPool, Row};

use super::NAME;
use crate::columns;
use crate::error::ProjectionError;

/// A job that is not over and needs no person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveJob {
    pub job_id: JobId,
    pub bot_id: BotId,
    pub state: JobState,
    pub priority: JobPriority,
    /// When it has to be activated at the latest. `None`: something else has to happen to it first.
    pub wake_at: Option<DateTime<Utc>>,
    pub workflow: String,
    pub campaign_id: Option<CampaignId>,
}

impl FromRow<'_, PgRow> for LiveJob {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            job_id: columns::id(row, "job_id", JobId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            state: columns::name(row, "state")?,
            priority: columns::name(row, "priority")?,
            wake_at: row.try_get("wake_at")?,
            workflow: row.try_get("workflow")?,
            campaign_id: columns::optional_id(row, "campaign_id", CampaignId::from_uuid)?,
        })
    }
}

/// A job whose stream is parked may have gone further than its row: it is to be looked at, so it is due.
const SELECT: &str = "
    SELECT job_id, bot_id, state, priority, workflow, campaign_id,
           CASE WHEN parked.aggregate_id IS NULL THEN wake_at ELSE updated_at END AS wake_at
      FROM jobs
      LEFT JOIN (SELECT DISTINCT aggregate_id
                   FROM projection_parked
                  WHERE projection = 'jobs'
                    AND aggregate_type = 'Job') AS parked ON parked.aggregate_id = jobs.job_id::text
     WHERE state IN ('PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')";

/// The live jobs of `partitions`, and the position in the log that they stand for: whoever follows the log from there
/// on misses nothing of them.
pub async fn live(pool: &PgPool, partitions: &[i32]) -> Result<(i64, Vec<LiveJob>), ProjectionError> {
    let mut tx = pool.begin().await?;
    (&mut *tx).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let position: Option<i64> =
        sqlx::query_scalar("SELECT min(position) FROM projection_checkpoints WHERE projection = $1")
            .bind(NAME)
            .fetch_one(&mut *tx)
            .await?;
    let jobs =
        sqlx::query_as(&format!("{SELECT} AND partition = ANY ($1)")).bind(partitions).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok((position.unwrap_or(0), jobs))
}

/// The live jobs of one bot.
pub async fn live_of_bot(db: impl PgExecutor<'_>, bot_id: BotId) -> Result<Vec<LiveJob>, sqlx::Error> {
    sqlx::query_as(&format!("{SELECT} AND partition = $1 AND bot_id = $2"))
        .bind(domain::ids::partition_of(bot_id))
        .bind(bot_id.uuid())
        .fetch_all(db)
        .await
}
