//! The engine under load: store, desk and workflows as in the product, with nothing else on the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::engine::EngineSettings;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, UserId};
use domain::job::{Origin, RetryPolicy};
use domain::metadata::Actor;
use projections::{Log, Projections, catalogue};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use store::lease::PartitionLeases;
use store::repository::DEFAULT_SHARD;
use store::tap::{Commit, Pick, Wanted};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workers::job::desk::{Desk, DeskConfig, DeskHandle, DeskParts, LogSource};
use workers::job::{Context, NewJob, Provenance, Registry, Runner, Workflow};

use super::super::workbench::failed;
use crate::bootstrap::core::Core;
use crate::clock::wall;
use crate::entropy::SystemEntropy;
use crate::failure::{Exit, Failure};

/// Bots that the jobs belong to, over all partitions.
const BOTS: usize = 256;
const BATCH: usize = 500;
/// Jobs that run at a time.
const RUNNING: u32 = 512;
/// No load takes longer.
pub const LIMIT: Duration = Duration::from_secs(600);

/// The machine's time, moved ahead by hand.
struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        wall() + TimeDelta::seconds(self.0.load(Ordering::Acquire))
    }
}

/// What is measured.
pub struct Scene {
    core: Core,
    desk: Desk,
    clock: Arc<MovedClock>,
    bots: Vec<BotId>,
    views: Option<Views>,
}

struct Views {
    stop: CancellationToken,
    tasks: TaskTracker,
    _projections: Projections,
}

impl Scene {
    pub async fn open(pool: &PgPool, with_projections: bool) -> Result<Self, Failure> {
        let core = Core::start(pool, "bench").await?;
        let views = with_projections.then(|| views(pool, &core));
        let leases = Arc::new(PartitionLeases::new(pool.clone(), core.writer.clone()));
        leases.balance().await?;
        let clock = Arc::new(MovedClock(AtomicI64::new(0)));
        let (repository, entropy) = (core.repository(), Arc::new(SystemEntropy));
        let runner = Runner::new(Arc::clone(&repository), workflows(), clock.clone(), entropy.clone());
        let settings =
            EngineSettings { max_running: RUNNING, max_running_per_bot: RUNNING, ..EngineSettings::default() };
        let (_, settings) = tokio::sync::watch::channel(Arc::new(settings));
        let parts = DeskParts {
            runner,
            repository,
            wakeup: core.wakeup.clone(),
            live: Arc::new(LogSource(pool.clone())),
            clock: clock.clone(),
            entropy,
            writer: core.writer.clone(),
            leases,
            settings,
        };
        let desk = Desk::start(DeskConfig::named("bench"), parts);
        let bots = (0..BOTS).map(|_| BotId::of(UserId::from_uuid(SystemEntropy.uuid()))).collect();
        let scene = Self { core, desk, clock, bots, views };
        scene.until("the partitions", |desk| desk.status().partitions > 0).await?;
        Ok(scene)
    }

    pub async fn close(self) {
        self.desk.stop().await;
        if let Some(Views { stop, tasks, .. }) = self.views {
            stop.cancel();
            tasks.close();
            tasks.wait().await;
        }
        self.core.close().await;
    }

    /// Hears of the ends of jobs as they are committed.
    pub fn ends(&self) -> Ends {
        let pick = |name: &str| if name == "JobCompleted" { Pick::Name } else { Pick::Nothing };
        let wanted = Wanted { shard: DEFAULT_SHARD, aggregate_type: "Job", pick };
        Ends(self.core.wakeup.tap(wanted))
    }

    /// Enqueues jobs in batches.
    pub async fn enqueue(&self, count: u32, workflow: &str, input: &Value) -> Result<(), Failure> {
        let id = SystemEntropy.uuid();
        let actor = Actor::System("bench".to_owned());
        let provenance = Provenance { actor, correlation_id: id, causation_id: id, held_epoch: None };
        let desk = self.desk.handle();
        let jobs = (0..count).zip(self.bots.iter().cycle()).map(|(_, bot)| NewJob {
            priority: None,
            job_id: JobId::from_uuid(SystemEntropy.uuid()),
            bot_id: *bot,
            workflow: workflow.to_owned(),
            input: input.clone(),
            origin: Origin::Person,
        });
        let mut jobs = jobs.peekable();
        while jobs.peek().is_some() {
            let batch = jobs.by_ref().take(BATCH).collect();
            desk.runner().create_all(batch, &provenance).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until the desk is as `is` says.
    pub async fn until(&self, what: &str, is: impl Fn(&DeskHandle) -> bool) -> Result<(), Failure> {
        let desk = self.desk.handle();
        let begun = Instant::now();
        while !is(&desk) {
            if begun.elapsed() > LIMIT {
                return Err(Failure::new("BENCH_FAILED", Exit::Software, format!("waited in vain for {what}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Moves the clock ahead.
    pub fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::AcqRel);
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// The ends of jobs.
pub struct Ends(mpsc::Receiver<Commit>);

impl Ends {
    /// Waits for the ends of `count` jobs.
    pub async fn wait(&mut self, count: u32) -> Result<(), Failure> {
        let all = async {
            let mut ended = 0;
            while ended < count {
                let Some(commit) = self.0.recv().await else { return };
                ended += u32::try_from(commit.news.len()).unwrap_or(u32::MAX);
            }
        };
        tokio::time::timeout(LIMIT, all)
            .await
            .map_err(|_| Failure::new("BENCH_FAILED", Exit::Software, "the jobs did not end in time"))
    }
}

fn views(pool: &PgPool, core: &Core) -> Views {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let queue = CommandQueue::new(pool.clone());
    let log = Log { repository: core.repository(), wakeup: core.wakeup.clone(), shard: DEFAULT_SHARD };
    let projections = Projections::start(catalogue::all(&queue), pool, &log, &tasks, &stop);
    Views { stop, tasks, _projections: projections }
}

/// As many steps as the input says, each of which does nothing; the code goes on while results are written.
fn steps() -> Workflow {
    Workflow::new("steps", |ctx: Context, count: u32| async move {
        let policy = RetryPolicy::once();
        for _ in 0..count {
            ctx.step("nothing", &policy, |_| async { Ok(()) }).await?;
        }
        Ok(())
    })
}

/// The same, where each step is durable before the next begins.
fn durable_steps() -> Workflow {
    Workflow::new("durable_steps", |ctx: Context, count: u32| async move {
        let policy = RetryPolicy::once();
        for _ in 0..count {
            ctx.idempotent("nothing", &policy, |_| async { Ok(()) }).await?;
        }
        Ok(())
    })
}

fn sleeper() -> Workflow {
    Workflow::new("sleeper", |ctx: Context, until: DateTime<Utc>| async move { Ok(ctx.sleep_until(until).await?) })
}

fn workflows() -> Registry {
    Registry::default().with(steps()).with(durable_steps()).with(sleeper())
}

/// The input of a sleeper.
pub fn until(at: DateTime<Utc>) -> Value {
    json!(at)
}
