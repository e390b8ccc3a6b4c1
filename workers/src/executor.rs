//! Claims commands in batches, runs as many at a time as is set, and settles each as its work says.
//!
//! A command that this process cannot settle stays its own until that works, or until the hold on its partition ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::partition_of;
use store::command_queue::{ClaimedCommand, QueueError};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::backoff;
use crate::dispatch;
use crate::disposition::{Disposition, Ending};
use crate::engine::Engine;
use crate::errand::Errand;
use crate::fault::Fault;
use crate::hold::Hold;

/// No look at the queue sooner than this after one that found nothing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// The pause after the queue could not be looked at.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);

/// The loop over the queue.
pub(crate) struct Executor {
    engine: Arc<Engine>,
    hold: Hold,
    /// Each says whether it settled its command.
    running: JoinSet<bool>,
    /// The commands that run, by task.
    held: HashMap<Id, Uuid>,
    /// There may be commands that are claimed for this process and that it does not run.
    unsure: bool,
}

impl Executor {
    pub(crate) fn new(engine: Arc<Engine>, hold: Hold) -> Self {
        Self { engine, hold, running: JoinSet::new(), held: HashMap::new(), unsure: false }
    }

    /// Works until `stop`, then ends what runs, within the limit.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut wake = self.engine.queue.wake_signal();
        while !stop.is_cancelled() {
            let pause = match self.claim().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(
                        code = error.code(),
                        error = &error as &dyn std::error::Error,
                        "the queue cannot be looked at"
                    );
                    self.unsure = true;
                    TROUBLE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.running.join_next_with_id() => self.forget(ended),
                () = wake.wait(pause) => {}
            }
        }
        self.drain().await;
    }

    /// Claims what fits, and says how long to wait before the next look.
    async fn claim(&mut self) -> Result<Duration, QueueError> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(ended);
        }
        let config = &self.engine.hands.config;
        let partitions = self.hold.leases.claimable();
        let free = config.concurrency.saturating_sub(self.running.len());
        if free == 0 || partitions.is_empty() {
            return Ok(config.poll);
        }
        let queue = &self.engine.queue;
        let lease = self.hold.writer.lease();
        if self.unsure {
            let held: Vec<Uuid> = self.held.values().copied().collect();
            queue.put_back(&lease, &held).await?;
            self.unsure = false;
        }
        let limit = free.min(config.batch);
        let asked = i64::try_from(limit).unwrap_or(i64::MAX);
        let claimed = queue.claim(&partitions, &lease, self.engine.hands.now(), asked).await?;
        let is_full = claimed.len() == limit;
        for command in claimed {
            self.start(command);
        }
        if is_full {
            return Ok(SHORTEST_PAUSE);
        }
        let due = self.engine.queue.next_due(&partitions).await?;
        let pause = due.map_or(self.engine.hands.config.poll, |due| self.engine.hands.real_until(due));
        // What is due and was not claimed waits for another command of its bot, whose end wakes us.
        let pause = if pause.is_zero() { self.engine.hands.config.poll } else { pause };
        Ok(pause.clamp(SHORTEST_PAUSE, self.engine.hands.config.poll))
    }

    fn start(&mut self, command: ClaimedCommand) {
        let id = command.claim.command_id;
        let span = tracing::info_span!(
            "command",
            command.id = %id,
            command.kind = command.kind,
            bot.id = %command.bot_id,
            correlation.id = %command.correlation_id,
            attempt = command.attempt,
        );
        let engine = Arc::clone(&self.engine);
        let task = self.running.spawn(carry_out(engine, command, self.hold.clone()).instrument(span));
        self.held.insert(task.id(), id);
    }

    fn forget(&mut self, ended: Result<(Id, bool), tokio::task::JoinError>) {
        let task = match ended {
            Ok((task, is_settled)) => {
                self.unsure |= !is_settled;
                task
            }
            Err(error) => {
                tracing::error!(%error, "a worker's task did not end by itself");
                self.unsure = true;
                error.id()
            }
        };
        self.held.remove(&task);
    }

    /// Lets what runs come to its end. What takes longer than the limit is left as a crash would leave it.
    async fn drain(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.engine.hands.config.drain_limit, all).await.is_err() {
            tracing::warn!(
                commands = self.running.len(),
                "some commands did not end in time and are left to the next process"
            );
            self.running.shutdown().await;
        }
    }
}

/// Says whether the command is settled. One that is not is put back, should the hold go on after all.
async fn carry_out(engine: Arc<Engine>, command: ClaimedCommand, hold: Hold) -> bool {
    let errand = Errand::of_command(Arc::clone(&engine.hands), &command);
    let Some(disposition) = dispatch::work(&engine, &errand, &command, &hold).await else { return false };
    let partition = partition_of(errand.bot_id());
    let settling = Settling { engine: &engine, errand: &errand, command: &command };
    tokio::select! {
        biased;
        () = hold.ends(partition) => {
            tracing::warn!("the hold on the bot ended before its command was settled");
            false
        }
        () = settling.settle(&disposition) => true,
    }
}

/// A command whose work is over.
struct Settling<'a> {
    engine: &'a Engine,
    errand: &'a Errand,
    command: &'a ClaimedCommand,
}

impl Settling<'_> {
    /// Settles the command, however long that takes: nobody else can while this process holds the partition.
    async fn settle(&self, disposition: &Disposition) {
        let mut failures = 0;
        loop {
            match self.try_settle(disposition).await {
                Ok(()) => return,
                Err(fault) if fault.is_fenced() => {
                    tracing::info!(code = fault.code(), "the command is not this process's any more");
                    return;
                }
                Err(fault) => {
                    failures += 1;
                    tracing::warn!(code = fault.code(), failures, "the command could not be settled; trying again");
                    tokio::time::sleep(backoff::delay(failures, self.engine.hands.entropy.unit())).await;
                }
            }
        }
    }

    /// Every part of it may be repeated.
    async fn try_settle(&self, disposition: &Disposition) -> Result<(), Fault> {
        let queue = &self.engine.queue;
        let claim = &self.command.claim;
        if !disposition.then.is_empty() {
            queue.enqueue(&disposition.then).await?;
        }
        match &disposition.ending {
            Ending::Done(result) => queue.complete(claim, result).await?,
            Ending::Snooze { until, code } => {
                queue.snooze(claim, *until, code).await?;
            }
            Ending::Retry { code, reason, at_least } => {
                let failures = u32::try_from(self.command.attempt + 1).unwrap_or(1);
                let wait = backoff::delay(failures, self.engine.hands.entropy.unit()).max(*at_least);
                queue.retry(claim, self.errand.hands.after(wait), code, reason).await?;
            }
            Ending::Dead { code, reason } => {
                tracing::error!(code, reason, "the command is given up");
                queue.dead_letter(claim, code, reason).await?;
            }
        }
        Ok(())
    }
}
