//! Runs the jobs that are next, one after the other in each task, and puts what becomes of each into the agenda.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::JobId;
use domain::job::{JobError, Wake};
use domain::metadata::Actor;
use store::error::StoreError;

use super::agenda::{NEVER, Outcome, Turn};
use super::watch::{Attention, Cut, Watched};
use super::{Shared, micros};
use crate::backoff;
use crate::job::error::EngineError;
use crate::job::runner::{Activation, Assignment, Ran};
use crate::job::stream::Provenance;

/// No job is activated again sooner by its own wait, so that a wait that is over already cannot make it spin.
const SHORTEST_WAIT: i64 = 1_000;
/// A job that neither waits for anything nor is over is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the end of a job whose code is stuck is tried to be written.
const END_TRIES: u32 = 20;

/// A running activation. Dropped before its end, the job is run again.
struct Claim<'a> {
    shared: &'a Arc<Shared>,
    job: JobId,
    ticket: u64,
    is_finished: bool,
}

impl Claim<'_> {
    /// Settles it, and says which job this task goes on with.
    fn finish(mut self, outcome: Outcome, ran: Option<(&Ran, domain::ids::BotId)>, lane: u64) -> Option<Turn> {
        self.is_finished = true;
        let shared = self.shared;
        let now = shared.now();
        let due = match outcome {
            Outcome::Sleeps { due } | Outcome::Failed { due } => due,
            _ => NEVER,
        };
        // A lane that was left behind takes up nothing.
        let is_open = !shared.closing.is_cancelled() && shared.lane().number == lane;
        let (next, has_more) = {
            let mut agenda = shared.agenda();
            if let Some((ran, _)) = ran {
                agenda.learn(self.job, ran.priority);
            }
            agenda.finish(self.job, self.ticket, outcome, now);
            if let Some((ran, bot)) = ran {
                let (Activation::Settled { started, .. } | Activation::Waits { started, .. }) = &ran.activation;
                for job in started {
                    agenda.add_new(*job, bot, now);
                }
                if let Some((parent, child)) = ran.parent {
                    agenda.child_ended(parent, child, now);
                }
            }
            let next = if is_open { agenda.next(|_| Arc::new(Attention::new(lane))) } else { None };
            (next, agenda.has_more())
        };
        shared.plan(due);
        shared.ended.notify_waiters();
        if has_more {
            shared.pump();
        }
        next
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.shared.agenda().finish(self.job, self.ticket, Outcome::Broken, self.shared.now());
            self.shared.sooner.notify_one();
            self.shared.ended.notify_waiters();
        }
    }
}

impl Shared {
    /// Starts everything that may run now.
    pub(super) fn pump(self: &Arc<Self>) {
        if self.closing.is_cancelled() {
            return;
        }
        let (lane, handle) = {
            let lane = self.lane();
            (lane.number, lane.handle().clone())
        };
        let mut turns = Vec::new();
        {
            let mut agenda = self.agenda();
            while let Some(turn) = agenda.next(|_| Arc::new(Attention::new(lane))) {
                turns.push(turn);
            }
        }
        for turn in turns {
            handle.spawn(Arc::clone(self).work(turn));
        }
    }

    async fn work(self: Arc<Self>, turn: Turn) {
        let mut turn = Some(turn);
        while let Some(next) = turn {
            turn = self.activate(next).await;
        }
    }

    async fn activate(self: &Arc<Self>, turn: Turn) -> Option<Turn> {
        let Turn { job_id, bot_id, epoch, ticket, seed, children, attention } = turn;
        let claim = Claim { shared: self, job: job_id, ticket, is_finished: false };
        let lane = attention.lane;
        let provenance = self.provenance(job_id, epoch);
        let assignment = Assignment {
            job_id,
            provenance: provenance.clone(),
            seed,
            children,
            attention: Some(Arc::clone(&attention)),
        };
        let work = Box::pin(self.parts.runner.run(assignment));
        let ran = match (Watched { attention: &attention, work }).await {
            Ok(Ok(ran)) => Ok(ran),
            Ok(Err(error)) => self.failed(job_id, error, provenance).await,
            Err(Cut::Panicked(message)) => {
                tracing::error!(job.id = %job_id, code = "WORKFLOW_PANICKED", message, "a workflow's code panicked");
                self.fail(job_id, "WORKFLOW_PANICKED", &message, provenance).await
            }
            Err(Cut::Revoked) => Err(Outcome::Broken),
        };
        match ran {
            Ok(ran) => {
                let outcome = self.outcome(&ran.activation);
                claim.finish(outcome, Some((&ran, bot_id)), lane)
            }
            Err(outcome) => claim.finish(outcome, None, lane),
        }
    }

    pub(super) fn provenance(&self, job: JobId, epoch: i64) -> Provenance {
        Provenance {
            actor: Actor::Worker(self.config.name.clone()),
            correlation_id: job.uuid(),
            causation_id: job.uuid(),
            held_epoch: Some(epoch),
        }
    }

    fn outcome(&self, activation: &Activation) -> Outcome {
        let wakes = match activation {
            Activation::Settled { .. } => return Outcome::Gone,
            Activation::Waits { wakes, .. } => wakes,
        };
        let due = wakes.iter().map(|wake| match wake {
            Wake::At(at) => micros(*at),
            Wake::Signal { until, .. } => until.map_or(NEVER, micros),
            Wake::Child(_) => NEVER,
        });
        let due = due.min().unwrap_or_else(|| self.after(LOOK_AGAIN));
        Outcome::Sleeps { due: due.max(self.now() + SHORTEST_WAIT) }
    }

    /// What a fault means for the job: tried again, given to a person, or ended.
    async fn failed(&self, job: JobId, error: EngineError, provenance: Provenance) -> Result<Ran, Outcome> {
        let code = error.code();
        match error {
            EngineError::NoSuchJob { .. } => Err(Outcome::Gone),
            EngineError::UnknownWorkflow { .. } | EngineError::Store(StoreError::Corrupt { .. }) => {
                tracing::error!(job.id = %job, code, error = &error as &dyn std::error::Error,
                    "the job cannot be run by this version");
                Err(Outcome::Parked { code, message: error.to_string() })
            }
            EngineError::Journal(refusal) => {
                let code = if matches!(refusal, JobError::TooLarge { .. }) { refusal.code() } else { code };
                tracing::error!(job.id = %job, code, error = %refusal, "the job ends, as its journal cannot go on");
                self.fail(job, code, &refusal.to_string(), provenance).await
            }
            EngineError::Broken { code, message } => {
                tracing::error!(job.id = %job, code, message, "the job ends, as its code breaks the rules");
                self.fail(job, code, &message, provenance).await
            }
            EngineError::Store(error) => Err(self.try_again(job, &error)),
        }
    }

    fn try_again(&self, job: JobId, error: &StoreError) -> Outcome {
        let failures = self.agenda().failures(job) + 1;
        let delay = backoff::delay(failures, self.parts.entropy.unit());
        if !matches!(error, StoreError::Fenced) {
            tracing::warn!(job.id = %job, code = error.code(), failures, error = error as &dyn std::error::Error,
                "the job could not be run; trying again");
        }
        Outcome::Failed { due: self.after(delay) }
    }

    async fn fail(&self, job: JobId, code: &str, message: &str, provenance: Provenance) -> Result<Ran, Outcome> {
        self.parts.runner.fail(job, code, message, provenance).await.map_err(|error| match error {
            EngineError::Store(error) => self.try_again(job, &error),
            error => Outcome::Parked { code: error.code(), message: error.to_string() },
        })
    }

    /// Ends a job whose code is stuck in a thread; it is parked meanwhile.
    pub(super) async fn end_stalled(&self, job: JobId, message: String, provenance: Provenance) {
        for failures in 1..=END_TRIES {
            match self.parts.runner.fail(job, "WORKFLOW_STALLED", &message, provenance.clone()).await {
                Ok(ran) => {
                    let now = self.now();
                    let mut agenda = self.agenda();
                    agenda.end_parked(job);
                    if let Some((parent, child)) = ran.parent {
                        agenda.child_ended(parent, child, now);
                    }
                    drop(agenda);
                    self.sooner.notify_one();
                    return;
                }
                Err(EngineError::Store(StoreError::Fenced)) => return,
                Err(error) => {
                    tracing::warn!(job.id = %job, code = error.code(), %error, "the end of the job could not be written");
                    tokio::time::sleep(backoff::delay(failures, self.parts.entropy.unit())).await;
                }
            }
        }
    }
}
