//! Starts the parts of a role in order, and remembers how to stop each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use projections::{Log, Projections, catalogue};
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use store::repository::DEFAULT_SHARD;
use store::vault::Vault;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::platform::Gateway;
use workers::platform::sandbox::SandboxHandle;
use workers::{Supervisor, WorkerConfig, WorkerParts};

use super::Role;
use super::core::{Core, writer_name};
use super::database::Database;
use super::keys;
use super::platform::PlatformParts;
use super::running::Running;
use super::time::Time;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;
use crate::shutdown::Stages;

const STORE_LIMIT: Duration = Duration::from_secs(20);
const PROJECTIONS_LIMIT: Duration = Duration::from_secs(20);
/// More than what the workers themselves allow for what runs.
const WORKERS_LIMIT: Duration = Duration::from_secs(45);
const SANDBOX_LIMIT: Duration = Duration::from_secs(10);

/// What all parts share.
pub struct Shared {
    pub pool: PgPool,
    pub core: Core,
    pub queue: CommandQueue,
    pub projections: Projections,
    pub vault: Vault,
    pub time: Time,
    pub name: String,
}

/// What runs.
pub struct Engine {
    api_url: Option<String>,
    sandbox_url: Option<String>,
    first_admin: bool,
    failures: mpsc::Receiver<Failure>,
}

impl Engine {
    pub async fn start(
        config: &Config,
        role: Role,
        database: &Database,
        data_dir: Option<&DataDir>,
        stages: &mut Stages,
    ) -> Result<Self, Failure> {
        let (fails, failures) = mpsc::channel(1);
        let shared = share(config, database.pool(), data_dir, stages).await?;
        let (gateway, sandbox_url) = start_platform(config, &shared.time, data_dir, stages).await?;
        if role.has_workers() {
            start_workers(config, &shared, gateway, stages);
        }
        Ok(Self { api_url: None, sandbox_url, first_admin: false, failures })
    }

    /// What other commands and people are told.
    pub fn running(&self, database: &Database) -> Running {
        Running {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_url: self.api_url.clone(),
            sandbox_url: self.sandbox_url.clone(),
            database_url: database.private_url(),
            first_admin: self.first_admin,
        }
    }

    /// Waits until a part has ended by itself.
    pub async fn ended(mut self) -> Failure {
        match self.failures.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }
}

async fn share(
    config: &Config,
    pool: &PgPool,
    data_dir: Option<&DataDir>,
    stages: &mut Stages,
) -> Result<Shared, Failure> {
    store::migrate(pool).await?;
    let time = Time::start(config, data_dir, stages)?;
    let vault = Vault::new(pool.clone(), keys::keyring(config)?);
    let name = writer_name();
    let core = Core::start(pool, &name).await?;
    let closing = core.clone();
    stages.started("store", STORE_LIMIT, async move { closing.close().await });
    let queue = CommandQueue::new(pool.clone());
    let projections = follow(pool, &core, &queue, stages);
    Ok(Shared { pool: pool.clone(), core, queue, projections, vault, time, name })
}

fn follow(pool: &PgPool, core: &Core, queue: &CommandQueue, stages: &mut Stages) -> Projections {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let log = Log { repository: core.repository(), wakeup: core.wakeup.clone(), shard: DEFAULT_SHARD };
    let projections = Projections::start(catalogue::all(queue), pool, &log, &tasks, &stop);
    stages.started("projections", PROJECTIONS_LIMIT, async move {
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    });
    projections
}

async fn start_platform(
    config: &Config,
    time: &Time,
    data_dir: Option<&DataDir>,
    stages: &mut Stages,
) -> Result<(Arc<Gateway>, Option<String>), Failure> {
    let ledger = data_dir.map_or_else(|| PathBuf::from("sandbox-ledger.jsonl"), DataDir::sandbox_ledger);
    let PlatformParts { gateway, sandbox } = PlatformParts::start(config, &time.clock, ledger).await?;
    let url = sandbox.as_ref().map(SandboxHandle::url);
    if let Some(sandbox) = sandbox {
        stages.started("sandbox", SANDBOX_LIMIT, async move { sandbox.stop().await });
    }
    Ok((gateway, url))
}

fn start_workers(config: &Config, shared: &Shared, gateway: Arc<Gateway>, stages: &mut Stages) {
    let settings = WorkerConfig { concurrency: config.worker_concurrency, ..WorkerConfig::named(&shared.name) };
    let parts = WorkerParts {
        pool: shared.pool.clone(),
        writer: shared.core.writer.clone(),
        bus: shared.core.bus.clone(),
        queue: shared.queue.clone(),
        vault: shared.vault.clone(),
        platform: gateway,
        clock: Arc::clone(&shared.time.clock),
        entropy: Arc::new(SystemEntropy),
    };
    let workers = Supervisor::start(settings, parts);
    stages.started("workers", WORKERS_LIMIT, async move {
        if let Err(error) = workers.stop().await {
            tracing::error!(error = &error as &dyn std::error::Error, "the workers did not end in order");
        }
    });
}
