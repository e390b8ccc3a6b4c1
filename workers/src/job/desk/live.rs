//! Which jobs a process begins with when it takes partitions over.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{BotId, JobId, partition_of};
use domain::job::{JobPriority, JobState};
use projections::ProjectionError;
use sqlx::PgPool;
use store::error::StoreError;

/// A job that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveJob {
    pub job_id: JobId,
    pub bot_id: BotId,
    pub priority: JobPriority,
    /// Nothing of it is due before; `None`: it may be due now.
    pub due_at: Option<DateTime<Utc>>,
}

/// The live jobs of some partitions, as they were at a position of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveJobs {
    /// What is after it has to be read from the log.
    pub position: i64,
    pub jobs: Vec<LiveJob>,
}

/// Where a desk finds the live jobs of partitions that it takes over.
#[async_trait]
pub trait LiveSource: Send + Sync {
    /// The live jobs of `partitions`.
    async fn live(&self, partitions: &[i32]) -> Result<LiveJobs, StoreError>;
}

/// Asks the read model `jobs`.
#[derive(Debug, Clone)]
pub struct ReadModelSource(pub PgPool);

#[async_trait]
impl LiveSource for ReadModelSource {
    async fn live(&self, partitions: &[i32]) -> Result<LiveJobs, StoreError> {
        let (position, jobs) = projections::jobs::live(&self.0, partitions).await.map_err(|error| match error {
            ProjectionError::Database(error) => StoreError::from(error),
            ProjectionError::Store(error) => error,
            _ => StoreError::Unavailable { reason: "the read model of jobs cannot be read", source: None },
        })?;
        let jobs = jobs.into_iter().filter(|job| job.state != JobState::Paused);
        // One that waits for something else than time is looked at once, as that may have happened while nobody was
        // there to tell it: the end of a child is in the child's stream only.
        let jobs = jobs.map(|job| {
            let projections::jobs::LiveJob { job_id, bot_id, priority, wake_at, .. } = job;
            LiveJob { job_id, bot_id, priority, due_at: wake_at }
        });
        Ok(LiveJobs { position, jobs: jobs.collect() })
    }
}

/// Asks the log itself: slow on a long one, and in need of nothing else.
#[derive(Debug, Clone)]
pub struct LogSource(pub PgPool);

#[async_trait]
impl LiveSource for LogSource {
    async fn live(&self, partitions: &[i32]) -> Result<LiveJobs, StoreError> {
        let position = sqlx::query_scalar("SELECT COALESCE(max(head), 0) FROM shards WHERE shard = $1")
            .bind(store::repository::DEFAULT_SHARD)
            .fetch_one(&self.0)
            .await?;
        let rows: Vec<(String, Option<String>, String)> = sqlx::query_as(
            "SELECT created.aggregate_id, created.payload ->> 'bot_id', last.event_type
               FROM events AS created
              CROSS JOIN LATERAL (
                    SELECT event_type
                      FROM events
                     WHERE events.aggregate_type = created.aggregate_type
                       AND events.aggregate_id = created.aggregate_id
                     ORDER BY sequence DESC
                     LIMIT 1) AS last
              WHERE created.aggregate_type = 'Job'
                AND created.sequence = 1",
        )
        .fetch_all(&self.0)
        .await?;
        let live = rows.into_iter().filter(|(_, _, last)| !is_end(last)).filter_map(|(job, bot, _)| {
            // Its first activation tells another priority.
            let priority = JobPriority::Normal;
            Some(LiveJob { job_id: job.parse().ok()?, bot_id: bot?.parse().ok()?, priority, due_at: None })
        });
        let jobs = live.filter(|job| partitions.contains(&partition_of(job.bot_id))).collect();
        Ok(LiveJobs { position, jobs })
    }
}

fn is_end(event_type: &str) -> bool {
    matches!(event_type, "JobCompleted" | "JobFailed" | "JobCancelled" | "JobTerminated" | "JobContinuedAsNew")
}
