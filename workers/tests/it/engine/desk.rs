//! The desk on a real database: jobs run, sleep, wait and end, whatever happens to the processes that run them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::engine::{self, Engine, EngineCommand, SettingsChange};
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, UserId};
use domain::job::{Job, JobCommand, JobState, Origin, RetryPolicy};
use domain::metadata::{Actor, Metadata};
use serde_json::{Value, json};
use workers::job::{Context, Provenance, Registry, Runner, StepError, Workflow, WorkflowError};

use super::scene::{World, config, until};
use super::time::TestEntropy;

/// What the steps of all processes of a test did.
#[derive(Default)]
struct Tally {
    steps: AtomicU32,
    /// How often a job was found to run twice at once.
    overlaps: AtomicU32,
    running: Mutex<HashMap<JobId, u32>>,
}

struct Inside<'a>(&'a Tally, JobId);

impl Tally {
    fn enter(&self, job: JobId) -> Inside<'_> {
        let mut running = self.running.lock().expect("no panic");
        let count = running.entry(job).or_default();
        *count += 1;
        if *count > 1 {
            self.overlaps.fetch_add(1, Ordering::AcqRel);
        }
        Inside(self, job)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().expect("no panic").entry(self.1).or_default() -= 1;
    }
}

async fn counted(tally: Arc<Tally>, job: JobId) -> Result<u32, StepError> {
    let _inside = tally.enter(job);
    tokio::task::yield_now().await;
    Ok(tally.steps.fetch_add(1, Ordering::AcqRel))
}

/// Some steps with a sleep between them.
fn walker(tally: &Arc<Tally>) -> Workflow {
    let tally = Arc::clone(tally);
    Workflow::new("walker", move |ctx: Context, input: Value| {
        let tally = Arc::clone(&tally);
        async move {
            let steps = input["steps"].as_u64().unwrap_or(1);
            let pause = Duration::from_millis(input["pause_ms"].as_u64().unwrap_or(0));
            for _ in 0..steps {
                let (tally, job) = (Arc::clone(&tally), ctx.job_id());
                ctx.step("count", &RetryPolicy::once(), |_| counted(tally, job)).await?;
                if !pause.is_zero() {
                    ctx.sleep(pause).await?;
                }
            }
            Ok(steps)
        }
    })
}

/// Waits for a signal and returns what it brings.
fn listener() -> Workflow {
    Workflow::new("listener", |ctx: Context, _: Value| async move {
        let said: Option<Value> = ctx.signal("word", None).await?;
        Ok(said)
    })
}

/// Starts walkers and adds up what they return.
fn parent() -> Workflow {
    Workflow::new("parent", |ctx: Context, input: Value| async move {
        let mut sum = 0;
        for _ in 0..input["children"].as_u64().unwrap_or(1) {
            sum += ctx.child::<u64>("walker", &input).await?;
        }
        Ok(sum)
    })
}

fn restarting() -> Workflow {
    Workflow::new("restarting", |ctx: Context, left: u32| async move {
        ctx.step("once", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        if left > 0 { ctx.continue_as_new(left - 1) } else { Ok("done") }
    })
}

/// Asks for a continuing child and returns what its last life returned.
fn patient() -> Workflow {
    Workflow::new("patient", |ctx: Context, _: Value| async move { Ok(ctx.child::<String>("restarting", 3).await?) })
}

fn panicking() -> Workflow {
    Workflow::new("panicking", |_: Context, (): ()| async move {
        let nobody: Vec<u32> = Vec::new();
        let somebody: u32 = *nobody.first().expect("somebody");
        Ok::<u32, WorkflowError>(somebody)
    })
}

fn registry(tally: &Arc<Tally>) -> Registry {
    let registry = Registry::default().with(walker(tally)).with(listener()).with(parent());
    registry.with(restarting()).with(patient()).with(panicking())
}

/// Makes jobs as a process would that runs none.
pub struct Office<'a> {
    world: &'a World,
    runner: Runner,
}

impl<'a> Office<'a> {
    pub fn new(world: &'a World) -> Self {
        let (repository, clock) = (Arc::clone(&world.office.repository), world.clock.clone());
        Self { world, runner: Runner::new(repository, Registry::default(), clock, Arc::new(TestEntropy)) }
    }

    pub async fn create(&self, bot: BotId, workflow: &str, input: Value) -> JobId {
        let job = JobId::from_uuid(TestEntropy.uuid());
        let id = job.uuid();
        let actor = Actor::System("test".to_owned());
        let provenance = Provenance { actor, correlation_id: id, causation_id: id, held_epoch: None };
        self.runner.create(job, bot, workflow, input, Origin::Person, &provenance).await.expect("it is stored");
        job
    }

    pub async fn ask(&self, job: JobId, command: JobCommand) {
        let request = RequestId::from_uuid(TestEntropy.uuid());
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), self.world.now());
        self.world.office.bus.execute::<Job>(&job.to_string(), command, &metadata).await.expect("the job takes it");
    }

    pub async fn set_engine(&self, change: SettingsChange) {
        let request = RequestId::from_uuid(TestEntropy.uuid());
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), self.world.now());
        let command = EngineCommand::ChangeSettings { change, revision: None, at: self.world.now() };
        let done = self.world.office.bus.execute::<Engine>(engine::STREAM_ID, command, &metadata).await;
        let position = done.expect("the engine takes it").position;
        let shown = self.world.projections.wait_until("engine_settings", position, Duration::from_secs(30)).await;
        shown.expect("whoever starts now sees it");
    }

    pub async fn job(&self, job: JobId) -> Arc<Job> {
        self.world.office.bus.load::<Job>(&job.to_string()).await.expect("it loads").state
    }

    pub async fn reaches(&self, job: JobId, state: JobState) {
        until(state.as_str(), || async { Some(self.job(job).await).filter(|job| job.state() == state) }).await;
    }

    pub async fn last(&self, job: JobId) -> Value {
        let events = self.world.office.repository.stream("Job", &job.to_string(), 0, 10_000).await.expect("it reads");
        events.last().expect("it has events").payload.clone()
    }

    pub async fn history(&self, job: JobId) -> Vec<String> {
        let events = self.world.office.repository.stream("Job", &job.to_string(), 0, 10_000).await.expect("it reads");
        events.into_iter().map(|event| event.event_type).collect()
    }
}

pub fn bot() -> BotId {
    BotId::of(UserId::from_uuid(TestEntropy.uuid()))
}

#[tokio::test]
async fn jobs_of_another_process_run_and_wake_and_hear() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let before = office.create(bot(), "walker", json!({ "steps": 2 })).await;
    let workers = world.workers_knowing(config(), registry(&tally)).await;
    office.reaches(before, JobState::Completed).await;
    let walker = office.create(bot(), "walker", json!({ "steps": 3, "pause_ms": 100 })).await;
    let listener = office.create(bot(), "listener", Value::Null).await;
    office.reaches(walker, JobState::Completed).await;
    office.reaches(listener, JobState::Running).await;
    let at = world.now();
    office.ask(listener, JobCommand::Signal { name: "word".to_owned(), payload: json!("hello"), at }).await;
    office.reaches(listener, JobState::Completed).await;
    assert_eq!(office.last(listener).await["result"], "hello");
    assert_eq!(tally.steps.load(Ordering::Acquire), 5);
    until("an empty desk", || async { (workers.desk().status().live == 0).then_some(()) }).await;
    workers.stop().await;
}

#[tokio::test]
async fn ends_of_children_come_to_their_parents() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let workers = world.workers_knowing(config(), registry(&tally)).await;
    let parent = office.create(bot(), "parent", json!({ "children": 3, "steps": 2 })).await;
    let patient = office.create(bot(), "patient", Value::Null).await;
    office.reaches(parent, JobState::Completed).await;
    office.reaches(patient, JobState::Completed).await;
    assert_eq!(office.last(parent).await["result"], 6);
    assert_eq!(office.last(patient).await["result"], "done");
    workers.stop().await;
}

#[tokio::test]
async fn paused_job_stands_still_and_goes_on_when_resumed() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let workers = world.workers_knowing(config(), registry(&tally)).await;
    let job = office.create(bot(), "walker", json!({ "steps": 2, "pause_ms": 200 })).await;
    until("a first step", || async { (tally.steps.load(Ordering::Acquire) > 0).then_some(()) }).await;
    office.ask(job, JobCommand::Pause { reason: "a look".to_owned(), at: world.now() }).await;
    until("an empty desk", || async { (workers.desk().status().live == 0).then_some(()) }).await;
    assert_eq!(office.job(job).await.state(), JobState::Paused);
    office.ask(job, JobCommand::Resume { at: world.now() }).await;
    office.reaches(job, JobState::Completed).await;
    let cancelled = office.create(bot(), "listener", Value::Null).await;
    office.reaches(cancelled, JobState::Running).await;
    office.ask(cancelled, JobCommand::RequestCancel { reason: "enough".to_owned(), at: world.now() }).await;
    office.reaches(cancelled, JobState::Cancelled).await;
    workers.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_or_run_twice_at_once_when_processes_die() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let mut jobs = Vec::new();
    for number in 0..60 {
        let bot = bot();
        jobs.push(match number % 3 {
            0 => office.create(bot, "walker", json!({ "steps": 18, "pause_ms": 150 })).await,
            1 => office.create(bot, "parent", json!({ "children": 3, "steps": 2, "pause_ms": 120 })).await,
            _ => office.create(bot, "listener", Value::Null).await,
        });
    }
    for round in 0..3 {
        // On a slow machine, little may be left to do in the last round.
        let goal = (tally.steps.load(Ordering::Acquire) + 20).min(20 * 18 + 20 * 3 * 2);
        let workers = world.workers_knowing(config(), registry(&tally)).await;
        until("progress", || async { (tally.steps.load(Ordering::Acquire) >= goal).then_some(()) }).await;
        for job in jobs.iter().skip(2 + round * 3).step_by(9) {
            let at = world.now();
            office.ask(*job, JobCommand::Signal { name: "word".to_owned(), payload: json!(round), at }).await;
        }
        workers.kill().await;
    }
    let (one, two) = (
        world.workers_knowing(config(), registry(&tally)).await,
        world.workers_knowing(config(), registry(&tally)).await,
    );
    for job in jobs {
        until("its end", || async { Some(office.job(job).await).filter(|job| job.state().is_over()) }).await;
        assert_eq!(office.job(job).await.state(), JobState::Completed);
    }
    assert_eq!(tally.overlaps.load(Ordering::Acquire), 0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn partitions_that_are_given_away_take_their_jobs_along() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let first = world.workers_knowing(config(), registry(&tally)).await;
    let mut jobs = Vec::new();
    for _ in 0..40 {
        jobs.push(office.create(bot(), "walker", json!({ "steps": 20, "pause_ms": 100 })).await);
    }
    until("progress", || async { (tally.steps.load(Ordering::Acquire) > 40).then_some(()) }).await;
    let second = world.workers_knowing(config(), registry(&tally)).await;
    until("jobs of the second", || async { (second.desk().status().live > 5).then_some(()) }).await;
    first.stop().await;
    for job in jobs {
        office.reaches(job, JobState::Completed).await;
    }
    assert_eq!(tally.overlaps.load(Ordering::Acquire), 0);
    assert_eq!(tally.steps.load(Ordering::Acquire), 800);
    second.stop().await;
}

#[tokio::test]
async fn code_that_panics_and_code_that_is_not_there_stop_their_own_job_only() {
    let (world, tally) = (World::new().await, Arc::new(Tally::default()));
    let office = Office::new(&world);
    let workers = world.workers_knowing(config(), registry(&tally)).await;
    let panics = office.create(bot(), "panicking", Value::Null).await;
    let unknown = office.create(bot(), "of tomorrow", Value::Null).await;
    let walker = office.create(bot(), "walker", json!({ "steps": 2 })).await;
    office.reaches(walker, JobState::Completed).await;
    office.reaches(panics, JobState::Failed).await;
    assert_eq!(office.last(panics).await["code"], "WORKFLOW_PANICKED");
    let parked = until("a parked job", || async { workers.desk().status().parked_jobs.pop() }).await;
    assert_eq!((parked.job_id, parked.code), (unknown, "ENGINE_UNKNOWN_WORKFLOW"));
    assert_eq!(office.history(unknown).await, ["JobCreated"]);
    workers.stop().await;
}
