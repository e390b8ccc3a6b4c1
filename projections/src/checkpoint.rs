//! How far each projection has read. A checkpoint moves only from where its reader thought it was, in the transaction
//! that writes the rows, so two readers of one projection never apply an event twice.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::error::ProjectionError;
use crate::projection::Projection;

/// A projection's place in one shard of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Checkpoint {
    /// The shape of the rows.
    pub version: i32,
    /// The last event that is in the rows, or parked.
    pub position: i64,
}

/// The checkpoint of a projection; `None` when it never began.
pub async fn load(
    db: impl PgExecutor<'_>,
    projection: &str,
    shard: i32,
) -> Result<Option<Checkpoint>, ProjectionError> {
    let found = sqlx::query_as(
        "SELECT version, position
           FROM projection_checkpoints
          WHERE projection = $1
            AND shard = $2",
    )
    .bind(projection)
    .bind(shard)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The same, and nobody else moves it until the transaction ends.
pub(crate) async fn lock(
    db: &mut PgConnection,
    projection: &str,
    shard: i32,
) -> Result<Option<Checkpoint>, ProjectionError> {
    let found = sqlx::query_as(
        "SELECT version, position
           FROM projection_checkpoints
          WHERE projection = $1
            AND shard = $2
            FOR UPDATE",
    )
    .bind(projection)
    .bind(shard)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Begins a projection that has no checkpoint; leaves one that has.
pub(crate) async fn begin(
    db: impl PgExecutor<'_>,
    projection: &str,
    shard: i32,
    start: Checkpoint,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO projection_checkpoints (projection, shard, version, position, moved_at)
         VALUES ($1, $2, $3, $4, clock_timestamp())
         ON CONFLICT (projection, shard) DO NOTHING",
    )
    .bind(projection)
    .bind(shard)
    .bind(start.version)
    .bind(start.position)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves a checkpoint from where it was read. False: somebody else moved it, and the transaction must be undone.
pub(crate) async fn advance(
    db: &mut PgConnection,
    projection: &str,
    shard: i32,
    from: Checkpoint,
    to: Checkpoint,
) -> Result<bool, ProjectionError> {
    let moved = sqlx::query(
        "UPDATE projection_checkpoints
            SET position = $5, version = $6, moved_at = clock_timestamp()
          WHERE projection = $1
            AND shard = $2
            AND position = $3
            AND version = $4",
    )
    .bind(projection)
    .bind(shard)
    .bind(from.position)
    .bind(from.version)
    .bind(to.position)
    .bind(to.version)
    .execute(db)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Lets `projections` pass over the events from `before` to `after`: those that had read everything up to `before`, or
/// nothing at all, go on after them. The names of the others are the answer.
pub async fn pass_over(
    pool: &PgPool,
    projections: &[Arc<dyn Projection>],
    shard: i32,
    before: i64,
    after: i64,
) -> Result<Vec<&'static str>, ProjectionError> {
    let mut tx = pool.begin().await?;
    let mut behind = Vec::new();
    for projection in projections {
        let (name, version) = (projection.name(), projection.version());
        begin(&mut *tx, name, shard, Checkpoint { version, position: 0 }).await?;
        let Some(from) = lock(&mut tx, name, shard).await? else { continue };
        if from.position == 0 || from.position == before {
            advance(&mut tx, name, shard, from, Checkpoint { position: after, ..from }).await?;
        } else if from.position < after {
            behind.push(name);
        }
    }
    tx.commit().await?;
    Ok(behind)
}

/// How far a projection is behind the log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    pub projection: String,
    pub shard: i32,
    pub version: i32,
    pub position: i64,
    /// The log's last position.
    pub head: i64,
    /// Engine time of the last event that is in the rows, and of the log's last.
    pub position_recorded_at: Option<DateTime<Utc>>,
    pub head_recorded_at: Option<DateTime<Utc>>,
    /// The database's clock.
    pub moved_at: DateTime<Utc>,
    pub parked_streams: i64,
    pub parked_events: i64,
}

impl Standing {
    /// Events that are not in the rows yet.
    #[must_use]
    pub const fn behind_events(&self) -> i64 {
        if self.head > self.position { self.head - self.position } else { 0 }
    }

    /// Engine time between the last event in the rows and the log's last, in seconds.
    #[must_use]
    pub fn behind_seconds(&self) -> f64 {
        let Some(head) = self.head_recorded_at else { return 0.0 };
        let reached = self.position_recorded_at.unwrap_or(head);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of any log fit")]
        let seconds = (head - reached).num_milliseconds() as f64 / 1_000.0;
        if self.behind_events() == 0 { 0.0 } else { seconds.max(0.0) }
    }
}

/// Where every projection stands that has begun.
pub async fn standings(db: impl PgExecutor<'_>) -> Result<Vec<Standing>, ProjectionError> {
    // A projection that has applied nothing is measured from the first event.
    let rows = sqlx::query_as(
        "SELECT checkpoint.projection, checkpoint.shard, checkpoint.version, checkpoint.position, shards.head,
                (SELECT recorded_at
                   FROM events
                  WHERE shard = checkpoint.shard
                    AND position = greatest(checkpoint.position, 1)) AS position_recorded_at,
                (SELECT recorded_at
                   FROM events
                  WHERE shard = checkpoint.shard
                    AND position = shards.head) AS head_recorded_at,
                checkpoint.moved_at,
                count(DISTINCT (parked.aggregate_type, parked.aggregate_id))
                      FILTER (WHERE parked.position IS NOT NULL) AS parked_streams,
                count(parked.position) AS parked_events
           FROM projection_checkpoints AS checkpoint
           JOIN shards ON shards.shard = checkpoint.shard
           LEFT JOIN projection_parked AS parked
             ON parked.projection = checkpoint.projection AND parked.shard = checkpoint.shard
          GROUP BY checkpoint.projection, checkpoint.shard, shards.shard
          ORDER BY checkpoint.projection, checkpoint.shard",
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}
