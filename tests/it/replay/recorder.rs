//! Records a history: runs the workflow over the memory repository, with a clock that jumps to whatever it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, derive};
use domain::job::{Job, JobCommand, JobState, Origin, Outcome, Wake};
use domain::metadata::{Actor, Metadata};
use serde_json::Value;
use serde_json::value::RawValue;
use store::command_bus::CommandBus;
use store::repository::{EventRepository, MemoryRepository};
use uuid::Uuid;
use workers::job::replay::history::StoredRow;
use workers::job::{Activation, Provenance, Registry, Runner};

use super::small::{Case, Until, children, workflow};

/// More activations than any case needs.
const MOST_ACTIVATIONS: usize = 20;

struct Jumping(AtomicI64);

impl Clock for Jumping {
    /// From a Monday in 2026 on.
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_772_445_600 + self.0.load(Ordering::Acquire))
    }
}

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::AcqRel)) + 1)
    }

    fn unit(&self) -> f64 {
        0.0
    }
}

struct Recorder {
    repository: Arc<MemoryRepository>,
    clock: Arc<Jumping>,
    entropy: Arc<Counted>,
    bus: CommandBus,
    runner: Runner,
}

fn provenance() -> Provenance {
    let actor = Actor::Worker("recorder".to_owned());
    Provenance { actor, correlation_id: Uuid::nil(), causation_id: Uuid::nil(), held_epoch: None }
}

/// The history of `case`, recorded with the code that it names.
pub async fn record(case: &Case) -> Vec<StoredRow> {
    let mut registry = Registry::default().with(workflow(case.name, case.recorded));
    for child in children() {
        registry = registry.with(child);
    }
    let recorder = Recorder::new(registry);
    let job = JobId::from_uuid(derive(&["history", case.name]));
    recorder.run(job, case).await;
    let stored = recorder.repository.raw_stream(Job::TYPE, &job.to_string(), 0, 10_000).await.expect("in memory");
    let rows = stored.into_iter().map(|raw| StoredRow {
        sequence: raw.sequence,
        event_type: raw.event_type,
        event_version: raw.event_version,
        payload: RawValue::from_string(raw.payload).expect("it is JSON"),
    });
    rows.collect()
}

impl Recorder {
    fn new(registry: Registry) -> Self {
        let repository = Arc::new(MemoryRepository::default());
        let clock = Arc::new(Jumping(AtomicI64::new(0)));
        let entropy = Arc::new(Counted(AtomicU64::new(0)));
        let dynamic: Arc<dyn EventRepository> = repository.clone();
        let bus = CommandBus::new(Arc::clone(&dynamic), None);
        let runner = Runner::new(dynamic, registry, clock.clone(), entropy.clone());
        Self { repository, clock, entropy, bus, runner }
    }

    async fn run(&self, job: JobId, case: &Case) {
        let bot = BotId::from_uuid(derive(&["history", "bot"]));
        let created = self.runner.create(job, bot, case.name, Value::Null, Origin::Person, &provenance()).await;
        created.expect("it is made");
        for _ in 0..MOST_ACTIVATIONS {
            let ended = self.runner.activate(job, provenance()).await.expect("it runs");
            let Activation::Waits { wakes, .. } = ended else {
                if let Until::ResetTo(index) = case.until {
                    let reason = "the code has changed".to_owned();
                    self.ask(job, JobCommand::Reset { index, reason, at: self.clock.now() }).await;
                }
                return;
            };
            let reason = "a person asked".to_owned();
            let at = self.clock.now() + TimeDelta::seconds(5);
            match case.until {
                Until::Waits => return,
                Until::Paused => return self.ask(job, JobCommand::Pause { reason, at }).await,
                Until::Cancelled => self.ask(job, JobCommand::RequestCancel { reason, at }).await,
                Until::Complete | Until::ResetTo(_) => self.end(job, wakes).await,
            }
        }
        panic!("{} does not end", case.name);
    }

    /// Brings about what the job waits for.
    async fn end(&self, job: JobId, wakes: Vec<Wake>) {
        match wakes.into_iter().next().expect("it waits for something") {
            Wake::At(until) => {
                self.clock.0.fetch_add((until - self.clock.now()).num_seconds(), Ordering::AcqRel);
            }
            Wake::Signal { name, .. } => {
                let payload = Value::String("yes".to_owned());
                self.ask(job, JobCommand::Signal { name, payload, at: self.clock.now() }).await;
            }
            Wake::Child(child) => {
                let ended = self.runner.activate(child, provenance()).await.expect("it runs");
                assert!(matches!(ended, Activation::Settled { state: JobState::Completed, .. }));
                let journal = self.bus.load::<Job>(&job.to_string()).await.expect("it is there").state;
                let index = journal.journal().edge() - 1;
                let outcome = Outcome::Completed { result: Value::Null };
                self.ask(job, JobCommand::FinishChild { index, outcome, at: self.clock.now() }).await;
            }
        }
    }

    async fn ask(&self, job: JobId, command: JobCommand) {
        let request = RequestId::from_uuid(derive(&["ask", &self.entropy.uuid().to_string()]));
        let metadata = Metadata::root(request, Actor::System("recorder".to_owned()), self.clock.now());
        self.bus.execute::<Job>(&job.to_string(), command, &metadata).await.expect("the job takes it");
    }
}
