//! The sequencer's SQL, on the sequencer's connection. Decides nothing.

use std::collections::HashMap;

use domain::ids::RequestId;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Arguments, ConnectOptions, Executor, FromRow, PgConnection, Postgres, Row};
use uuid::Uuid;

use super::batch::{Batch, Pending, ShardHead, StreamKey};
use super::{Appended, MAX_EVENTS_OF_A_REQUEST, RecordedRequest};
use crate::error::StoreError;
use crate::event::event_id;
use crate::writer::WriterLease;

/// Durable commits, one plan for all batches, and no lock that a stopped process could keep: the
/// server ends its transaction.
const SESSION: &str = "
    SET synchronous_commit = on;
    SET default_transaction_isolation = 'read committed';
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
    SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '5s';";

/// One round trip, committed by itself. The writer's row is locked first, so that a new epoch
/// waits for this statement and this statement fails after a new epoch; then the shard's head, so
/// that positions are handed out in commit order. Either check failing inserts nothing.
const APPEND: &str = "
    WITH writer AS (
        SELECT epoch
          FROM writers
         WHERE writer_id = $1
           AND epoch = $2
           AND lease_until > clock_timestamp()
           FOR SHARE
    ), head AS (
        UPDATE shards
           SET head = $5, chain_hash = $6
         WHERE shard = $3
           AND head = $4
           AND EXISTS (SELECT FROM writer)
     RETURNING shard
    ), batch AS (
        INSERT INTO batches (shard, first_position, last_position, merkle_root, chain_hash,
                             writer_id, epoch)
        SELECT head.shard, $4 + 1, $5, $7, $6, $1, $2
          FROM head
    ), stored AS (
        INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version,
                            payload, metadata, shard, position, event_id, recorded_at)
        SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version,
               e.payload::json, e.metadata::json, head.shard, $4 + e.place, e.event_id,
               e.recorded_at
          FROM head
         CROSS JOIN UNNEST($8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[],
                           $13::text[], $14::text[], $15::uuid[], $16::timestamptz[])
               WITH ORDINALITY
            AS e (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                  metadata, event_id, recorded_at, place)
    )
    SELECT EXISTS (SELECT FROM writer), EXISTS (SELECT FROM head)";

/// Parameters of the append.
const PARAMETERS: usize = 16;

/// What the append found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Committed,
    /// The writer's epoch or lease is not valid; nothing was inserted.
    Fenced,
    /// Another process has appended; nothing was inserted.
    HeadMoved,
}

/// Opens a connection for a sequencer.
pub(super) async fn open(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    connection.execute(sqlx::raw_sql(SESSION)).await?;
    Ok(connection)
}

/// Stores `batch`.
pub(super) async fn append(
    connection: &mut PgConnection,
    shard: i32,
    lease: &WriterLease,
    batch: &Batch<'_>,
) -> Result<Written, sqlx::Error> {
    let columns = &batch.columns;
    // Grown step by step, a large batch would be copied several times over.
    let mut arguments = PgArguments::default();
    arguments.reserve(PARAMETERS, columns.size());
    let statement = sqlx::query_as_with::<Postgres, (bool, bool), _>(APPEND, arguments)
        .bind(lease.writer_id)
        .bind(lease.epoch)
        .bind(shard)
        .bind(batch.before.position)
        .bind(batch.after.position)
        .bind(&batch.after.chain_hash[..])
        .bind(&batch.merkle_root[..])
        .bind(&columns.aggregate_types)
        .bind(&columns.aggregate_ids)
        .bind(&columns.sequences)
        .bind(&columns.event_types)
        .bind(&columns.event_versions)
        .bind(&columns.payloads)
        .bind(&columns.metadata)
        .bind(&columns.event_ids)
        .bind(&columns.recorded_at)
        .fetch_one(connection);
    let (is_writer, is_head) = sent(statement).await?;
    Ok(match (is_writer, is_head) {
        (true, true) => Written::Committed,
        (true, false) => Written::HeadMoved,
        (false, _) => Written::Fenced,
    })
}

/// Awaits `statement`; between sending it and its answer there is a failpoint.
async fn sent<T>(statement: impl Future<Output = T>) -> T {
    #[cfg(feature = "failpoints")]
    {
        let mut statement = std::pin::pin!(statement);
        // The first poll writes the statement to the socket.
        let first = futures_util::poll!(&mut statement);
        crate::failpoint::reach("append.sent");
        match first {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => statement.await,
        }
    }
    #[cfg(not(feature = "failpoints"))]
    statement.await
}

/// Reads where the shard ends. With `lock`, nobody else can append until the transaction ends.
pub(super) async fn shard_head(connection: &mut PgConnection, shard: i32, lock: bool) -> Result<ShardHead, StoreError> {
    let sql = if lock {
        "SELECT head, chain_hash FROM shards WHERE shard = $1 FOR UPDATE"
    } else {
        "SELECT head, chain_hash FROM shards WHERE shard = $1"
    };
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(sql).bind(shard).fetch_optional(connection).await?;
    let corrupt = |reason: &str| StoreError::Corrupt { shard, position: 0, reason: reason.into() };
    let (position, chain_hash) = row.ok_or_else(|| corrupt("the shard has no head"))?;
    let chain_hash = chain_hash.try_into().map_err(|_| corrupt("the shard's chain hash has another length"))?;
    Ok(ShardHead { position, chain_hash })
}

/// The last sequences of `streams`, in the same order; 0 for a stream that is not there.
pub(super) async fn stream_heads(
    connection: &mut PgConnection,
    streams: &[StreamKey],
) -> Result<Vec<i64>, sqlx::Error> {
    let (types, ids): (Vec<&str>, Vec<&str>) = streams.iter().map(StreamKey::parts).unzip();
    sqlx::query_scalar(
        "SELECT COALESCE((SELECT max(events.sequence)
                            FROM events
                           WHERE events.aggregate_type = wanted.aggregate_type
                             AND events.aggregate_id = wanted.aggregate_id), 0)
           FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY
             AS wanted (aggregate_type, aggregate_id, place)
          ORDER BY wanted.place",
    )
    .bind(types)
    .bind(ids)
    .fetch_all(connection)
    .await
}

#[derive(FromRow)]
struct FirstEvent {
    event_id: Uuid,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    position: i64,
}

/// The first results of those of `requests` that have one.
pub(super) async fn recorded_requests(
    connection: &mut PgConnection,
    requests: &[RequestId],
) -> Result<HashMap<RequestId, RecordedRequest>, sqlx::Error> {
    let by_event: HashMap<Uuid, RequestId> = requests.iter().map(|&request| (event_id(request, 0), request)).collect();
    let first_ids: Vec<Uuid> = by_event.keys().copied().collect();
    let found: Vec<FirstEvent> = sqlx::query_as(
        "SELECT event_id, aggregate_type, aggregate_id, sequence, position
           FROM events
          WHERE event_id = ANY($1)",
    )
    .bind(first_ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut recorded = HashMap::with_capacity(found.len());
    for first in found {
        let Some(&request) = by_event.get(&first.event_id) else { continue };
        let count = events_of(&mut *connection, request, &first).await?;
        recorded.insert(
            request,
            RecordedRequest {
                appended: Appended {
                    first_sequence: first.sequence,
                    last_sequence: first.sequence + count - 1,
                    first_position: first.position,
                    last_position: first.position + count - 1,
                    repeated: true,
                },
                aggregate_type: first.aggregate_type,
                aggregate_id: first.aggregate_id,
            },
        );
    }
    Ok(recorded)
}

/// How many events a request has: they follow each other in its stream, under ids derived from it.
async fn events_of(connection: &mut PgConnection, request: RequestId, first: &FirstEvent) -> Result<i64, sqlx::Error> {
    let stored: Vec<Uuid> = sqlx::query(
        "SELECT event_id
           FROM events
          WHERE aggregate_type = $1
            AND aggregate_id = $2
            AND sequence >= $3
          ORDER BY sequence
          LIMIT $4",
    )
    .bind(&first.aggregate_type)
    .bind(&first.aggregate_id)
    .bind(first.sequence)
    .bind(i64::try_from(MAX_EVENTS_OF_A_REQUEST).unwrap_or(i64::MAX))
    .try_map(|row: PgRow| row.try_get(0))
    .fetch_all(connection)
    .await?;
    let ours = (0..).zip(&stored).take_while(|&(index, &id)| event_id(request, index) == id);
    Ok(i64::try_from(ours.count()).unwrap_or(i64::MAX))
}

/// The request ids of `pending`.
pub(super) fn ids_of<'a>(pending: impl IntoIterator<Item = &'a Pending>) -> Vec<RequestId> {
    pending.into_iter().map(Pending::id).collect()
}
