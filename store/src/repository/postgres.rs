//! The repository in PostgreSQL: appends go through a sequencer, reads through the pool.

use std::time::Duration;

use async_trait::async_trait;
use domain::ids::RequestId;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{Pending, Prepared};
use super::sequencer::Sequencer;
use super::stream_reader::{LONGEST_PIECE, StreamReader};
use super::{AppendRequest, Appended, DEFAULT_SHARD, EventRepository, RecordedRequest, statement};
use crate::error::StoreError;
use crate::event::RawEvent;
use crate::wakeup::Wakeup;
use crate::writer::Writer;

/// How a repository behaves under load and trouble.
#[derive(Debug, Clone)]
pub struct RepositoryConfig {
    /// Requests that may wait for the sequencer; beyond that callers wait to ask.
    pub queue: usize,
    /// How long an append is tried again while the database is away or others are in the way.
    pub patience: Duration,
}

impl Default for RepositoryConfig {
    fn default() -> Self {
        Self { queue: 4_096, patience: Duration::from_secs(15) }
    }
}

/// Events in PostgreSQL. Clones share the sequencer.
#[derive(Clone)]
pub struct PostgresRepository {
    pool: PgPool,
    writer: Writer,
    reader: StreamReader,
    requests: mpsc::Sender<Pending>,
    stop: CancellationToken,
    tasks: TaskTracker,
    patience: Duration,
}

impl PostgresRepository {
    /// A repository that appends as `writer` and wakes readers through `wakeup`.
    #[must_use]
    pub fn start(pool: PgPool, writer: Writer, wakeup: Wakeup, config: &RepositoryConfig) -> Self {
        let (requests, received) = mpsc::channel(config.queue);
        let stop = CancellationToken::new();
        let sequencer = Sequencer::new(
            DEFAULT_SHARD,
            received,
            stop.clone(),
            pool.connect_options(),
            writer.clone(),
            wakeup,
            config.patience,
        );
        let tasks = TaskTracker::new();
        tasks.spawn(sequencer.run());
        let (reader, reading) = StreamReader::new(pool.connect_options(), stop.clone());
        tasks.spawn(reading);
        tasks.close();
        Self { pool, writer, reader, requests, stop, tasks, patience: config.patience }
    }

    /// The writer that this repository appends as.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The pool that it reads from.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Takes no more appends, in any clone, and waits until those that were asked for have their answers.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// Selects events as they are stored.
macro_rules! events {
    ($which:literal) => {
        concat!(
            "SELECT shard, position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload::text AS payload, metadata::text AS metadata, recorded_at FROM events",
            $which
        )
    };
}

const LAST: &str = events!(
    "
     WHERE aggregate_type = $1
       AND aggregate_id = $2
     ORDER BY sequence DESC
     LIMIT 1"
);

const STREAM: &str = events!(
    "
     WHERE aggregate_type = $1
       AND aggregate_id = $2
       AND sequence > $3
     ORDER BY sequence
     LIMIT $4"
);

const READ: &str = events!(
    "
     WHERE shard = $1
       AND position > $2
     ORDER BY position
     LIMIT $3"
);

#[async_trait]
impl EventRepository for PostgresRepository {
    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError> {
        let epoch = request.held_epoch.unwrap_or_else(|| self.writer.lease().epoch);
        let (reply, answer) = oneshot::channel();
        let pending = Pending::new(Prepared::try_new(request)?, epoch, reply);
        match self.requests.try_send(pending) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(stopped()),
            Err(mpsc::error::TrySendError::Full(pending)) => {
                let sent = self.requests.send_timeout(pending, self.patience).await;
                sent.map_err(|_| StoreError::unavailable("too many appends are waiting"))?;
            }
        }
        answer.await.map_err(|_| stopped())?.result
    }

    async fn raw_stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<RawEvent>, StoreError> {
        if limit <= LONGEST_PIECE
            && let Some(events) = self.reader.read(aggregate_type, aggregate_id, after_sequence, limit).await
        {
            return events;
        }
        let events = sqlx::query_as(STREAM)
            .bind(aggregate_type)
            .bind(aggregate_id)
            .bind(after_sequence)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        Ok(events)
    }

    async fn raw_last(&self, aggregate_type: &str, aggregate_id: &str) -> Result<Option<RawEvent>, StoreError> {
        let last = sqlx::query_as(LAST).bind(aggregate_type).bind(aggregate_id).fetch_optional(&self.pool).await?;
        Ok(last)
    }

    async fn raw_read(&self, shard: i32, after_position: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        let events = sqlx::query_as(READ).bind(shard).bind(after_position).bind(limit).fetch_all(&self.pool).await?;
        Ok(events)
    }

    async fn head(&self, shard: i32) -> Result<i64, StoreError> {
        let head = sqlx::query_scalar("SELECT head FROM shards WHERE shard = $1")
            .bind(shard)
            .fetch_optional(&self.pool)
            .await?;
        Ok(head.unwrap_or(0))
    }

    async fn request(&self, request_id: RequestId) -> Result<Option<RecordedRequest>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut found = statement::recorded_requests(&mut connection, &[request_id]).await?;
        Ok(found.remove(&request_id))
    }
}

fn stopped() -> StoreError {
    StoreError::unavailable("the repository has stopped")
}
