//! Events that a projection could not take. The stream of such an event is parked in that projection alone, later
//! events behind the first; the others go on. Nothing is lost: the events are in the log, and can be retried.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use store::event::RawEvent;

use crate::batch::{Incoming, Origin};
use crate::checkpoint;
use crate::error::{Blame, ProjectionError};
use crate::projection::Projection;

/// How many events are retried in one transaction.
const RETRIED_AT_ONCE: i64 = 500;

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 500;

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Parked {
    pub projection: String,
    pub shard: i32,
    pub position: i64,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub code: String,
    pub reason: String,
    /// The database's clock.
    pub parked_at: DateTime<Utc>,
}

/// What became of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retried {
    pub applied: i64,
    /// Events of the stream that still wait.
    pub left: i64,
}

/// The first waiting event of every parked stream, in the order of the log.
pub async fn streams(db: impl PgExecutor<'_>, projection: Option<&str>) -> Result<Vec<Parked>, ProjectionError> {
    let found = sqlx::query_as(
        "SELECT projection, shard, position, aggregate_type, aggregate_id, sequence, event_type, code, reason, parked_at
           FROM (SELECT DISTINCT ON (projection, shard, aggregate_type, aggregate_id)
                        projection, shard, position, aggregate_type, aggregate_id, sequence, event_type, code, reason,
                        parked_at
                   FROM projection_parked
                  WHERE $1::text IS NULL OR projection = $1
                  ORDER BY projection, shard, aggregate_type, aggregate_id, position) AS firsts
          ORDER BY projection, shard, position",
    )
    .bind(projection)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The events of one stream that wait in a projection, in order.
pub async fn events(
    db: impl PgExecutor<'_>,
    projection: &str,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<Vec<Parked>, ProjectionError> {
    let found = sqlx::query_as(
        "SELECT projection, shard, position, aggregate_type, aggregate_id, sequence, event_type, code, reason, parked_at
           FROM projection_parked
          WHERE projection = $1
            AND aggregate_type = $2
            AND aggregate_id = $3
          ORDER BY shard, position",
    )
    .bind(projection)
    .bind(aggregate_type)
    .bind(aggregate_id)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Parks one event.
pub(crate) async fn park(
    db: &mut PgConnection,
    projection: &str,
    origin: &Origin,
    error: &ProjectionError,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO projection_parked (projection, shard, position, aggregate_type, aggregate_id, sequence,
                                        event_type, code, reason, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())",
    )
    .bind(projection)
    .bind(origin.shard)
    .bind(origin.position)
    .bind(&origin.aggregate_type)
    .bind(&origin.aggregate_id)
    .bind(origin.sequence)
    .bind(&origin.event_type)
    .bind(error.code())
    .bind(short(&error.reason()))
    .execute(db)
    .await?;
    Ok(())
}

/// Which of the streams of `events` are parked.
pub(crate) async fn streams_among(
    db: &mut PgConnection,
    projection: &str,
    shard: i32,
    events: &[Incoming],
) -> Result<HashSet<(String, String)>, ProjectionError> {
    let types: Vec<_> = events.iter().map(|event| event.origin.aggregate_type.as_str()).collect();
    let ids: Vec<_> = events.iter().map(|event| event.origin.aggregate_id.as_str()).collect();
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT DISTINCT aggregate_type, aggregate_id
           FROM projection_parked
          WHERE projection = $1
            AND shard = $2
            AND (aggregate_type, aggregate_id) IN (SELECT UNNEST ($3::text[]), UNNEST ($4::text[]))",
    )
    .bind(projection)
    .bind(shard)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().collect())
}

/// Applies the waiting events of a stream, in order, until one cannot be taken again.
pub async fn retry(
    pool: &PgPool,
    projection: &dyn Projection,
    shard: i32,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<Retried, ProjectionError> {
    let mut applied = 0;
    loop {
        let mut tx = pool.begin().await?;
        // The runner waits, so that no event of the stream can arrive between the last one here and its end.
        checkpoint::lock(&mut tx, projection.name(), shard).await?;
        let waiting = next_waiting(&mut tx, projection.name(), shard, aggregate_type, aggregate_id).await?;
        let asked = waiting.len();
        let mut taken = 0;
        for event in waiting {
            let incoming = Incoming::from(event);
            if !take(&mut tx, projection, &incoming).await? {
                break;
            }
            taken += 1;
        }
        applied += i64::try_from(taken).unwrap_or(i64::MAX);
        let left = count(&mut tx, projection.name(), shard, aggregate_type, aggregate_id).await?;
        tx.commit().await?;
        projection.committed();
        if left == 0 || taken < asked {
            return Ok(Retried { applied, left });
        }
    }
}

/// Applies one waiting event under a savepoint. False: it could not be taken again.
async fn take(
    db: &mut PgConnection,
    projection: &dyn Projection,
    incoming: &Incoming,
) -> Result<bool, ProjectionError> {
    let origin = &incoming.origin;
    let Err(error) = incoming.apply(db, projection).await else {
        sqlx::query("DELETE FROM projection_parked WHERE projection = $1 AND shard = $2 AND position = $3")
            .bind(projection.name())
            .bind(origin.shard)
            .bind(origin.position)
            .execute(db)
            .await?;
        return Ok(true);
    };
    if error.blame() == Blame::Elsewhere {
        return Err(error);
    }
    sqlx::query(
        "UPDATE projection_parked
            SET code = $4, reason = $5
          WHERE projection = $1
            AND shard = $2
            AND position = $3",
    )
    .bind(projection.name())
    .bind(origin.shard)
    .bind(origin.position)
    .bind(error.code())
    .bind(short(&error.reason()))
    .execute(db)
    .await?;
    Ok(false)
}

async fn next_waiting(
    db: &mut PgConnection,
    projection: &str,
    shard: i32,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<Vec<RawEvent>, ProjectionError> {
    let found = sqlx::query_as(
        "SELECT events.shard, events.position, events.event_id, events.aggregate_type, events.aggregate_id,
                events.sequence, events.event_type, events.event_version, events.payload::text AS payload,
                events.metadata::text AS metadata, events.recorded_at
           FROM projection_parked AS parked
           JOIN events ON events.shard = parked.shard AND events.position = parked.position
          WHERE parked.projection = $1
            AND parked.shard = $2
            AND parked.aggregate_type = $3
            AND parked.aggregate_id = $4
          ORDER BY parked.position
          LIMIT $5",
    )
    .bind(projection)
    .bind(shard)
    .bind(aggregate_type)
    .bind(aggregate_id)
    .bind(RETRIED_AT_ONCE)
    .fetch_all(db)
    .await?;
    Ok(found)
}

async fn count(
    db: &mut PgConnection,
    projection: &str,
    shard: i32,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<i64, ProjectionError> {
    let left = sqlx::query_scalar(
        "SELECT count(*)
           FROM projection_parked
          WHERE projection = $1
            AND shard = $2
            AND aggregate_type = $3
            AND aggregate_id = $4",
    )
    .bind(projection)
    .bind(shard)
    .bind(aggregate_type)
    .bind(aggregate_id)
    .fetch_one(db)
    .await?;
    Ok(left)
}

fn short(reason: &str) -> String {
    reason.replace('\0', "\u{fffd}").chars().take(LONGEST_REASON).collect()
}
