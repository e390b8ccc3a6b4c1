//! This process as a writer: one row with an epoch and a lease that every append must find valid.
//!
//! The lease is judged by the database's clock. A lease that ended cannot be renewed: the writer
//! registers again under a new epoch, and whatever was begun under the old one is lost. Which
//! partitions a writer owns is not decided here.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::error::StoreError;

/// How a writer registers.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Host and process, for people.
    pub name: String,
    /// How long a lease lasts; it is renewed after a third of this.
    pub ttl: Duration,
}

impl WriterConfig {
    /// A writer with the usual lease of 15 s.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ttl: Duration::from_secs(15) }
    }
}

/// The lease as this process knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterLease {
    pub writer_id: Uuid,
    /// What the database compares.
    pub epoch: i64,
    /// The first epoch of the unbroken run that `epoch` continues. Work that began under an epoch
    /// before this one is lost.
    pub unbroken_since: i64,
    valid_until: Instant,
}

impl WriterLease {
    /// How long the lease surely lasts, by this machine's monotonic clock, counted from before
    /// the renewal was sent.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.valid_until.saturating_duration_since(Instant::now())
    }

    /// Whether work that began under `epoch` may still be written.
    #[must_use]
    pub fn continues(&self, epoch: i64) -> bool {
        epoch >= self.unbroken_since && epoch <= self.epoch
    }
}

/// A registered writer. Clones share the registration.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    renewal: Arc<Renewal>,
}

struct Shared {
    writer_id: Uuid,
    config: WriterConfig,
    options: Arc<PgConnectOptions>,
    lease: watch::Sender<WriterLease>,
    /// Its own connection, so that a busy pool cannot cost the lease. The lock makes renewals and
    /// new epochs of this process one after the other.
    connection: Mutex<Option<PgConnection>>,
    renew_now: Notify,
}

struct Renewal {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Writer {
    /// Registers this process and keeps its lease until [`Writer::retire`].
    pub async fn register(pool: &PgPool, config: WriterConfig) -> Result<Self, StoreError> {
        let options = pool.connect_options();
        let mut connection = options.connect().await?;
        let asked_at = Instant::now();
        let (writer_id, epoch) = insert(&mut connection, &config).await?;
        let valid_until = asked_at + config.ttl;
        let lease = WriterLease { writer_id, epoch, unbroken_since: epoch, valid_until };
        let shared = Arc::new(Shared {
            writer_id,
            config,
            options,
            lease: watch::Sender::new(lease),
            connection: Mutex::new(Some(connection)),
            renew_now: Notify::new(),
        });
        let renewal = Renewal { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        renewal.tasks.spawn(keep(Arc::clone(&shared), renewal.stop.clone()));
        renewal.tasks.close();
        Ok(Self { shared, renewal: Arc::new(renewal) })
    }

    /// The lease as it is now.
    #[must_use]
    pub fn lease(&self) -> WriterLease {
        *self.shared.lease.borrow()
    }

    /// Follows the lease. A change of `unbroken_since` says that all work in flight is lost.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<WriterLease> {
        self.shared.lease.subscribe()
    }

    /// Renews soon, because the lease was found to be lost.
    pub fn renew_now(&self) {
        self.shared.renew_now.notify_one();
    }

    /// Takes a new epoch, after which no statement sent under an older one can commit any more:
    /// waits for the one that is in flight. Continues the lease when it is still ours.
    pub async fn take_new_epoch(&self, connection: &mut PgConnection) -> Result<WriterLease, StoreError> {
        let _renewals_wait = self.shared.connection.lock().await;
        let asked_at = Instant::now();
        let old = self.lease();
        let continued: Option<i64> = sqlx::query_scalar(
            "UPDATE writers
                SET epoch = nextval('writer_epochs'),
                    lease_until = clock_timestamp() + $3 * interval '1 millisecond'
              WHERE writer_id = $1
                AND epoch = $2
                AND lease_until > clock_timestamp()
          RETURNING epoch",
        )
        .bind(old.writer_id)
        .bind(old.epoch)
        .bind(self.shared.ttl_millis())
        .fetch_optional(&mut *connection)
        .await?;
        match continued {
            Some(epoch) => {
                let valid_until = asked_at + self.shared.config.ttl;
                Ok(self.shared.set(WriterLease { epoch, valid_until, ..old }))
            }
            None => self.shared.register_again(connection).await,
        }
    }

    /// How many other writers have a lease.
    pub async fn others(&self, pool: &PgPool) -> Result<i64, StoreError> {
        let others = sqlx::query_scalar(
            "SELECT count(*)
               FROM writers
              WHERE writer_id <> $1
                AND lease_until > clock_timestamp()",
        )
        .bind(self.shared.writer_id)
        .fetch_one(pool)
        .await?;
        Ok(others)
    }

    /// Ends the lease and stops renewing it. Appends are refused from here on.
    pub async fn retire(&self) -> Result<(), StoreError> {
        self.renewal.stop.cancel();
        self.renewal.tasks.wait().await;
        let lease = self.lease();
        let mut slot = self.shared.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.shared.options.connect().await?,
        };
        sqlx::query(
            "UPDATE writers
                SET lease_until = clock_timestamp()
              WHERE writer_id = $1
                AND epoch = $2",
        )
        .bind(lease.writer_id)
        .bind(lease.epoch)
        .execute(&mut connection)
        .await?;
        connection.close().await?;
        Ok(())
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Ends another writer's epoch for good, after waiting for its append in flight. For whoever takes
/// over what an expired writer owned.
pub async fn fence(connection: &mut PgConnection, writer_id: Uuid, epoch: i64) -> Result<bool, StoreError> {
    let fenced = sqlx::query(
        "UPDATE writers
            SET epoch = nextval('writer_epochs'),
                lease_until = '-infinity'
          WHERE writer_id = $1
            AND epoch = $2",
    )
    .bind(writer_id)
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(fenced.rows_affected() > 0)
}

impl Shared {
    fn ttl_millis(&self) -> f64 {
        self.config.ttl.as_secs_f64() * 1_000.0
    }

    fn set(&self, lease: WriterLease) -> WriterLease {
        self.lease.send_replace(lease);
        lease
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let asked_at = Instant::now();
        let lease = *self.lease.borrow();
        let renewed = sqlx::query(
            "UPDATE writers
                SET lease_until = clock_timestamp() + $3 * interval '1 millisecond'
              WHERE writer_id = $1
                AND epoch = $2
                AND lease_until > clock_timestamp()",
        )
        .bind(lease.writer_id)
        .bind(lease.epoch)
        .bind(self.ttl_millis())
        .execute(&mut connection)
        .await?;
        if renewed.rows_affected() == 1 {
            self.set(WriterLease { valid_until: asked_at + self.config.ttl, ..lease });
        } else {
            self.register_again(&mut connection).await?;
        }
        // Only a connection that worked is kept.
        *slot = Some(connection);
        Ok(())
    }

    /// The lease ended, or another process ended it: a new epoch, and nothing is continued.
    async fn register_again(&self, connection: &mut PgConnection) -> Result<WriterLease, StoreError> {
        let asked_at = Instant::now();
        let epoch: i64 = sqlx::query_scalar(
            "INSERT INTO writers (writer_id, epoch, lease_until, name, registered_at)
             VALUES ($1, nextval('writer_epochs'),
                     clock_timestamp() + $2 * interval '1 millisecond', $3, clock_timestamp())
             ON CONFLICT ON CONSTRAINT writers_pkey DO UPDATE
                SET epoch = excluded.epoch,
                    lease_until = excluded.lease_until,
                    registered_at = excluded.registered_at
             RETURNING epoch",
        )
        .bind(self.writer_id)
        .bind(self.ttl_millis())
        .bind(&self.config.name)
        .fetch_one(connection)
        .await?;
        tracing::warn!(writer.id = %self.writer_id, writer.epoch = epoch,
            "the writer's lease had ended; registered again, work in flight is lost");
        Ok(self.set(WriterLease {
            writer_id: self.writer_id,
            epoch,
            unbroken_since: epoch,
            valid_until: asked_at + self.config.ttl,
        }))
    }
}

async fn insert(connection: &mut PgConnection, config: &WriterConfig) -> Result<(Uuid, i64), StoreError> {
    sqlx::query("DELETE FROM writers WHERE lease_until < clock_timestamp() - interval '30 days'")
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query_as(
        "INSERT INTO writers (writer_id, epoch, lease_until, name, registered_at)
         VALUES (gen_random_uuid(), nextval('writer_epochs'),
                 clock_timestamp() + $1 * interval '1 millisecond', $2, clock_timestamp())
         RETURNING writer_id, epoch",
    )
    .bind(config.ttl.as_secs_f64() * 1_000.0)
    .bind(&config.name)
    .fetch_one(connection)
    .await?;
    Ok(row)
}

/// Renews until told to stop; after a failure it tries again sooner.
async fn keep(shared: Arc<Shared>, stop: CancellationToken) {
    let mut pause = shared.config.ttl / 3;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = shared.renew_now.notified() => {}
        }
        let renewed = tokio::select! {
            () = stop.cancelled() => return,
            renewed = tokio::time::timeout(shared.config.ttl / 3, shared.renew()) => renewed,
        };
        match renewed {
            Ok(Ok(())) => pause = shared.config.ttl / 3,
            Ok(Err(error)) => {
                tracing::warn!(writer.id = %shared.writer_id, %error, "the writer's lease was not renewed");
                pause = shared.config.ttl / 10;
            }
            Err(_elapsed) => {
                tracing::warn!(writer.id = %shared.writer_id, "the writer's lease was not renewed in time");
                pause = shared.config.ttl / 10;
            }
        }
    }
}
