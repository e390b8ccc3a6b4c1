//! Reads short pieces of streams for many callers in one query, on a connection of its own.
//!
//! Whoever loads an aggregate asks for a few rows, and many do so at the same time; one query for
//! all of them costs the server a fraction of what one each does. Long reads go through the pool.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, FromRow, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::statement;
use crate::error::StoreError;
use crate::event::RawEvent;

/// The longest piece that is read here.
pub(super) const LONGEST_PIECE: i64 = 256;

/// The most pieces of one query.
const MAX_PIECES: usize = 64;

const QUEUE: usize = 1_024;

/// A piece of a stream that somebody waits for.
struct Wanted {
    aggregate_type: String,
    aggregate_id: String,
    after_sequence: i64,
    limit: i64,
    reply: oneshot::Sender<Result<Vec<RawEvent>, StoreError>>,
}

/// The way to ask the reading task. Cheap to clone.
#[derive(Clone)]
pub(super) struct StreamReader {
    queue: mpsc::Sender<Wanted>,
}

impl StreamReader {
    /// The reader, and the task that has to run until `stop`.
    pub fn new(options: Arc<PgConnectOptions>, stop: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let (queue, wanted) = mpsc::channel(QUEUE);
        (Self { queue }, read_all(wanted, options, stop))
    }

    /// Up to `limit` events after a sequence; nothing when the task has stopped.
    pub async fn read(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Option<Result<Vec<RawEvent>, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted {
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            after_sequence,
            limit,
            reply,
        };
        self.queue.send(wanted).await.ok()?;
        answer.await.ok()
    }
}

async fn read_all(mut queue: mpsc::Receiver<Wanted>, options: Arc<PgConnectOptions>, stop: CancellationToken) {
    let mut connection = None;
    let mut pieces = Vec::with_capacity(MAX_PIECES);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            count = queue.recv_many(&mut pieces, MAX_PIECES) => if count == 0 { break },
        }
        // One of them may have hit an end of the connection that nobody noticed before.
        let mut outcome = read(&mut connection, &options, &pieces).await;
        if matches!(outcome, Err(StoreError::Unavailable { .. })) {
            outcome = read(&mut connection, &options, &pieces).await;
        }
        answer(pieces.drain(..), outcome);
    }
    if let Some(connection) = connection {
        // The server notices a connection that goes away without a word as well.
        let _ = connection.close().await;
    }
}

fn answer(pieces: impl Iterator<Item = Wanted>, outcome: Result<Vec<Placed>, StoreError>) {
    match outcome {
        Ok(rows) => {
            let mut rows = rows.into_iter().peekable();
            for (place, wanted) in (1..).zip(pieces) {
                let piece = std::iter::from_fn(|| rows.next_if(|row| row.place == place));
                // Whoever asked may have gone away; that is fine.
                let _ = wanted.reply.send(Ok(piece.map(|row| row.event).collect()));
            }
        }
        Err(error) => {
            for wanted in pieces {
                let _ = wanted.reply.send(Err(error.clone()));
            }
        }
    }
}

#[derive(FromRow)]
struct Placed {
    place: i64,
    #[sqlx(flatten)]
    event: RawEvent,
}

async fn read(
    slot: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    pieces: &[Wanted],
) -> Result<Vec<Placed>, StoreError> {
    // Taken out, so that only a connection that worked is kept.
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => statement::open(options).await?,
    };
    let rows = sqlx::query_as(
        "SELECT wanted.place, found.*
           FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
             AS wanted (aggregate_type, aggregate_id, after_sequence, piece, place)
          CROSS JOIN LATERAL (
                SELECT shard, position, event_id, aggregate_type, aggregate_id, sequence, event_type,
                       event_version, payload::text AS payload, metadata::text AS metadata, recorded_at
                  FROM events
                 WHERE events.aggregate_type = wanted.aggregate_type
                   AND events.aggregate_id = wanted.aggregate_id
                   AND events.sequence > wanted.after_sequence
                 ORDER BY events.sequence
                 LIMIT wanted.piece) AS found
          ORDER BY wanted.place, found.sequence",
    )
    .bind(pieces.iter().map(|wanted| wanted.aggregate_type.as_str()).collect::<Vec<_>>())
    .bind(pieces.iter().map(|wanted| wanted.aggregate_id.as_str()).collect::<Vec<_>>())
    .bind(pieces.iter().map(|wanted| wanted.after_sequence).collect::<Vec<_>>())
    .bind(pieces.iter().map(|wanted| wanted.limit).collect::<Vec<_>>())
    .fetch_all(&mut connection)
    .await?;
    *slot = Some(connection);
    Ok(rows)
}
