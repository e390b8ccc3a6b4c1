//! Follows the log for one projection: reads, applies, moves the checkpoint, waits for more.
//!
//! Any number of processes may follow for the same projection; the checkpoint lets one of them win each batch. Which
//! events are read is the log reader's; what is done with them the projection's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Executor, PgConnection, PgPool};
use store::StoreError;
use store::log::LogReader;
use store::repository::EventRepository;
use store::wakeup::Wakeup;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Applied, Incoming};
use crate::checkpoint::{self, Checkpoint};
use crate::error::ProjectionError;
use crate::projection::{Kind, Projection};
use crate::rebuild::{self, Rebuild};

/// Events of one transaction.
const BATCH: i64 = 500;

/// A batch that takes longer is given up and tried again.
const LONGEST_BATCH: Duration = Duration::from_secs(60);

/// The same, told to the server, so that a process that was stopped in the middle holds nobody up.
const LIMITS_OF_A_BATCH: &str = "SET LOCAL statement_timeout = '60s';
     SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// The pause after a failure, doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often a runner that stands back looks whether it may go on.
const SUPERSEDED_PAUSE: Duration = Duration::from_secs(30);

/// Where a runner gets its events.
#[derive(Clone)]
pub struct Log {
    pub repository: Arc<dyn EventRepository>,
    pub wakeup: Wakeup,
    pub shard: i32,
}

/// What a runner is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerState {
    Starting,
    /// Reads and applies, or waits for events.
    Following,
    /// The rows have an older shape and are being built again.
    Rebuilding,
    /// A newer program keeps the rows in a shape that this one does not know.
    Superseded,
    /// The last batch failed, through no event's fault; it is tried again.
    Failing {
        code: &'static str,
    },
    Stopped,
}

impl RunnerState {
    /// The name that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Following => "FOLLOWING",
            Self::Rebuilding => "REBUILDING",
            Self::Superseded => "SUPERSEDED",
            Self::Failing { .. } => "FAILING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Follows the log for one projection.
pub struct Runner {
    projection: Arc<dyn Projection>,
    pool: PgPool,
    log: Log,
    state: watch::Sender<RunnerState>,
    position: watch::Sender<i64>,
}

impl Runner {
    /// A runner of `projection` that keeps its rows in the database of `pool`.
    #[must_use]
    pub fn new(projection: Arc<dyn Projection>, pool: PgPool, log: Log) -> Self {
        let state = watch::Sender::new(RunnerState::Starting);
        Self { projection, pool, log, state, position: watch::Sender::new(0) }
    }

    /// Follows what the runner is doing.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RunnerState> {
        self.state.subscribe()
    }

    /// Follows the checkpoint, as far as this runner knows it.
    #[must_use]
    pub fn position(&self) -> watch::Receiver<i64> {
        self.position.subscribe()
    }

    /// Runs until `stop`. A batch that is under way is undone.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep_following() => {}
        }
        self.state.send_replace(RunnerState::Stopped);
    }

    /// Applies what the log has now and returns the checkpoint. For tests and tools; does not wait for more.
    pub async fn catch_up(&self) -> Result<i64, ProjectionError> {
        let mut at = self.prepare().await?;
        loop {
            let events = self.log.repository.raw_read(self.log.shard, at.position, BATCH).await?;
            if events.is_empty() {
                return Ok(at.position);
            }
            at = match self.apply(at, &in_order(at, events, self.projection.as_ref())?).await? {
                Applied::To(to) => to,
                Applied::Elsewhere => self.prepare().await?,
            };
            self.position.send_replace(at.position);
        }
    }

    async fn keep_following(&self) {
        let mut pause = SHORTEST_PAUSE;
        let mut reached = *self.position.borrow();
        loop {
            let Err(error) = self.follow().await;
            let position = *self.position.borrow();
            pause = if position == reached { (pause * 2).min(LONGEST_PAUSE) } else { SHORTEST_PAUSE };
            reached = position;
            if matches!(error, ProjectionError::VersionDiffers { .. }) {
                self.tell(RunnerState::Superseded, &error);
                sleep(SUPERSEDED_PAUSE).await;
            } else {
                self.tell(RunnerState::Failing { code: error.code() }, &error);
                sleep(pause).await;
            }
        }
    }

    /// Says once what is wrong, not with every try.
    fn tell(&self, state: RunnerState, error: &ProjectionError) {
        let before = self.state.send_replace(state);
        if before != state {
            tracing::warn!(
                projection = self.projection.name(),
                error.code = error.code(),
                error = %error.reason(),
                "the projection stands still; trying again",
            );
        }
    }

    /// Follows until something fails.
    async fn follow(&self) -> Result<Infallible, ProjectionError> {
        loop {
            let mut at = self.prepare().await?;
            self.position.send_replace(at.position);
            let mut reader =
                LogReader::new(Arc::clone(&self.log.repository), &self.log.wakeup, self.log.shard, at.position);
            self.go_on();
            loop {
                let events = reader.next_raw(BATCH).await?;
                let events: Vec<_> =
                    events.into_iter().map(|raw| Incoming::of(raw, self.projection.as_ref())).collect();
                match self.apply(at, &events).await? {
                    Applied::To(to) => at = to,
                    Applied::Elsewhere => break,
                }
                self.position.send_replace(at.position);
                self.go_on();
            }
        }
    }

    fn go_on(&self) {
        let before = self.state.send_replace(RunnerState::Following);
        if matches!(before, RunnerState::Failing { .. } | RunnerState::Superseded) {
            tracing::info!(projection = self.projection.name(), "the projection goes on");
        }
    }

    async fn apply(&self, from: Checkpoint, events: &[Incoming]) -> Result<Applied, ProjectionError> {
        let batch = async {
            let mut tx = self.pool.begin().await?;
            limit(&mut tx).await?;
            let applied = batch::apply(&mut tx, self.projection.as_ref(), self.log.shard, from, events).await?;
            match applied {
                Applied::To(_) => {
                    tx.commit().await?;
                    self.projection.committed();
                }
                Applied::Elsewhere => tx.rollback().await?,
            }
            Ok(applied)
        };
        let stuck = |_| ProjectionError::Stuck { name: self.projection.name() };
        timeout(LONGEST_BATCH, batch).await.map_err(stuck)?
    }

    /// The checkpoint to go on from, in the shape that this program knows.
    async fn prepare(&self) -> Result<Checkpoint, ProjectionError> {
        let (name, ours, shard) = (self.projection.name(), self.projection.version(), self.log.shard);
        loop {
            match checkpoint::load(&self.pool, name, shard).await? {
                Some(found) if found.version == ours => return Ok(found),
                Some(found) if found.version > ours => {
                    return Err(ProjectionError::VersionDiffers { name, ours, found: found.version });
                }
                Some(found) => self.upgrade(found).await?,
                None => checkpoint::begin(&self.pool, name, shard, self.start().await?).await?,
            }
        }
    }

    async fn start(&self) -> Result<Checkpoint, ProjectionError> {
        let position = match self.projection.kind() {
            Kind::ReadModel => 0,
            // What happened before it was there asks for no work.
            Kind::Reactor => self.log.repository.head(self.log.shard).await?,
        };
        Ok(Checkpoint { version: self.projection.version(), position })
    }

    async fn upgrade(&self, found: Checkpoint) -> Result<(), ProjectionError> {
        let (name, ours) = (self.projection.name(), self.projection.version());
        match self.projection.kind() {
            Kind::ReadModel => {
                tracing::info!(projection = name, from = found.version, to = ours, "building the rows in a new shape");
                self.state.send_replace(RunnerState::Rebuilding);
                let rebuild = Rebuild::new(&self.pool, Arc::clone(&self.projection), self.log.shard);
                rebuild.swap(rebuild::silent()).await?;
            }
            Kind::Reactor => {
                let mut connection = self.pool.acquire().await?;
                let to = Checkpoint { version: ours, ..found };
                checkpoint::advance(&mut connection, name, self.log.shard, found, to).await?;
            }
        }
        Ok(())
    }
}

async fn limit(db: &mut PgConnection) -> Result<(), ProjectionError> {
    db.execute(LIMITS_OF_A_BATCH).await?;
    Ok(())
}

/// `events` as they follow the checkpoint; a gap is a damaged log, and no projection goes on over it.
pub(crate) fn in_order(
    at: Checkpoint,
    events: Vec<store::event::RawEvent>,
    projection: &dyn Projection,
) -> Result<Vec<Incoming>, ProjectionError> {
    for (expected, event) in (at.position + 1..).zip(&events) {
        if event.position != expected {
            let reason = "it is missing from the log".to_owned();
            return Err(StoreError::Corrupt { shard: event.shard, position: expected, reason }.into());
        }
    }
    Ok(events.into_iter().map(|raw| Incoming::of(raw, projection)).collect())
}
