//! The workers of one process: takes partitions of the bots, asks for what a take-over needs, works off commands, and
//! comes to an orderly end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::ids::PARTITIONS;
use store::command_queue::QueueError;
use store::lease::PartitionLeases;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::WorkerConfig;
use crate::engine::{Engine, WorkerParts};
use crate::executor::Executor;
use crate::hold::Hold;
use crate::housekeeping;
use crate::job::Runner;
use crate::job::desk::{Desk, DeskConfig, DeskHandle, DeskParts, ReadModelSource};
use crate::scheduler::Scheduler;
use crate::takeover;
use crate::workflow;

/// The pause between two rounds of giving partitions away.
const LEAVING_PAUSE: Duration = Duration::from_millis(50);

/// Starts workers.
#[derive(Debug, Clone, Copy)]
pub struct Supervisor;

impl Supervisor {
    /// Starts the workers of this process. They run until the handle is stopped or dropped.
    #[must_use]
    pub fn start(config: WorkerConfig, parts: WorkerParts) -> WorkerHandle {
        let stop = CancellationToken::new();
        let leases = Arc::new(PartitionLeases::new(parts.pool.clone(), parts.writer.clone()));
        let hold = Hold { leases: Arc::clone(&leases), writer: parts.writer.clone() };
        let jobs = parts.clone();
        let engine = Arc::new(Engine::new(config, parts));
        tracing::info!(worker = engine.hands.config.name, "the workers start");
        let desk = open_desk(&engine, jobs, leases);
        let keeper = Keeper::new(Arc::clone(&engine), hold.clone(), desk.handle());
        let scheduler = Scheduler::new(Arc::clone(&engine), hold.clone());
        let (queue, retention) = (engine.queue.clone(), engine.hands.config.command_retention);
        let executor = Executor::new(engine, hold);
        let partitions = tokio::spawn(keeper.run(stop.clone()));
        let commands = tokio::spawn(executor.run(stop.clone()));
        let deciding = tokio::spawn(scheduler.run(stop.clone()));
        let forgetting = tokio::spawn(housekeeping::keep(queue, retention, stop.clone()));
        WorkerHandle { partitions, commands, schedules: deciding, forgetting, desk, stop: stop.drop_guard() }
    }
}

/// Running workers.
#[derive(Debug)]
pub struct WorkerHandle {
    partitions: JoinHandle<Keeper>,
    commands: JoinHandle<()>,
    schedules: JoinHandle<()>,
    forgetting: JoinHandle<()>,
    desk: Desk,
    /// Stops them when the handle is dropped.
    stop: DropGuard,
}

impl WorkerHandle {
    /// The desk of the durable jobs.
    #[must_use]
    pub fn desk(&self) -> DeskHandle {
        self.desk.handle()
    }

    /// Takes in nothing new, ends what runs, gives the partitions away.
    pub async fn stop(self) -> Result<(), JoinError> {
        drop(self.stop);
        self.forgetting.await?;
        self.schedules.await?;
        self.commands.await?;
        self.desk.stop().await;
        self.partitions.await?.leave().await;
        Ok(())
    }

    /// Stops at once, in the middle of whatever is being done, as a crash would.
    pub async fn abort(self) {
        self.partitions.abort();
        self.commands.abort();
        self.schedules.abort();
        self.forgetting.abort();
        self.desk.abort().await;
        // All end by being aborted.
        let _ = self.partitions.await;
        let _ = self.commands.await;
        let _ = self.schedules.await;
        let _ = self.forgetting.await;
    }
}

/// The desk of the durable jobs of this process's partitions.
fn open_desk(engine: &Engine, parts: WorkerParts, leases: Arc<PartitionLeases>) -> Desk {
    let WorkerParts { pool, writer, clock, entropy, repository, wakeup, workflows, settings, .. } = parts;
    let registry = workflow::registry(&engine.hands).and(workflows);
    let runner = Runner::new(Arc::clone(&repository), registry, Arc::clone(&clock), Arc::clone(&entropy))
        .with_history_limit(engine.hands.config.history_limit);
    let WorkerConfig { name, drain_limit, stall_limit, .. } = engine.hands.config.clone();
    let config = DeskConfig { stall_limit, drain_limit, ..DeskConfig::named(name) };
    let live = Arc::new(ReadModelSource(pool));
    Desk::start(config, DeskParts { runner, repository, wakeup, live, clock, entropy, writer, leases, settings })
}

/// Looks after the partitions of this process.
struct Keeper {
    engine: Arc<Engine>,
    hold: Hold,
    desk: DeskHandle,
    /// Taken, and not yet asked for everything that a take-over needs.
    fresh: BTreeSet<i32>,
    swept_at: Instant,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

impl Keeper {
    fn new(engine: Arc<Engine>, hold: Hold, desk: DeskHandle) -> Self {
        Self { engine, hold, desk, fresh: BTreeSet::new(), swept_at: Instant::now() }
    }

    /// Keeps the partitions until `stop`.
    async fn run(mut self, stop: CancellationToken) -> Self {
        let mut lease = self.hold.writer.subscribe();
        while !stop.is_cancelled() {
            let epoch = lease.borrow_and_update().unbroken_since;
            self.round().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.engine.hands.config.partition_pause) => {}
                // A new epoch means that everything was lost.
                _ = lease.wait_for(|lease| lease.unbroken_since != epoch) => {}
            }
        }
        self
    }

    async fn round(&mut self) {
        let balance = match self.hold.leases.balance().await {
            Ok(balance) => balance,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "the partitions could not be looked after");
                return;
            }
        };
        if !balance.taken.is_empty() {
            tracing::info!(partitions = balance.taken.len(), "took partitions");
            self.fresh.extend(&balance.taken);
            self.engine.queue.wake();
        }
        self.desk.look_at_partitions();
        let (hold, taken) = (&self.hold, &balance.taken);
        self.engine.hands.gate.keep_partitions(|partition| hold.leases.holds(partition) && !taken.contains(&partition));
        self.fresh.retain(|partition| hold.leases.holds(*partition));
        if let Err(error) = self.take_over().await {
            tracing::warn!(code = error.code(), %error, "a take-over could not be completed; trying again");
        }
        if let Err(error) = self.sweep().await {
            tracing::warn!(code = error.code(), %error, "open actions could not be looked for; trying again");
        }
    }

    /// Asks for what the fresh partitions need; all of it may be asked for again.
    async fn take_over(&mut self) -> Result<(), QueueError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let lease = self.hold.writer.lease();
        let fresh: Vec<i32> = self.fresh.iter().copied().collect();
        let recovered = self.engine.queue.recover(&fresh, &lease).await?;
        if recovered.pending + recovered.ended > 0 {
            tracing::warn!(
                commands.pending = recovered.pending,
                commands.ended = recovered.ended,
                "recovered commands of a lost process"
            );
        }
        takeover::check_sessions(&self.engine, &fresh, lease.unbroken_since).await?;
        takeover::settle_open_actions(&self.engine, &fresh, self.engine.hands.now()).await?;
        self.fresh.clear();
        Ok(())
    }

    /// Now and then, looks for actions that have been open for too long.
    async fn sweep(&mut self) -> Result<(), QueueError> {
        let pause = self.engine.hands.config.settle_time;
        if self.swept_at.elapsed() < pause {
            return Ok(());
        }
        let partitions = self.hold.leases.claimable();
        takeover::settle_open_actions(&self.engine, &partitions, self.before(pause)).await?;
        self.swept_at = Instant::now();
        Ok(())
    }

    /// The engine time that was so long ago in real time.
    fn before(&self, real: Duration) -> DateTime<Utc> {
        let now = self.engine.hands.now();
        now - (self.engine.hands.after(real) - now)
    }

    /// Gives the partitions away.
    async fn leave(self) {
        let leases = &self.hold.leases;
        leases.drain();
        // A partition on which something still runs is given away by its lease's end.
        for _ in 0..PARTITIONS {
            match leases.balance().await {
                Ok(_) if leases.is_empty() => break,
                Ok(_) => tokio::time::sleep(LEAVING_PAUSE).await,
                Err(error) => {
                    tracing::warn!(code = error.code(), %error, "the partitions could not be given away");
                    break;
                }
            }
        }
        if let Err(error) = leases.leave().await {
            tracing::warn!(code = error.code(), %error, "the partitions are given away when the lease ends");
        }
        tracing::info!(worker = self.engine.hands.config.name, "the workers have stopped");
    }
}
