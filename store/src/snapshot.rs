//! Folded states beside the append path: saved in the background, read by loads, never trusted.
//!
//! A snapshot of another shape is not seen. One load in a thousand folds the whole stream as well
//! and compares. Losing a snapshot costs time only, so nothing here fails a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::decide::Decide;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::error::StoreError;

/// When snapshots are taken and checked.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotConfig {
    /// A snapshot after every so many events of a stream.
    pub every: i64,
    /// One load from a snapshot in so many is checked against a full fold.
    pub check_every: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self { every: 100, check_every: 1_000 }
    }
}

/// What happened to snapshots since the start, for metrics.
#[derive(Debug, Default)]
pub struct SnapshotCounters {
    pub saved: AtomicU64,
    pub used: AtomicU64,
    pub checked: AtomicU64,
    /// The snapshot was not what the events fold to. Each one is a bug or tampering.
    pub mismatched: AtomicU64,
}

/// Reads and saves snapshots. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots {
    pool: PgPool,
    config: SnapshotConfig,
    jobs: mpsc::Sender<Job>,
    counters: Arc<SnapshotCounters>,
}

struct Job {
    aggregate_type: &'static str,
    aggregate_id: String,
    shape: u32,
    last_sequence: i64,
    state: Box<dyn FnOnce() -> serde_json::Result<String> + Send>,
}

/// Snapshots that wait to be saved; more are dropped, as the next ones do as well.
const QUEUE: usize = 256;

impl Snapshots {
    /// Starts the background task; it ends when the last clone is dropped.
    #[must_use]
    pub fn start(pool: PgPool, config: SnapshotConfig, tasks: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(SnapshotCounters::default());
        tasks.spawn(save_all(queue, pool.clone(), Arc::clone(&counters)));
        Self { pool, config, jobs, counters }
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &SnapshotCounters {
        &self.counters
    }

    /// The newest snapshot of this shape, with the sequence that it is of.
    pub async fn load<A: Decide>(&self, aggregate_id: &str) -> Result<Option<(A, i64)>, StoreError> {
        let row: Option<(String, i64)> = sqlx::query_as(
            "SELECT state::text, last_sequence
               FROM snapshots
              WHERE aggregate_type = $1
                AND aggregate_id = $2
                AND shape = $3",
        )
        .bind(A::TYPE)
        .bind(aggregate_id)
        .bind(i64::from(A::SHAPE))
        .fetch_optional(&self.pool)
        .await?;
        let Some((text, sequence)) = row else { return Ok(None) };
        let state = serde_json::from_str(&text).map_err(|error| StoreError::serialise("a snapshot", error))?;
        self.counters.used.fetch_add(1, Ordering::Relaxed);
        Ok(Some((state, sequence)))
    }

    /// Saves `state` in the background when the stream went past a multiple of `every`.
    pub fn offer<A: Decide>(&self, aggregate_id: &str, state: &Arc<A>, before: i64, after: i64) {
        if before / self.config.every == after / self.config.every {
            return;
        }
        let state = Arc::clone(state);
        let job = Job {
            aggregate_type: A::TYPE,
            aggregate_id: aggregate_id.to_owned(),
            shape: A::SHAPE,
            last_sequence: after,
            state: Box::new(move || serde_json::to_string(&*state)),
        };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!(aggregate.kind = A::TYPE, aggregate.id = aggregate_id, "a snapshot was left out");
        }
    }

    /// A stream shorter than this has no snapshot.
    pub(crate) fn every(&self) -> i64 {
        self.config.every
    }

    /// Whether this load from a snapshot is one that is checked.
    pub(crate) fn is_check_due(&self) -> bool {
        self.counters.used.load(Ordering::Relaxed).is_multiple_of(self.config.check_every)
    }

    /// Whether a state that came from a snapshot is what the events fold to.
    pub(crate) fn is_true<A: Decide>(&self, aggregate_id: &str, from_snapshot: &A, folded: &A) -> bool {
        self.counters.checked.fetch_add(1, Ordering::Relaxed);
        let same = match (serde_json::to_value(from_snapshot), serde_json::to_value(folded)) {
            (Ok(left), Ok(right)) => left == right,
            _ => false,
        };
        if !same {
            self.counters.mismatched.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                aggregate.kind = A::TYPE,
                aggregate.id = aggregate_id,
                "a snapshot was not what the events fold to; the events are used and the snapshot is deleted"
            );
        }
        same
    }

    /// Deletes the snapshots of an aggregate.
    pub async fn discard<A: Decide>(&self, aggregate_id: &str) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM snapshots
              WHERE aggregate_type = $1
                AND aggregate_id = $2",
        )
        .bind(A::TYPE)
        .bind(aggregate_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn save_all(mut queue: mpsc::Receiver<Job>, pool: PgPool, counters: Arc<SnapshotCounters>) {
    while let Some(job) = queue.recv().await {
        let (kind, id) = (job.aggregate_type, job.aggregate_id.clone());
        match save(&pool, job).await {
            Ok(()) => {
                counters.saved.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(aggregate.kind = kind, aggregate.id = id, %error, "a snapshot was not saved");
            }
        }
    }
}

async fn save(pool: &PgPool, job: Job) -> Result<(), StoreError> {
    let state = (job.state)().map_err(|error| StoreError::serialise("a snapshot", error))?;
    sqlx::query(
        "INSERT INTO snapshots (aggregate_type, aggregate_id, shape, last_sequence, state, taken_at)
         VALUES ($1, $2, $3, $4, $5::json, clock_timestamp())
         ON CONFLICT ON CONSTRAINT snapshots_pkey DO UPDATE
            SET last_sequence = excluded.last_sequence,
                state = excluded.state,
                taken_at = excluded.taken_at
          WHERE snapshots.last_sequence < excluded.last_sequence",
    )
    .bind(job.aggregate_type)
    .bind(job.aggregate_id)
    .bind(i64::from(job.shape))
    .bind(job.last_sequence)
    .bind(state)
    .execute(pool)
    .await?;
    Ok(())
}
