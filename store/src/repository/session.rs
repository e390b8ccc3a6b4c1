//! The sequencer's connection, and what it knows of the database through it.
//!
//! Heads of streams and the shard are remembered between batches; they are true as long as the
//! shard's head still stands when the batch is stored. What an error means is the sequencer's to say.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::RequestId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use super::Appended;
use super::batch::{Batch, First, Pending, ShardHead, StreamKey};
use super::memo::Memo;
use super::statement::{self, Written, ids_of};
use crate::error::StoreError;
use crate::tap::Told;
use crate::wakeup::Wakeup;
use crate::writer::{Writer, WriterLease};

/// Longer than the server's own limit, which then tells the outcome.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(8);

const KNOWN_STREAMS: usize = 32_768;
const KNOWN_REQUESTS: usize = 8_192;

/// The lock on the shard's head, taken before looking instead of while appending.
#[derive(Clone, Copy, PartialEq)]
enum Lock {
    Unneeded,
    /// Another process has appended, and might again before we are done looking.
    Wanted,
    /// In a transaction that is to be ended.
    Held,
}

pub(super) struct Session {
    shard: i32,
    options: Arc<PgConnectOptions>,
    writer: Writer,
    wakeup: Wakeup,
    connection: Option<PgConnection>,
    /// A statement on a lost connection may still be running.
    unresolved: bool,
    lock: Lock,
    /// New streams are taken at their word, as the primary key guards them; after one was not new
    /// they are looked up, once.
    look_up_new: bool,
    head: Option<ShardHead>,
    streams: Memo<StreamKey, i64>,
    recent: Memo<RequestId, First>,
}

impl Session {
    pub fn new(shard: i32, options: Arc<PgConnectOptions>, writer: Writer, wakeup: Wakeup) -> Self {
        Self {
            shard,
            options,
            writer,
            wakeup,
            connection: None,
            unresolved: false,
            lock: Lock::Unneeded,
            look_up_new: false,
            head: None,
            streams: Memo::new(KNOWN_STREAMS),
            recent: Memo::new(KNOWN_REQUESTS),
        }
    }

    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Opens a connection if there is none. After a lost one it first takes a new epoch, which
    /// waits for the lost statement and keeps it from committing later.
    pub async fn connect(&mut self) -> Result<(), StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            slot => slot.insert(timed(statement::open(&self.options)).await?),
        };
        if self.unresolved {
            within(self.writer.take_new_epoch(connection)).await?;
            self.unresolved = false;
        }
        Ok(())
    }

    /// Gives up the connection. With `unresolved`, a statement on it has no outcome yet.
    pub fn disconnect(&mut self, unresolved: bool) {
        self.forget();
        self.connection = None;
        self.lock = Lock::Unneeded;
        self.unresolved |= unresolved;
    }

    pub async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // The server notices a connection that goes away without a word as well.
            let _ = connection.close().await;
        }
    }

    /// Drops everything that another process's append makes untrue.
    pub fn forget(&mut self) {
        self.head = None;
        self.streams.clear();
    }

    /// A row of the batch was there already.
    pub fn met_a_duplicate(&mut self) {
        self.forget();
        self.look_up_new = true;
    }

    /// Another process has appended.
    pub fn head_moved(&mut self) {
        self.forget();
        self.lock = Lock::Wanted;
    }

    /// Answers those of `pending` that are known to be stored, after asking the database about
    /// those that `ask` selects; returns the others.
    pub async fn answer_stored(
        &mut self,
        pending: Vec<Pending>,
        ask: impl Fn(&Pending) -> bool,
    ) -> Result<Vec<Pending>, (Vec<Pending>, StoreError)> {
        let mut asked = ids_of(pending.iter().filter(|waiting| ask(waiting)));
        asked.retain(|id| !self.recent.contains(id));
        if !asked.is_empty()
            && let Err(error) = self.look_up_requests(&asked).await
        {
            return Err((pending, error));
        }
        let mut others = Vec::with_capacity(pending.len());
        for waiting in pending {
            match self.recent.get(&waiting.id()) {
                Some(first) => waiting.answer_with(&first),
                None => others.push(waiting),
            }
        }
        Ok(others)
    }

    async fn look_up_requests(&mut self, asked: &[RequestId]) -> Result<(), StoreError> {
        let connection = connected(&mut self.connection)?;
        for (id, first) in timed(statement::recorded_requests(connection, asked)).await? {
            self.wakeup.publish(self.shard, first.appended.last_position);
            let stream = StreamKey::new(&first.aggregate_type, &first.aggregate_id);
            self.recent.put(id, First { stream, appended: first.appended });
        }
        Ok(())
    }

    /// The shard's head first and the streams' after it: when the head still stands at the append,
    /// so do they.
    pub async fn look_up_heads(&mut self, pending: &[Pending]) -> Result<ShardHead, StoreError> {
        let connection = connected(&mut self.connection)?;
        if self.lock == Lock::Wanted {
            timed(connection.execute("BEGIN")).await?;
            self.lock = Lock::Held;
            self.head = Some(within(statement::shard_head(connection, self.shard, true)).await?);
        }
        let head = match self.head {
            Some(head) => head,
            None => within(statement::shard_head(connection, self.shard, false)).await?,
        };
        self.head = Some(head);
        let look_up_new = std::mem::take(&mut self.look_up_new);
        let unknown: HashSet<&StreamKey> = pending
            .iter()
            .filter(|waiting| look_up_new || waiting.prepared.request.expected_sequence > 0)
            .map(Pending::stream)
            .filter(|stream| !self.streams.contains(stream))
            .collect();
        if !unknown.is_empty() {
            let unknown: Vec<StreamKey> = unknown.into_iter().cloned().collect();
            let sequences = timed(statement::stream_heads(connection, &unknown)).await?;
            for (stream, sequence) in unknown.into_iter().zip(sequences) {
                self.streams.put(stream, sequence);
            }
        }
        Ok(head)
    }

    /// The last sequence of a stream; of one that was not looked up, 0.
    pub fn stream_head(&self, stream: &StreamKey) -> i64 {
        self.streams.get(stream).unwrap_or(0)
    }

    /// Where the log goes on, as far as is known.
    pub fn next_position(&self) -> i64 {
        self.head.map_or(0, |head| head.position) + 1
    }

    /// Stores the batch and remembers it.
    pub async fn store(
        &mut self,
        accepted: &[(Pending, Appended)],
        lease: &WriterLease,
        head: ShardHead,
    ) -> Result<Written, sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::PoolClosed) };
        let batch = Batch::of(accepted, self.shard, head);
        let in_transaction = self.lock == Lock::Held;
        let work = async {
            let written = statement::append(connection, self.shard, lease, &batch).await?;
            if in_transaction && written == Written::Committed {
                connection.execute("COMMIT").await?;
            }
            Ok::<Written, sqlx::Error>(written)
        };
        let written = timeout(STATEMENT_DEADLINE, work).await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)??;
        if written == Written::Committed {
            self.lock = Lock::Unneeded;
            self.head = Some(batch.after);
            for (waiting, appended) in accepted {
                let stream = waiting.stream().clone();
                self.streams.put(stream.clone(), appended.last_sequence);
                self.recent.put(waiting.id(), First { stream, appended: *appended });
            }
        }
        Ok(written)
    }

    /// Tells those who listen to this process what `accepted` stored.
    pub fn tell_taps(&self, accepted: &[(Pending, Appended)]) {
        let (Some((_, first)), Some((_, last))) = (accepted.first(), accepted.last()) else { return };
        self.wakeup.tell_taps(self.shard, (first.first_position, last.last_position), || {
            accepted.iter().flat_map(|(waiting, appended)| {
                let request = &waiting.prepared.request;
                (appended.first_sequence..).zip((0..).zip(&request.events)).map(|(sequence, (index, event))| Told {
                    aggregate_type: &request.aggregate_type,
                    aggregate_id: &request.aggregate_id,
                    event_type: &event.event_type,
                    sequence,
                    request_id: request.request_id,
                    index,
                    correlation_id: request.metadata.correlation_id,
                    payload: event.payload(),
                })
            })
        });
    }

    /// Tells readers of what was stored.
    pub fn publish(&self) {
        if let Some(head) = self.head {
            self.wakeup.publish(self.shard, head.position);
        }
    }

    /// Ends a transaction that was not committed.
    pub async fn roll_back(&mut self) {
        if self.lock != Lock::Held {
            return;
        }
        self.lock = Lock::Unneeded;
        if let Ok(connection) = connected(&mut self.connection)
            && timed(connection.execute("ROLLBACK")).await.is_err()
        {
            self.disconnect(false);
        }
    }
}

fn connected(slot: &mut Option<PgConnection>) -> Result<&mut PgConnection, StoreError> {
    slot.as_mut().ok_or_else(|| StoreError::unavailable("there is no connection"))
}

async fn within<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(STATEMENT_DEADLINE, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(StoreError::unavailable("the database does not answer in time")),
    }
}

async fn timed<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    within(async { Ok(work.await?) }).await
}
