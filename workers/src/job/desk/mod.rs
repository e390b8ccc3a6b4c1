//! The desk: keeps in memory which live jobs of this process's partitions are due, and activates them.
//!
//! Nothing durable is here. What is due is known from the read model at a take-over, from then on from the log, and from
//! the jobs' own activations; a job that is activated once too often finds nothing to do.

mod activation;
mod agenda;
mod follower;
mod lane;
mod limits;
mod line;
mod live;
mod status;
mod tenure;
#[cfg(test)]
mod tests;
mod watch;
mod watchdog;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::Clock;
use domain::engine::EngineSettings;
use domain::entropy::Entropy;
use store::lease::PartitionLeases;
use store::repository::EventRepository;
use store::wakeup::Wakeup;
use store::writer::Writer;
use tokio::sync::{Notify, watch as watched};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::runner::Runner;
use agenda::Agenda;
use lane::Lane;

pub use agenda::{Children, Seed};
pub use limits::{BotLimits, DeskLimits, Held};
pub use live::{LiveJob, LiveJobs, LiveSource, LogSource, ReadModelSource};
pub use status::{DeskStatus, ParkedJob};
pub use watch::Attention;

/// A clock that runs faster can be told to at any time, so no pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// How a desk behaves.
#[derive(Debug, Clone)]
pub struct DeskConfig {
    /// The actor of what jobs record.
    pub name: String,
    /// Threads that run workflows' code, and nothing else.
    pub threads: usize,
    /// How long one poll of a workflow's code may take before it counts as stuck.
    pub stall_limit: Duration,
    /// How often partitions are looked at.
    pub tenure_pause: Duration,
    /// How long running activations may go on after a stop was asked for.
    pub drain_limit: Duration,
}

impl DeskConfig {
    /// The usual settings.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
        Self {
            name: name.into(),
            threads,
            stall_limit: Duration::from_secs(10),
            tenure_pause: Duration::from_millis(500),
            drain_limit: Duration::from_secs(20),
        }
    }
}

/// What a desk works with.
#[derive(Clone)]
pub struct DeskParts {
    pub runner: Runner,
    pub repository: Arc<dyn EventRepository>,
    pub wakeup: Wakeup,
    pub live: Arc<dyn LiveSource>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub writer: Writer,
    pub leases: Arc<PartitionLeases>,
    pub settings: watched::Receiver<Arc<EngineSettings>>,
}

struct Shared {
    config: DeskConfig,
    parts: DeskParts,
    agenda: Mutex<Agenda>,
    lane: Mutex<Lane>,
    /// Something is due earlier than `planned`, in microseconds of engine time.
    sooner: Notify,
    planned: AtomicI64,
    /// Partitions may have come or gone.
    tenures: Notify,
    /// An activation ended.
    ended: Notify,
    closing: CancellationToken,
}

impl Shared {
    /// A panic elsewhere cannot leave it half changed in a way that matters: everything in it is a hint.
    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Engine time in microseconds.
    fn now(&self) -> i64 {
        self.parts.clock.now().timestamp_micros()
    }

    /// The engine time at which `real` time will have passed.
    fn after(&self, real: Duration) -> i64 {
        let engine = real.mul_f64(self.parts.clock.speed().max(1.0));
        self.now().saturating_add(i64::try_from(engine.as_micros()).unwrap_or(i64::MAX))
    }

    /// Makes sure that what is due at `due` is not slept over.
    fn plan(&self, due: i64) {
        if due < self.planned.load(Ordering::Acquire) {
            self.sooner.notify_one();
        }
    }

    /// Makes ready what is due and starts what may run, for as long as the desk is open.
    async fn keep_time(self: Arc<Self>) {
        let mut settings = self.parts.settings.clone();
        let mut is_settled = false;
        loop {
            let limits = DeskLimits::of(&settings.borrow_and_update());
            self.agenda().set_limits(Arc::new(limits));
            self.turn_clock();
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(self.pause()) => {}
                changed = settings.changed(), if !is_settled => if changed.is_err() {
                    // Nobody can change them any more.
                    is_settled = true;
                }
            }
        }
    }

    fn turn_clock(self: &Arc<Self>) {
        let due = self.agenda().wake(self.now());
        self.planned.store(due.unwrap_or(agenda::NEVER), Ordering::Release);
        self.pump();
    }

    fn pause(&self) -> Duration {
        let due = self.planned.load(Ordering::Acquire);
        let engine = u64::try_from(due.saturating_sub(self.now())).unwrap_or(0);
        let real = Duration::from_micros(engine).div_f64(self.parts.clock.speed().max(1.0));
        real.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

/// A running desk.
pub struct Desk {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

/// What others may ask of a desk.
#[derive(Clone)]
pub struct DeskHandle(Arc<Shared>);

impl Desk {
    /// Starts a desk. It takes up the jobs of the partitions that its leases hold.
    #[must_use]
    pub fn start(config: DeskConfig, parts: DeskParts) -> Self {
        let lane = Lane::open(0, config.threads);
        let shared = Arc::new(Shared {
            config,
            parts,
            agenda: Mutex::default(),
            lane: Mutex::new(lane),
            sooner: Notify::new(),
            planned: AtomicI64::new(agenda::NEVER),
            tenures: Notify::new(),
            ended: Notify::new(),
            closing: CancellationToken::new(),
        });
        let asked = Arc::downgrade(&shared);
        // A desk that is gone runs nothing.
        shared.parts.leases.before_release(Arc::new(move |partition| {
            asked.upgrade().is_none_or(|shared| shared.agenda().close(partition))
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&shared).keep_time());
        tasks.spawn(follower::follow(Arc::clone(&shared)));
        tasks.spawn(Arc::clone(&shared).watch_tenures());
        tasks.spawn(watchdog::watch(Arc::clone(&shared)));
        Self { shared, tasks }
    }

    /// The way to ask it.
    #[must_use]
    pub fn handle(&self) -> DeskHandle {
        DeskHandle(Arc::clone(&self.shared))
    }

    /// Takes up nothing more and lets what runs come to its next wait, within the limit.
    pub async fn stop(mut self) {
        self.shared.agenda().set_limits(Arc::new(DeskLimits { paused: true, ..DeskLimits::default() }));
        self.shared.closing.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.shared.agenda().set_limits(Arc::new(DeskLimits { paused: true, ..DeskLimits::default() }));
        let quiet = async {
            loop {
                let mut ended = std::pin::pin!(self.shared.ended.notified());
                ended.as_mut().enable();
                if self.shared.agenda().running_count() == 0 {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(self.shared.config.drain_limit, quiet).await.is_err() {
            let jobs = self.shared.agenda().running_count();
            tracing::warn!(jobs, "some jobs did not come to a wait in time and are left to the next process");
        }
        self.close().await;
    }

    /// Stops at once, in the middle of whatever is being done, as a crash would.
    pub async fn abort(mut self) {
        self.shared.closing.cancel();
        self.tasks.shutdown().await;
        self.close().await;
    }

    async fn close(self) {
        let runtime = self.shared.lane().take();
        let closing = tokio::task::spawn_blocking(move || {
            if let Some(runtime) = runtime {
                runtime.shutdown_timeout(Duration::from_secs(2));
            }
        });
        // It cannot panic, and nothing depends on it.
        let _ = closing.await;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        if let Some(runtime) = self.shared.lane().take() {
            runtime.shutdown_background();
        }
    }
}

impl DeskHandle {
    /// What the desk has to do now.
    #[must_use]
    pub fn status(&self) -> DeskStatus {
        // One after the other: whoever has the lane may ask for the agenda.
        let lost_lanes = self.0.lane().number;
        DeskStatus { lost_lanes, ..self.0.agenda().status(self.0.now()) }
    }

    /// How much runs at a time now.
    #[must_use]
    pub fn limits(&self) -> Arc<DeskLimits> {
        self.0.agenda().limits()
    }

    /// Which limit keeps a job that is due from running, if one does.
    #[must_use]
    pub fn held(&self, job: domain::ids::JobId) -> Option<Held> {
        self.0.agenda().held_job(job)
    }

    /// Makes and runs jobs.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        &self.0.parts.runner
    }

    /// Looks at the partitions now, as they may have changed.
    pub fn look_at_partitions(&self) {
        self.0.tenures.notify_one();
    }
}

/// An instant that is stored as microseconds; out of range is never.
fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}
