//! One process of the simulation: hands of its own, and the jobs that it activates, until it crashes or is fenced off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::Bot;
use domain::ids::{BotId, JobId, derive};
use domain::job::Wake;
use domain::metadata::Actor;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use store::command_bus::CommandBus;
use store::repository::EventRepository;

use super::cast::OpenSessions;
use super::clock::{Seeded, VirtualClock};
use super::interrupt::Awaits;
use super::remembered::Remembered;
use super::repository::FaultyRepository;
use crate::account_lock::AccountLocks;
use crate::budget::Budget;
use crate::config::WorkerConfig;
use crate::doubts::Doubts;
use crate::errand::Errand;
use crate::gate::Gate;
use crate::hands::Hands;
use crate::job::{Activation, EngineError, Provenance, Runner};
use crate::mutation::Mutation;
use crate::platform::Platform;
use crate::{reconcile, workflow};

/// How soon an activation that broke off is repeated.
const NEXT_ACTIVATION: TimeDelta = TimeDelta::seconds(1);

/// What all processes share.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) repository: Arc<FaultyRepository>,
    pub(super) platform: Arc<dyn Platform>,
    pub(super) sessions: Arc<OpenSessions>,
    pub(super) remembered: Arc<Remembered>,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) entropy: Arc<Seeded>,
    pub(super) mutation: Option<Mutation>,
}

/// An activation, and what it came to.
pub(super) type Running = FuturesUnordered<LocalBoxFuture<'static, (JobId, Result<Activation, EngineError>)>>;

/// One process.
pub(super) struct Process {
    hands: Arc<Hands>,
    runner: Runner,
    epoch: i64,
    /// When each job that waits is due; `None`: until somebody tells it something.
    agenda: BTreeMap<JobId, Option<DateTime<Utc>>>,
    /// Told something while it ran.
    dirty: Vec<JobId>,
    busy: Vec<JobId>,
    awaits: Awaits,
    pub(super) running: Running,
}

impl Process {
    /// Takes all `jobs` over: each is looked at once.
    pub(super) fn start(common: &Common, epoch: i64, jobs: impl IntoIterator<Item = JobId>) -> Self {
        Self::counted(common, epoch, jobs, Awaits::default())
    }

    /// As [`Process::start`]; the awaits of its activations count.
    pub(super) fn counted(common: &Common, epoch: i64, jobs: impl IntoIterator<Item = JobId>, awaits: Awaits) -> Self {
        let repository: Arc<dyn EventRepository> = common.repository.clone();
        let config = WorkerConfig {
            settle_time: Duration::from_secs(240),
            settle_reads: 4,
            mutation: common.mutation,
            ..WorkerConfig::named("simulated")
        };
        let hands = Arc::new(Hands {
            bus: CommandBus::new(Arc::clone(&repository), None),
            platform: Arc::clone(&common.platform),
            sessions: common.sessions.clone(),
            acquaintances: common.remembered.clone(),
            clock: common.clock.clone(),
            entropy: common.entropy.clone(),
            config,
            gate: Gate::default(),
            doubts: Doubts::default(),
            accounts: AccountLocks::default(),
            budget: Budget::default(),
        });
        let registry = workflow::registry(&hands);
        let runner = Runner::new(repository, registry, common.clock.clone(), common.entropy.clone());
        let now = hands.now();
        let agenda = jobs.into_iter().map(|job| (job, Some(now))).collect();
        Self { hands, runner, epoch, agenda, dirty: Vec::new(), busy: Vec::new(), awaits, running: Running::new() }
    }

    pub(super) const fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Who writes for `job`.
    pub(super) fn provenance(&self, job: JobId) -> Provenance {
        let id = derive(&["simulated", &job.to_string()]);
        let actor = Actor::Worker("simulated".to_owned());
        Provenance { actor, correlation_id: id, causation_id: id, held_epoch: Some(self.epoch) }
    }

    /// The earliest instant at which a job is due.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.agenda.values().flatten().min().copied()
    }

    /// Activates what is due.
    pub(super) fn activate_due(&mut self) {
        let now = self.hands.now();
        let due: Vec<JobId> =
            self.agenda.iter().filter(|(_, at)| at.is_some_and(|at| at <= now)).map(|(job, _)| *job).collect();
        for job in due {
            self.agenda.remove(&job);
            self.busy.push(job);
            let (runner, provenance) = (self.runner.clone(), self.provenance(job));
            let activation = Box::pin(async move { (job, runner.activate(job, provenance).await) });
            self.running.push(Box::pin(self.awaits.count(activation)));
        }
    }

    /// Somebody told the job something.
    pub(super) fn wake(&mut self, job: JobId) {
        if self.busy.contains(&job) {
            self.dirty.push(job);
        } else if let Some(due) = self.agenda.get_mut(&job) {
            *due = Some(self.hands.now());
        }
    }

    /// Takes in what an activation came to; the answer is the job that is over.
    pub(super) fn ended(&mut self, job: JobId, result: Result<Activation, EngineError>) -> Option<JobId> {
        self.busy.retain(|busy| *busy != job);
        let is_dirty = self.dirty.contains(&job);
        self.dirty.retain(|dirty| *dirty != job);
        let now = self.hands.now();
        let (due, started) = match result {
            Ok(Activation::Settled { started, state }) if state.is_over() => {
                self.take(started, now);
                return Some(job);
            }
            // A person has to act first.
            Ok(Activation::Settled { started, .. }) => (None, started),
            Ok(Activation::Waits { wakes, started }) => (wakes.iter().filter_map(due_of).min(), started),
            Err(_) => (Some(now + NEXT_ACTIVATION), Vec::new()),
        };
        self.take(started, now);
        self.agenda.insert(job, if is_dirty { Some(now) } else { due });
        None
    }

    fn take(&mut self, started: Vec<JobId>, now: DateTime<Utc>) {
        self.agenda.extend(started.into_iter().map(|job| (job, Some(now))));
    }

    /// As the sweep of a process: looks after an open action.
    pub(super) async fn look_after(&self, bot_id: BotId) {
        let Ok(bot) = self.hands.bus.load::<Bot>(&bot_id.to_string()).await else { return };
        let Some(open) = bot.state.open_reservation() else { return };
        let id = derive(&["sweep", &open.action_id.to_string()]);
        let mut provenance = self.provenance(JobId::from_uuid(id));
        provenance.held_epoch = Some(self.epoch);
        let errand = Errand::of_step(Arc::clone(&self.hands), bot_id, id, &provenance);
        let _turn = self.hands.accounts.turn(bot_id).await;
        // What cannot be found out now is looked at again.
        let _ = reconcile::settle_action(&errand, open.action_id).await;
    }
}

fn due_of(wake: &Wake) -> Option<DateTime<Utc>> {
    match wake {
        Wake::At(at) => Some(*at),
        Wake::Signal { until, .. } => *until,
        Wake::Child(_) => None,
    }
}
