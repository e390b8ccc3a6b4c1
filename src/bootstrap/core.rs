//! The store of a process that appends: its registration as a writer, the repository, the command bus.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use store::StoreError;
use store::command_bus::CommandBus;
use store::repository::{EventRepository, PostgresRepository, RepositoryConfig};
use store::snapshot::{SnapshotConfig, Snapshots};
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};
use tokio_util::task::TaskTracker;

/// The store's parts. Cheap to clone; closed last of all that uses them.
#[derive(Clone)]
pub struct Core {
    pub writer: Writer,
    pub wakeup: Wakeup,
    pub snapshots: Snapshots,
    pub bus: CommandBus,
    repository: PostgresRepository,
    tasks: TaskTracker,
}

impl Core {
    /// Registers this process as a writer under `name` and starts the sequencer.
    pub async fn start(pool: &PgPool, name: &str) -> Result<Self, StoreError> {
        Self::start_with(pool, name, WriterConfig::named(name).ttl).await
    }

    /// The same; when the process dies, others take over after `lease`.
    pub async fn start_with(pool: &PgPool, name: &str, lease: Duration) -> Result<Self, StoreError> {
        let tasks = TaskTracker::new();
        let writer = Writer::register(pool, WriterConfig { name: name.to_owned(), ttl: lease }).await?;
        let wakeup = Wakeup::start(pool, &tasks);
        let config = RepositoryConfig::default();
        let repository = PostgresRepository::start(pool.clone(), writer.clone(), wakeup.clone(), &config);
        let snapshots = Snapshots::start(pool.clone(), SnapshotConfig::default(), &tasks);
        let bus = CommandBus::new(Arc::new(repository.clone()), Some(snapshots.clone()));
        Ok(Self { writer, wakeup, snapshots, bus, repository, tasks })
    }

    pub fn repository(&self) -> Arc<dyn EventRepository> {
        Arc::new(self.repository.clone())
    }

    /// Waits for the appends that were asked for, then gives up the lease.
    pub async fn close(self) {
        let Self { writer, wakeup, snapshots, bus, repository, tasks } = self;
        drop((bus, snapshots, wakeup));
        repository.close().await;
        tasks.close();
        tasks.wait().await;
        if let Err(error) = writer.retire().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the writer's lease ends by itself");
        }
    }
}

/// Host and process, for people who look at the table of writers.
pub fn writer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}/{}", std::process::id())
}
