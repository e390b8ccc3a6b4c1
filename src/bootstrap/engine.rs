//! Starts the parts of a role in order, and remembers how to stop each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::api::Probe;
use domain::engine::EngineSettings;
use projections::engine_settings;
use projections::{Log, Projections, catalogue};
use prometheus::Registry;
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use store::repository::DEFAULT_SHARD;
use store::vault::Vault;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::platform::Gateway;
use workers::platform::sandbox::SandboxHandle;
use workers::{Supervisor, WorkerConfig, WorkerParts};

use super::core::{Core, writer_name};
use super::database::Database;
use super::desk_metrics::DeskFigures;
use super::metrics::Figures;
use super::platform::PlatformParts;
use super::probes::{PlatformProbe, WriterProbe};
use super::running::Running;
use super::time::Time;
use super::{Role, api, keys};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::entropy::SystemEntropy;
use crate::failure::{Exit, Failure};
use crate::shutdown::Stages;

/// In a URL that names one gateway for each account.
const ACCOUNT_MARK: &str = "{account}";
const STORE_LIMIT: Duration = Duration::from_secs(20);
const METRICS_LIMIT: Duration = Duration::from_secs(5);
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
    pub registry: Registry,
    /// How much is done at a time, as it is set now.
    pub settings: watch::Receiver<Arc<EngineSettings>>,
    pub name: String,
}

/// What runs.
pub struct Engine {
    api_url: Option<String>,
    sandbox_url: Option<String>,
    first_admin: bool,
    failures: mpsc::Receiver<Failure>,
}

/// What a start has to begin with.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    pub config: &'a Config,
    pub role: Role,
    pub database: &'a Database,
    pub data_dir: Option<&'a DataDir>,
}

impl Engine {
    /// Starts everything of the role; what was started is in `stages`, also when a later part fails.
    pub async fn start(start: Start<'_>, taken: Option<TcpListener>, stages: &mut Stages) -> Result<Self, Failure> {
        let Start { config, role, data_dir, .. } = start;
        let (fails, failures) = mpsc::channel(1);
        let shared = share(start, stages).await?;
        let mut engine = Self { api_url: None, sandbox_url: None, first_admin: false, failures };
        let mut probes: Vec<Arc<dyn Probe>> = vec![Arc::new(WriterProbe(shared.core.writer.clone()))];
        // `serve` acts on nothing, so it needs no platform unless it is told of one.
        if role.has_workers() || config.gateway_url.is_some() {
            let (gateway, sandbox_url) = start_platform(config, &shared.time, data_dir, stages).await?;
            engine.sandbox_url = sandbox_url;
            if !config.gateway_url.as_ref().is_some_and(|url| url.contains(ACCOUNT_MARK)) {
                probes.push(Arc::new(PlatformProbe(Arc::clone(&gateway))));
            }
            if role.has_workers() {
                start_workers(config, &shared, gateway, stages)?;
            }
        }
        if role.has_api() {
            let serving = api::start(config, &shared, taken, probes, fails, stages).await?;
            engine.api_url = Some(serving.url);
            engine.first_admin = serving.first_admin;
        }
        Ok(engine)
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

async fn share(start: Start<'_>, stages: &mut Stages) -> Result<Shared, Failure> {
    let Start { config, database, data_dir, .. } = start;
    let pool = database.pool().clone();
    store::migrate(&pool).await?;
    let time = Time::start(config, data_dir, stages)?;
    let vault = Vault::new(pool.clone(), keys::keyring(config)?);
    let name = writer_name();
    let core = Core::start_with(&pool, &name, config.lease).await?;
    let closing = core.clone();
    stages.started("store", STORE_LIMIT, async move { closing.close().await });
    let queue = CommandQueue::new(pool.clone());
    let projections = follow(&pool, &core, &queue, stages);
    let registry = Registry::new();
    measure(&registry, &pool, &core, &queue, &time, stages)?;
    let settings = follow_settings(&pool, stages).await?;
    Ok(Shared { pool, core, queue, projections, vault, time, registry, settings, name })
}

async fn follow_settings(pool: &PgPool, stages: &mut Stages) -> Result<watch::Receiver<Arc<EngineSettings>>, Failure> {
    let stop = CancellationToken::new();
    let (settings, following) = engine_settings::follow(pool.clone(), stop.clone()).await?;
    let following = tokio::spawn(following);
    stages.started("engine settings", METRICS_LIMIT, async move {
        stop.cancel();
        let _ = following.await;
    });
    Ok(settings)
}

fn measure(
    registry: &Registry,
    pool: &PgPool,
    core: &Core,
    queue: &CommandQueue,
    time: &Time,
    stages: &mut Stages,
) -> Result<(), Failure> {
    let figures = Figures::try_new(registry, pool, core, queue, time).map_err(no_metrics)?;
    keep("metrics", stages, |stop| figures.keep(stop));
    Ok(())
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

fn start_workers(config: &Config, shared: &Shared, gateway: Arc<Gateway>, stages: &mut Stages) -> Result<(), Failure> {
    let settings = WorkerConfig {
        concurrency: config.worker_concurrency,
        call_limit: config.call_limit,
        settle_time: config.call_limit * 2,
        command_retention: config.command_retention,
        ..WorkerConfig::named(&shared.name)
    };
    let parts = WorkerParts {
        pool: shared.pool.clone(),
        writer: shared.core.writer.clone(),
        bus: shared.core.bus.clone(),
        queue: shared.queue.clone(),
        vault: shared.vault.clone(),
        platform: gateway,
        clock: Arc::clone(&shared.time.clock),
        entropy: Arc::new(SystemEntropy),
        repository: shared.core.repository(),
        wakeup: shared.core.wakeup.clone(),
        settings: shared.settings.clone(),
        workflows: workers::job::Registry::default(),
    };
    let workers = Supervisor::start(settings, parts);
    let desk = workers.desk();
    stages.started("workers", WORKERS_LIMIT, async move {
        if let Err(error) = workers.stop().await {
            tracing::error!(error = &error as &dyn std::error::Error, "the workers did not end in order");
        }
    });
    let figures = DeskFigures::try_new(&shared.registry, desk, shared.settings.clone()).map_err(no_metrics)?;
    keep("metrics of the desk", stages, |stop| figures.keep(stop));
    Ok(())
}

fn no_metrics(error: prometheus::Error) -> Failure {
    Failure::new("METRICS_FAILED", Exit::Software, "the metrics cannot be set up").caused_by(error)
}

/// Reads figures until the process ends.
fn keep<Keeping>(what: &'static str, stages: &mut Stages, keep: impl FnOnce(CancellationToken) -> Keeping)
where
    Keeping: Future<Output = ()> + Send + 'static,
{
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep(stop.clone()));
    stages.started(what, METRICS_LIMIT, async move {
        stop.cancel();
        let _ = keeping.await;
    });
}
