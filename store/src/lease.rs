//! Who works on which bots: 64 virtual partitions of the bot id, shared fairly among the live writers that want some.
//!
//! A partition is owned by a writer and the unbroken run of leases under which it was taken. It can be taken from its owner only
//! when the owner's lease has ended by the database's clock, and then the owner is fenced first. Owning decides who tries, not
//! what may be written: that is checked by every append.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::PARTITIONS;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use crate::writer::WriterLease;

use crate::error::StoreError;
use crate::writer::Writer;

const ALL_PARTITIONS: usize = PARTITIONS.unsigned_abs() as usize;

/// Asked before a partition is released: begins nothing more on it, and says whether nothing of it runs in this process.
pub type Quiesce = dyn Fn(i32) -> bool + Send + Sync;

/// The partitions that this process has.
pub struct PartitionLeases {
    pool: PgPool,
    writer: Writer,
    holding: Mutex<Holding>,
    quiesce: Mutex<Option<Arc<Quiesce>>>,
}

/// What this process believes to own.
#[derive(Debug, Default)]
struct Holding {
    /// The run of leases under which all of it was taken.
    epoch: i64,
    owned: BTreeSet<i32>,
    /// Owned ones that are to be given to others when nothing of them runs any more.
    draining: BTreeSet<i32>,
    /// Everything is to be given away.
    leaving: bool,
}

/// What one round changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Ours since this round: recover their commands, then claim.
    pub taken: Vec<i32>,
    /// Still ours, but not to be claimed from: to be released when nothing of them runs.
    pub draining: Vec<i32>,
    /// Given away in this round.
    pub released: Vec<i32>,
    /// Not ours any more without our doing: stop what runs on them.
    pub lost: Vec<i32>,
}

impl PartitionLeases {
    /// Owns nothing until the first [`Self::balance`].
    #[must_use]
    pub fn new(pool: PgPool, writer: Writer) -> Self {
        Self { pool, writer, holding: Mutex::default(), quiesce: Mutex::default() }
    }

    /// Releases no partition that `quiesce` does not let go. For work that the queue of commands does not know of.
    pub fn before_release(&self, quiesce: Arc<Quiesce>) {
        *self.quiesce.lock().unwrap_or_else(PoisonError::into_inner) = Some(quiesce);
    }

    /// The partitions to claim commands from.
    #[must_use]
    pub fn claimable(&self) -> Vec<i32> {
        let holding = self.holding();
        if holding.epoch != self.writer.lease().unbroken_since {
            return Vec::new();
        }
        holding.owned.difference(&holding.draining).copied().collect()
    }

    /// Whether work on `partition` may go on, which includes ending what runs on one that is to be released.
    #[must_use]
    pub fn holds(&self, partition: i32) -> bool {
        let holding = self.holding();
        holding.owned.contains(&partition) && holding.epoch == self.writer.lease().unbroken_since
    }

    /// How long everything that is owned is surely owned, by this machine's monotonic clock.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.writer.lease().remaining()
    }

    /// From the next round on, gives everything away. Call [`Self::balance`] until [`Self::is_empty`], then [`Self::leave`].
    pub fn drain(&self) {
        self.holding().leaving = true;
    }

    /// Whether nothing is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holding().owned.is_empty()
    }

    /// One round: takes what is free or whose owner's lease has ended, up to a fair share; releases what is more than that and
    /// has nothing running. To be called often within the length of a lease.
    pub async fn balance(&self) -> Result<Balance, StoreError> {
        let lease = self.writer.lease();
        let (draining, leaving) = {
            let holding = self.holding();
            (holding.draining.clone(), holding.leaving)
        };
        let quiesce = self.quiesce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let round = Round { lease, draining, leaving, quiesce };
        let mut tx = self.pool.begin().await?;
        let outcome = round.run(&mut tx).await;
        let outcome = match outcome {
            Ok(outcome) => {
                tx.commit().await?;
                outcome
            }
            Err(error) => {
                if matches!(error, StoreError::Fenced) {
                    self.writer.renew_now();
                }
                return Err(error);
            }
        };
        Ok(self.adopt(lease, outcome))
    }

    /// Releases what has nothing running, and asks for no share any more. What still runs falls to others when the lease ends.
    pub async fn leave(&self) -> Result<(), StoreError> {
        self.drain();
        let _ = self.balance().await?;
        sqlx::query("DELETE FROM partition_members WHERE writer_id = $1")
            .bind(self.writer.lease().writer_id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    fn adopt(&self, lease: WriterLease, outcome: Outcome) -> Balance {
        let mut holding = self.holding();
        let kept: BTreeSet<i32> = outcome.owned.difference(&outcome.taken).copied().collect();
        let lost = holding.owned.iter().filter(|partition| !kept.contains(partition));
        let lost = lost.filter(|partition| !outcome.released.contains(partition)).copied().collect();
        holding.epoch = lease.unbroken_since;
        holding.owned = outcome.owned;
        holding.draining = outcome.draining;
        Balance {
            taken: outcome.taken.into_iter().collect(),
            draining: holding.draining.iter().copied().collect(),
            released: outcome.released.into_iter().collect(),
            lost,
        }
    }

    /// A panic elsewhere cannot leave it half changed in a way that matters: the next round reads the database.
    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One round's view, in one transaction.
struct Round {
    lease: WriterLease,
    draining: BTreeSet<i32>,
    leaving: bool,
    quiesce: Option<Arc<Quiesce>>,
}

struct Outcome {
    /// After the round, `taken` included.
    owned: BTreeSet<i32>,
    taken: BTreeSet<i32>,
    draining: BTreeSet<i32>,
    released: BTreeSet<i32>,
}

impl Round {
    async fn run(self, db: &mut PgConnection) -> Result<Outcome, StoreError> {
        let share = if self.leaving { 0 } else { self.fair_share(db).await? };
        let mut owned = self.owned(db).await?;
        let mut draining = BTreeSet::new();
        let mut released = BTreeSet::new();
        let mut taken = BTreeSet::new();
        if owned.len() > share {
            draining = self.choose_excess(&owned, owned.len() - share);
            let quiet = draining.iter().filter(|partition| self.quiesce.as_ref().is_none_or(|ask| ask(**partition)));
            released = self.release_idle(db, &quiet.copied().collect()).await?;
            owned.retain(|partition| !released.contains(partition));
            draining.retain(|partition| !released.contains(partition));
        } else if owned.len() < share {
            taken = self.take(db, share - owned.len()).await?;
            owned.extend(&taken);
        }
        Ok(Outcome { owned, taken, draining, released })
    }

    /// Joins the members, and counts the live ones; ourselves we must be.
    async fn fair_share(&self, db: &mut PgConnection) -> Result<usize, StoreError> {
        sqlx::query(
            "INSERT INTO partition_members (writer_id)
             VALUES ($1)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.lease.writer_id)
        .execute(&mut *db)
        .await?;
        let (members, ourselves): (i64, bool) = sqlx::query_as(
            "SELECT count(*), COALESCE(bool_or(writer_id = $1 AND epoch = $2), false)
               FROM partition_members
               JOIN writers USING (writer_id)
              WHERE lease_until > clock_timestamp()",
        )
        .bind(self.lease.writer_id)
        .bind(self.lease.epoch)
        .fetch_one(db)
        .await?;
        if !ourselves {
            return Err(StoreError::Fenced);
        }
        let members = usize::try_from(members).unwrap_or(1).max(1);
        Ok(ALL_PARTITIONS.div_ceil(members))
    }

    async fn owned(&self, db: &mut PgConnection) -> Result<BTreeSet<i32>, StoreError> {
        let owned: Vec<i32> = sqlx::query_scalar(
            "SELECT partition
               FROM partitions
              WHERE writer_id = $1
                AND epoch = $2",
        )
        .bind(self.lease.writer_id)
        .bind(self.lease.unbroken_since)
        .fetch_all(db)
        .await?;
        Ok(owned.into_iter().collect())
    }

    /// Those that drain already go first, so that a round does not begin anew.
    fn choose_excess(&self, owned: &BTreeSet<i32>, excess: usize) -> BTreeSet<i32> {
        let already = owned.iter().filter(|partition| self.draining.contains(partition));
        let others = owned.iter().rev().filter(|partition| !self.draining.contains(partition));
        already.chain(others).take(excess).copied().collect()
    }

    /// The rows are locked before anything is looked for in them: a claim that is on its way locks them too.
    async fn release_idle(
        &self,
        db: &mut PgConnection,
        partitions: &BTreeSet<i32>,
    ) -> Result<BTreeSet<i32>, StoreError> {
        let locked: Vec<i32> = sqlx::query_scalar(
            "SELECT partition
               FROM partitions
              WHERE partition = ANY ($1)
                AND writer_id = $2
                AND epoch = $3
              ORDER BY partition
                FOR UPDATE",
        )
        .bind(partitions.iter().copied().collect::<Vec<_>>())
        .bind(self.lease.writer_id)
        .bind(self.lease.unbroken_since)
        .fetch_all(&mut *db)
        .await?;
        let released: Vec<i32> = sqlx::query_scalar(
            "UPDATE partitions
                SET writer_id = NULL,
                    epoch = NULL,
                    taken_at = NULL
              WHERE partition = ANY ($1)
                AND NOT EXISTS (
                    SELECT 1
                      FROM commands
                     WHERE commands.partition = partitions.partition
                       AND commands.status = 'RUNNING')
          RETURNING partition",
        )
        .bind(locked)
        .fetch_all(db)
        .await?;
        Ok(released.into_iter().collect())
    }

    /// Free ones, those of writers whose lease has ended, and our own of an earlier run of leases.
    async fn take(&self, db: &mut PgConnection, limit: usize) -> Result<BTreeSet<i32>, StoreError> {
        let candidates: Vec<(i32, Option<Uuid>)> = sqlx::query_as(
            "SELECT partitions.partition, partitions.writer_id
               FROM partitions
               LEFT JOIN writers USING (writer_id)
              WHERE writers.writer_id IS NULL
                 OR writers.lease_until < clock_timestamp()
                 OR partitions.writer_id = $1 AND partitions.epoch <> $2
              ORDER BY partitions.partition
              LIMIT $3
                FOR UPDATE OF partitions SKIP LOCKED",
        )
        .bind(self.lease.writer_id)
        .bind(self.lease.unbroken_since)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *db)
        .await?;
        let owners = candidates.iter().filter_map(|(_, owner)| *owner).filter(|owner| *owner != self.lease.writer_id);
        let alive = fence_expired(db, owners.collect()).await?;
        let free = candidates.into_iter().filter(|(_, owner)| owner.is_none_or(|owner| !alive.contains(&owner)));
        let free: Vec<i32> = free.map(|(partition, _)| partition).collect();
        sqlx::query(
            "UPDATE partitions
                SET writer_id = $2,
                    epoch = $3,
                    taken_at = clock_timestamp()
              WHERE partition = ANY ($1)",
        )
        .bind(&free)
        .bind(self.lease.writer_id)
        .bind(self.lease.unbroken_since)
        .execute(db)
        .await?;
        Ok(free.into_iter().collect())
    }
}

/// Ends the epochs of those of `owners` whose lease has ended, after waiting for their appends in flight, so that nothing of them can
/// come after we own what was theirs. Returns those that are alive after all.
async fn fence_expired(db: &mut PgConnection, owners: BTreeSet<Uuid>) -> Result<BTreeSet<Uuid>, StoreError> {
    if owners.is_empty() {
        return Ok(owners);
    }
    let owners: Vec<Uuid> = owners.into_iter().collect();
    // In order, so that two takers cannot wait for each other.
    sqlx::query(
        "SELECT 1
           FROM writers
          WHERE writer_id = ANY ($1)
            AND lease_until < clock_timestamp()
          ORDER BY writer_id
            FOR UPDATE",
    )
    .bind(&owners)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "UPDATE writers
            SET epoch = nextval('writer_epochs'),
                lease_until = '-infinity'
          WHERE writer_id = ANY ($1)
            AND lease_until < clock_timestamp()",
    )
    .bind(&owners)
    .execute(&mut *db)
    .await?;
    let alive: Vec<Uuid> = sqlx::query_scalar(
        "SELECT writer_id
           FROM writers
          WHERE writer_id = ANY ($1)
            AND lease_until > clock_timestamp()",
    )
    .bind(&owners)
    .fetch_all(db)
    .await?;
    Ok(alive.into_iter().collect())
}
