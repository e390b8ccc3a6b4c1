//! Builds a projection again from the log, beside the live one, compares the two row by row, and swaps them.
//!
//! Writers and readers go on meanwhile, and so does the projection itself until the swap. The earlier rows are kept in a
//! schema of their own for [`Rebuild::restore`]. Reactors are never rebuilt: what they wrote is done.

mod compare;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::sleep;

use crate::batch::{self, Applied};
use crate::checkpoint::{self, Checkpoint};
use crate::error::ProjectionError;
use crate::events;
use crate::projection::{Kind, Projection};
use crate::runner::in_order;

pub use compare::{RowDifference, TableDifference};
use schema::Schemas;

/// Events of one transaction.
const BATCH: i64 = 1_000;

/// When this few are left, the rest is applied in the last transaction.
const NEARLY_THERE: i64 = 1_000;

/// How often the head is chased before the last transaction takes what is left, however much.
const MOST_ROUNDS: u32 = 20;

/// How often a swap is tried while others hold the tables.
const SWAPS: u32 = 10;
const SWAP_PAUSE: Duration = Duration::from_millis(500);

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    Building,
    Comparing,
    Swapping,
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub phase: Phase,
    pub position: i64,
    pub target: i64,
}

/// Told of a rebuild's progress.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Tells nobody.
#[must_use]
pub fn silent() -> OnProgress {
    Arc::new(|_| {})
}

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub projection: &'static str,
    /// Where the live and the rebuilt rows were compared.
    pub position: i64,
    /// `None` when the live rows have an older shape, which cannot be compared.
    pub tables: Option<Vec<TableDifference>>,
    /// Events that wait in parked streams, in the live rows and in the rebuilt ones.
    pub parked_live: i64,
    pub parked_rebuilt: i64,
    /// Whether the rebuilt rows are the live ones now.
    pub swapped: bool,
}

impl Report {
    /// Whether every live row is what the log says.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.tables.as_ref().is_some_and(|tables| tables.iter().all(TableDifference::agrees))
    }
}

/// Rebuilds one projection.
pub struct Rebuild<'p> {
    pool: &'p PgPool,
    projection: Arc<dyn Projection>,
    shard: i32,
}

/// A rebuild that is under way, on a connection of its own that holds its lock.
struct Work<'p> {
    projection: &'p dyn Projection,
    shard: i32,
    connection: PgConnection,
    schemas: Schemas,
    at: Checkpoint,
    on_progress: OnProgress,
}

impl<'p> Rebuild<'p> {
    /// A rebuild of `projection` in the database of `pool`.
    #[must_use]
    pub fn new(pool: &'p PgPool, projection: Arc<dyn Projection>, shard: i32) -> Self {
        Self { pool, projection, shard }
    }

    /// Builds beside the live rows and compares; changes nothing.
    pub async fn verify(&self, on_progress: OnProgress) -> Result<Report, ProjectionError> {
        let mut work = self.begin(on_progress).await?;
        let live = work.live_checkpoint().await?;
        if live.version != self.projection.version() {
            let (name, ours) = (self.projection.name(), self.projection.version());
            return Err(ProjectionError::VersionDiffers { name, ours, found: live.version });
        }
        work.build().await?;
        let report = work.compare().await?;
        work.discard().await?;
        Ok(report)
    }

    /// Builds beside the live rows, compares, and swaps.
    pub async fn swap(&self, on_progress: OnProgress) -> Result<Report, ProjectionError> {
        let mut work = self.begin(on_progress).await?;
        work.build().await?;
        let report = work.compare().await?;
        work.swap_patiently().await?;
        work.close().await?;
        Ok(Report { swapped: true, ..report })
    }

    /// Puts back the rows that the last swap replaced; the runner goes on from where they stood.
    pub async fn restore(&self) -> Result<i64, ProjectionError> {
        let mut work = self.open(silent()).await?;
        let position = work.restore_patiently().await?;
        work.close().await?;
        Ok(position)
    }

    async fn begin(&self, on_progress: OnProgress) -> Result<Work<'_>, ProjectionError> {
        let mut work = self.open(on_progress).await?;
        let tables = self.projection.tables();
        schema::make(&mut work.connection, &work.schemas, tables).await?;
        let mut tx = work.connection.begin().await?;
        schema::enter(&mut tx, &work.schemas).await?;
        checkpoint::begin(&mut *tx, self.projection.name(), self.shard, work.at).await?;
        tx.commit().await?;
        Ok(work)
    }

    /// Takes a connection and the right to rebuild this projection, which ends with the connection.
    async fn open(&self, on_progress: OnProgress) -> Result<Work<'_>, ProjectionError> {
        let name = self.projection.name();
        if self.projection.kind() == Kind::Reactor {
            return Err(ProjectionError::NotRebuildable { name });
        }
        // Detached, so that the lock is never given back to the pool with the connection.
        let mut connection = self.pool.acquire().await?.detach();
        let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(format!("reprise rebuild {name}"))
            .fetch_one(&mut connection)
            .await?;
        if !locked {
            return Err(ProjectionError::RebuildRunning { name });
        }
        let schemas = Schemas::of(&mut connection, name).await?;
        let at = Checkpoint { version: self.projection.version(), position: 0 };
        checkpoint::begin(&mut connection, name, self.shard, at).await?;
        let projection = self.projection.as_ref();
        Ok(Work { projection, shard: self.shard, connection, schemas, at, on_progress })
    }
}

impl Work<'_> {
    fn tell(&self, phase: Phase, target: i64) {
        (self.on_progress)(Progress { phase, position: self.at.position, target });
    }

    async fn live_checkpoint(&mut self) -> Result<Checkpoint, ProjectionError> {
        let name = self.projection.name();
        let found = checkpoint::load(&mut self.connection, name, self.shard).await?;
        found.ok_or(ProjectionError::NotBegun { name })
    }

    /// Follows the live rows until they are nearly reached, or until following gains nothing any more. The rebuilt ones
    /// are never ahead of them.
    async fn build(&mut self) -> Result<(), ProjectionError> {
        let mut gap = i64::MAX;
        for _ in 0..MOST_ROUNDS {
            let target = self.live_checkpoint().await?.position;
            self.tell(Phase::Building, target);
            while self.at.position < target {
                self.build_batch(target).await?;
                self.tell(Phase::Building, target);
            }
            let left = self.live_checkpoint().await?.position - target;
            if left < NEARLY_THERE || left >= gap {
                break;
            }
            gap = left;
        }
        schema::analyze(&mut self.connection, &self.schemas, self.projection.tables()).await
    }

    async fn build_batch(&mut self, target: i64) -> Result<(), ProjectionError> {
        let mut tx = self.connection.begin().await?;
        schema::enter(&mut tx, &self.schemas).await?;
        // Whatever a crash loses is built again.
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx).await?;
        let at = apply_next(&mut tx, self.projection, self.shard, self.at, target).await?;
        tx.commit().await?;
        self.at = at;
        Ok(())
    }

    /// Compares in one snapshot, in which both stand at the same position; nobody waits for it.
    async fn compare(&mut self) -> Result<Report, ProjectionError> {
        let name = self.projection.name();
        let mut tx = self.connection.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *tx).await?;
        let live = checkpoint::load(&mut *tx, name, self.shard).await?;
        let live = live.ok_or(ProjectionError::NotBegun { name })?;
        schema::enter(&mut tx, &self.schemas).await?;
        let at = apply_up_to(&mut tx, self.projection, self.shard, self.at, live.position).await?;
        schema::leave(&mut tx, &self.schemas).await?;
        (self.on_progress)(Progress { phase: Phase::Comparing, position: at.position, target: live.position });
        let tables = if live.version == self.projection.version() {
            Some(compare::tables(&mut tx, &self.schemas, self.projection.tables()).await?)
        } else {
            None
        };
        let parked_live = schema::count_parked(&mut tx, &self.schemas.live, name, self.shard).await?;
        let parked_rebuilt = schema::count_parked(&mut tx, &self.schemas.rebuilt, name, self.shard).await?;
        tx.commit().await?;
        self.at = at;
        let position = live.position;
        Ok(Report { projection: name, position, tables, parked_live, parked_rebuilt, swapped: false })
    }

    async fn swap_patiently(&mut self) -> Result<(), ProjectionError> {
        for _ in 0..SWAPS {
            self.tell(Phase::Swapping, self.at.position);
            match self.try_swap().await {
                Err(error) if is_lock_trouble(&error) => sleep(SWAP_PAUSE).await,
                done => return done,
            }
        }
        Err(ProjectionError::SwapBlocked { name: self.projection.name() })
    }

    /// The live projection waits for this transaction, which applies what it is ahead by and takes its place.
    async fn try_swap(&mut self) -> Result<(), ProjectionError> {
        let name = self.projection.name();
        let mut tx = self.connection.begin().await?;
        schema::limit_lock_waits(&mut tx).await?;
        let live = checkpoint::lock(&mut tx, name, self.shard).await?;
        let live = live.ok_or(ProjectionError::NotBegun { name })?;
        schema::enter(&mut tx, &self.schemas).await?;
        let at = apply_up_to(&mut tx, self.projection, self.shard, self.at, live.position).await?;
        schema::leave(&mut tx, &self.schemas).await?;
        schema::swap(&mut tx, &self.schemas, self.projection, self.shard).await?;
        checkpoint::advance(&mut tx, name, self.shard, live, at).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn restore_patiently(&mut self) -> Result<i64, ProjectionError> {
        for _ in 0..SWAPS {
            match self.try_restore().await {
                Err(error) if is_lock_trouble(&error) => sleep(SWAP_PAUSE).await,
                done => return done,
            }
        }
        Err(ProjectionError::SwapBlocked { name: self.projection.name() })
    }

    async fn try_restore(&mut self) -> Result<i64, ProjectionError> {
        let name = self.projection.name();
        let mut tx = self.connection.begin().await?;
        schema::limit_lock_waits(&mut tx).await?;
        let live = checkpoint::lock(&mut tx, name, self.shard).await?;
        let earlier = schema::earlier_checkpoint(&mut tx, &self.schemas, name, self.shard).await?;
        let (Some(live), Some(earlier)) = (live, earlier) else {
            return Err(ProjectionError::NothingToRestore { name });
        };
        let ours = self.projection.version();
        if earlier.version != ours {
            return Err(ProjectionError::VersionDiffers { name, ours, found: earlier.version });
        }
        schema::restore(&mut tx, &self.schemas, self.projection, self.shard).await?;
        checkpoint::advance(&mut tx, name, self.shard, live, earlier).await?;
        tx.commit().await?;
        Ok(earlier.position)
    }

    async fn discard(mut self) -> Result<(), ProjectionError> {
        schema::drop_rebuilt(&mut self.connection, &self.schemas).await?;
        self.close().await
    }

    /// Gives the lock back at once; the server may take a moment to see that a connection has ended.
    async fn close(mut self) -> Result<(), ProjectionError> {
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut self.connection).await?;
        Ok(self.connection.close().await?)
    }
}

async fn apply_up_to(
    db: &mut PgConnection,
    projection: &dyn Projection,
    shard: i32,
    mut at: Checkpoint,
    target: i64,
) -> Result<Checkpoint, ProjectionError> {
    while at.position < target {
        at = apply_next(db, projection, shard, at, target).await?;
    }
    Ok(at)
}

async fn apply_next(
    db: &mut PgConnection,
    projection: &dyn Projection,
    shard: i32,
    at: Checkpoint,
    target: i64,
) -> Result<Checkpoint, ProjectionError> {
    let wanted = BATCH.min(target - at.position);
    let events = in_order(at, events::after(&mut *db, shard, at.position, wanted).await?, projection)?;
    if events.is_empty() {
        let reason = "it is missing from the log".to_owned();
        return Err(store::StoreError::Corrupt { shard, position: at.position + 1, reason }.into());
    }
    match batch::apply(db, projection, shard, at, &events).await? {
        Applied::To(to) => Ok(to),
        // Only a second rebuild could have moved it, and its lock is ours.
        Applied::Elsewhere => Err(ProjectionError::RebuildRunning { name: projection.name() }),
    }
}

/// The lock could not be had in time, or somebody waited for us while we waited for them.
fn is_lock_trouble(error: &ProjectionError) -> bool {
    match error {
        ProjectionError::Database(sqlx::Error::Database(refusal)) => {
            matches!(refusal.code().as_deref(), Some("55P03" | "40P01"))
        }
        _ => false,
    }
}
