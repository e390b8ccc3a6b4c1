//! The log itself, for people: pages of one stream, pages of everything, one event. Not a projection: `events` is the
//! store's table, and nothing of it is interpreted here.

use sqlx::PgExecutor;
use store::event::{RawEvent, StoredEvent};

use crate::audit_trail::LogKey;
use crate::error::ProjectionError;
use crate::page::{Order, Page, PageRequest};

const SELECT: &str = "
    SELECT shard, position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version,
           payload::text AS payload, metadata::text AS metadata, recorded_at
      FROM events";

/// The events of one stream, such as `Bot` and the bot's id, keyed by position.
///
/// A key that is an event of the stream is found by its sequence at once; any other position works too, but is
/// searched for.
pub async fn of_stream(
    db: impl PgExecutor<'_>,
    aggregate_type: &str,
    aggregate_id: &str,
    page: &PageRequest<LogKey>,
) -> Result<Page<StoredEvent>, ProjectionError> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    // The sequence of the last event at or before the key, or of the first at or after it.
    let nearest = match page.order {
        Order::OldestFirst => "coalesce(max(sequence), 0) FROM events WHERE position <= $5",
        Order::NewestFirst => "coalesce(min(sequence), 9223372036854775807) FROM events WHERE position >= $5",
    };
    let sql = format!(
        "{SELECT}
          WHERE aggregate_type = $1
            AND aggregate_id = $2
            AND ($5::bigint IS NULL OR sequence {beyond} coalesce(
                 (SELECT sequence
                    FROM events
                   WHERE shard = $4 AND position = $5 AND aggregate_type = $1 AND aggregate_id = $2),
                 (SELECT {nearest} AND aggregate_type = $1 AND aggregate_id = $2)))
          ORDER BY sequence {order}
          LIMIT $3"
    );
    let rows: Vec<RawEvent> = sqlx::query_as(&sql)
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(page.fetched())
        .bind(page.after.map(|key| key.shard))
        .bind(page.after.map(|key| key.position))
        .fetch_all(db)
        .await?;
    Ok(page.page(parsed(rows)?))
}

/// The events of one stream by their sequence: any page costs the same, however long the stream is.
pub async fn of_stream_by_sequence(
    db: impl PgExecutor<'_>,
    aggregate_type: &str,
    aggregate_id: &str,
    page: &PageRequest<i64>,
) -> Result<Page<StoredEvent>, ProjectionError> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let from = if page.after.is_some() { format!("AND sequence {beyond} $4::bigint") } else { "AND $4 = 0".to_owned() };
    let sql = format!(
        "{SELECT}
          WHERE aggregate_type = $1
            AND aggregate_id = $2
            {from}
          ORDER BY sequence {order}
          LIMIT $3"
    );
    let rows: Vec<RawEvent> = sqlx::query_as(&sql)
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(page.fetched())
        .bind(page.after.unwrap_or(0))
        .fetch_all(db)
        .await?;
    Ok(page.page(parsed(rows)?))
}

/// What the step of a name gave in a job; `None` when it has not completed.
pub async fn result_of_step(
    db: impl PgExecutor<'_>,
    job_id: &str,
    step: &str,
) -> Result<Option<serde_json::Value>, sqlx::Error> {
    let found: Option<Option<serde_json::Value>> = sqlx::query_scalar(
        "SELECT payload -> 'result'
           FROM events
          WHERE aggregate_type = 'Job'
            AND aggregate_id = $1
            AND event_type = 'StepCompleted'
            AND payload ->> 'name' = $2
          ORDER BY sequence DESC
          LIMIT 1",
    )
    .bind(job_id)
    .bind(step)
    .fetch_optional(db)
    .await?;
    Ok(found.flatten())
}

/// How many events a stream has.
pub async fn length_of_stream(
    db: impl PgExecutor<'_>,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<i64, sqlx::Error> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(sequence) FROM events WHERE aggregate_type = $1 AND aggregate_id = $2")
            .bind(aggregate_type)
            .bind(aggregate_id)
            .fetch_one(db)
            .await?;
    Ok(last.unwrap_or(0))
}

/// Everything in a shard, in the order of the log.
pub async fn of_shard(
    db: impl PgExecutor<'_>,
    shard: i32,
    page: &PageRequest<i64>,
) -> Result<Page<StoredEvent>, ProjectionError> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "{SELECT}
          WHERE shard = $1
            AND ($2::bigint IS NULL OR position {beyond} $2)
          ORDER BY position {order}
          LIMIT $3"
    );
    let rows: Vec<RawEvent> =
        sqlx::query_as(&sql).bind(shard).bind(page.after).bind(page.fetched()).fetch_all(db).await?;
    Ok(page.page(parsed(rows)?))
}

/// One event.
pub async fn by_position(
    db: impl PgExecutor<'_>,
    shard: i32,
    position: i64,
) -> Result<Option<StoredEvent>, ProjectionError> {
    let row: Option<RawEvent> = sqlx::query_as(&format!("{SELECT} WHERE shard = $1 AND position = $2"))
        .bind(shard)
        .bind(position)
        .fetch_optional(db)
        .await?;
    Ok(row.map(StoredEvent::try_from).transpose()?)
}

/// What a shard has after a position, unparsed, for readers that take every event as it is.
pub(crate) async fn after(
    db: impl PgExecutor<'_>,
    shard: i32,
    position: i64,
    limit: i64,
) -> Result<Vec<RawEvent>, ProjectionError> {
    let rows = sqlx::query_as(&format!("{SELECT} WHERE shard = $1 AND position > $2 ORDER BY position LIMIT $3"))
        .bind(shard)
        .bind(position)
        .bind(limit)
        .fetch_all(db)
        .await?;
    Ok(rows)
}

fn parsed(rows: Vec<RawEvent>) -> Result<Vec<StoredEvent>, ProjectionError> {
    Ok(rows.into_iter().map(StoredEvent::try_from).collect::<Result<_, _>>()?)
}
