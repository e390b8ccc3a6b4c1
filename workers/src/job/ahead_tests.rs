//! Code that goes on while what it did is being written: how far ahead it may be, and what is durable before others can tell.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::ids::{BotId, JobId, RequestId, derive};
use domain::job::{Job, JobCommand, JobState, Origin, RetryPolicy};
use domain::metadata::{Actor, Metadata};
use serde_json::Value;
use store::StoreError;
use store::command_bus::CommandBus;
use store::event::RawEvent;
use store::repository::{AppendRequest, Appended, DEFAULT_SHARD, EventRepository, MemoryRepository, RecordedRequest};
use tokio::sync::watch;

use super::tests::{Counted, Crash, provenance};
use super::*;

/// A store whose appends are answered only while its gate is open. What others append goes past the gate.
struct Gated {
    inner: Arc<MemoryRepository>,
    gate: watch::Sender<bool>,
}

#[async_trait]
impl EventRepository for Gated {
    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError> {
        let _ = self.gate.subscribe().wait_for(|is_open| *is_open).await;
        tokio::task::yield_now().await;
        let appended = self.inner.append(request).await;
        tokio::task::yield_now().await;
        appended
    }

    async fn raw_stream(&self, kind: &str, id: &str, after: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        self.inner.raw_stream(kind, id, after, limit).await
    }

    async fn raw_last(&self, kind: &str, id: &str) -> Result<Option<RawEvent>, StoreError> {
        self.inner.raw_last(kind, id).await
    }

    async fn raw_read(&self, shard: i32, after: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        self.inner.raw_read(shard, after, limit).await
    }

    async fn head(&self, shard: i32) -> Result<i64, StoreError> {
        self.inner.head(shard).await
    }

    async fn request(&self, request_id: RequestId) -> Result<Option<RecordedRequest>, StoreError> {
        self.inner.request(request_id).await
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

fn job() -> JobId {
    JobId::from_uuid(derive(&["ahead"]))
}

/// What the code did, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Stage {
    memory: Arc<MemoryRepository>,
    gate: watch::Sender<bool>,
    runner: Runner,
}

impl Stage {
    /// A job of `workflow` that is made and has not begun; the gate is shut.
    async fn of(workflow: Workflow) -> Self {
        let memory = Arc::new(MemoryRepository::default());
        let (gate, _) = watch::channel(true);
        let gated: Arc<dyn EventRepository> = Arc::new(Gated { inner: Arc::clone(&memory), gate: gate.clone() });
        let name = workflow.name().to_owned();
        let registry = Registry::default()
            .with(workflow)
            .with(Workflow::new("child", |_: Context, number: u32| async move { Ok(number) }));
        let runner = Runner::new(gated, registry, Arc::new(Still), Arc::new(Counted::default()));
        let bot = BotId::from_uuid(derive(&["bot"]));
        let made = runner.create(job(), bot, &name, Value::Null, Origin::Person, &provenance()).await;
        made.expect("the gate is open");
        gate.send_replace(false);
        Self { memory, gate, runner }
    }

    async fn run(&self) -> Activation {
        self.runner.activate(job(), provenance()).await.expect("the job runs")
    }

    /// Lets the activation go as far as it comes without an answer of the store.
    async fn goes_as_far_as_it_can(&self, activation: &mut (impl Future<Output = Activation> + Unpin)) {
        for _ in 0..20 {
            let is_over =
                std::future::poll_fn(|task| Poll::Ready(std::pin::Pin::new(&mut *activation).poll(task).is_ready()));
            assert!(!is_over.await, "nothing is written, so nothing is over");
            tokio::task::yield_now().await;
        }
    }

    async fn names(&self, id: JobId) -> Vec<String> {
        let events = self.memory.stream(Job::TYPE, &id.to_string(), 0, 1_000).await.expect("in memory");
        events.into_iter().map(|event| event.event_type).collect()
    }

    /// Every job that is there, the parent first, which is looked at last.
    async fn jobs(&self) -> Vec<JobId> {
        let log = self.memory.raw_read(DEFAULT_SHARD, 0, 10_000).await.expect("in memory");
        let jobs: BTreeSet<JobId> = log.iter().filter_map(|raw| raw.aggregate_id.parse().ok()).collect();
        let children = jobs.into_iter().filter(|id| *id != job());
        [job()].into_iter().chain(children).collect()
    }

    /// Somebody else acts on the job.
    async fn ask(&self, command: JobCommand) {
        let bus = CommandBus::new(Arc::clone(&self.memory) as Arc<dyn EventRepository>, None);
        let request = RequestId::from_uuid(derive(&["ask", command.name()]));
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), Still.now());
        bus.execute::<Job>(&job().to_string(), command, &metadata).await.expect("the job takes it");
    }
}

/// Three steps without effects, and one with.
fn three_and_an_effect(diary: &Diary) -> Workflow {
    let diary = diary.clone();
    Workflow::new("three", move |ctx: Context, (): ()| {
        let diary = diary.clone();
        async move {
            for number in 0..3 {
                let diary = diary.clone();
                let work = move |_| async move {
                    diary.note(format!("step {number}"));
                    Ok(number)
                };
                ctx.step("count", &RetryPolicy::once(), work).await?;
            }
            ctx.effect("act", &RetryPolicy::once(), |_| async move {
                diary.note("act");
                Ok(())
            })
            .await?;
            Ok("done")
        }
    })
}

#[tokio::test]
async fn steps_without_effects_run_ahead_of_the_store_and_an_effect_waits_for_it() {
    let diary = Diary::default();
    let stage = Stage::of(three_and_an_effect(&diary)).await;
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    assert_eq!(diary.read(), ["step 0", "step 1", "step 2"]);
    assert_eq!(stage.names(job()).await, ["JobCreated"]);
    stage.gate.send_replace(true);
    assert!(matches!(running.await, Activation::Settled { state: JobState::Completed, .. }));
    let steps = ["StepCompleted"; 3].to_vec();
    let all = [vec!["JobCreated", "JobStarted"], steps, vec!["StepStarted", "StepCompleted", "JobCompleted"]].concat();
    assert_eq!(stage.names(job()).await, all);
}

#[tokio::test]
async fn crash_before_the_results_are_written_does_the_steps_again_and_the_effect_once() {
    let diary = Diary::default();
    let stage = Stage::of(three_and_an_effect(&diary)).await;
    {
        let mut running = Box::pin(stage.run());
        stage.goes_as_far_as_it_can(&mut running).await;
    }
    stage.gate.send_replace(true);
    assert!(matches!(stage.run().await, Activation::Settled { state: JobState::Completed, .. }));
    let steps = ["step 0", "step 1", "step 2"];
    assert_eq!(diary.read(), [&steps[..], &steps[..], &["act"]].concat());
}

#[tokio::test]
async fn idempotent_step_begins_when_everything_before_it_is_durable() {
    let diary = Diary::default();
    let inner = diary.clone();
    let stage = Stage::of(Workflow::new("idempotent", move |ctx: Context, (): ()| {
        let diary = inner.clone();
        async move {
            ctx.step("first", &RetryPolicy::once(), |_| async { Ok(1) }).await?;
            let work = |_| async {
                diary.note("told");
                Ok(2)
            };
            ctx.idempotent("tell", &RetryPolicy::once(), work).await?;
            Ok(())
        }
    }))
    .await;
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    assert!(diary.read().is_empty());
    stage.gate.send_replace(true);
    assert!(matches!(running.await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(diary.read(), ["told"]);
}

#[tokio::test]
async fn child_is_made_when_what_led_to_it_is_durable() {
    let workflow = Workflow::new("parent", |ctx: Context, (): ()| async move {
        let number = ctx.step("choose", &RetryPolicy::once(), |_| async { Ok(7) }).await?;
        let same: u32 = ctx.child("child", number).await?;
        Ok(same)
    });
    let stage = Stage::of(workflow).await;
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    let child = JobId::from_uuid(derive(&["child", &job().to_string(), "1"]));
    assert!(stage.names(child).await.is_empty());
    stage.gate.send_replace(true);
    assert!(matches!(running.await, Activation::Waits { .. }));
    assert_eq!(stage.names(child).await, ["JobCreated"]);
    assert_eq!(stage.names(job()).await, ["JobCreated", "JobStarted", "StepCompleted", "ChildStarted"]);
}

/// Starts three children side by side, and a step beside them.
fn fans_out() -> Workflow {
    Workflow::new("fans out", |ctx: Context, (): ()| async move {
        let children = futures_util::future::try_join_all((1..=3).map(|number| ctx.child::<u32>("child", number)));
        let once = RetryPolicy::once();
        let beside = ctx.idempotent("beside", &once, |_| async { Ok(10) });
        let (children, beside) = futures_util::future::try_join(children, beside).await?;
        Ok(children.iter().sum::<u32>() + beside)
    })
}

#[tokio::test]
async fn crash_at_any_await_of_a_parent_leaves_no_child_unmade() {
    let run = |crash_after: Option<usize>| async move {
        let stage = Stage::of(fans_out()).await;
        stage.gate.send_replace(true);
        let (mut crash, mut waiting) = (Crash::after(crash_after), vec![job()]);
        while let Some(next) = waiting.pop() {
            let ended = crash.or_end(stage.runner.activate(next, provenance())).await;
            match ended.map(|ended| ended.expect("it runs")) {
                // After a crash everything that is there is looked at.
                None => waiting.extend(stage.jobs().await),
                Some(Activation::Settled { .. }) if next == job() => return (stage.names(job()).await, crash.polls),
                Some(Activation::Settled { .. }) => waiting.insert(0, job()),
                Some(Activation::Waits { started, .. }) => waiting.extend(started),
            }
        }
        panic!("the parent waits for children that nobody runs: {:?}", stage.names(job()).await);
    };
    let (history, polls) = run(None).await;
    assert_eq!(history.iter().filter(|name| *name == "ChildFinished").count(), 3);
    assert_eq!(history.last().map(String::as_str), Some("JobCompleted"));
    assert!(polls > 10, "{polls} polls");
    for crash_after in 0..polls {
        let (crashed, _) = run(Some(crash_after)).await;
        assert_eq!(crashed.iter().filter(|name| *name == "ChildFinished").count(), 3, "after {crash_after} polls");
    }
}

#[tokio::test]
async fn code_that_is_far_ahead_waits_for_the_store() {
    let runs = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&runs);
    let stage = Stage::of(Workflow::new("many", move |ctx: Context, (): ()| {
        let runs = Arc::clone(&inner);
        async move {
            for _ in 0..1_000 {
                let runs = Arc::clone(&runs);
                let work = move |_| async move {
                    runs.fetch_add(1, Ordering::AcqRel);
                    Ok(())
                };
                ctx.step("count", &RetryPolicy::once(), work).await?;
            }
            Ok(())
        }
    }))
    .await;
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    let ahead = runs.load(Ordering::Acquire);
    assert!((2..100).contains(&ahead), "{ahead} steps were ahead");
    stage.gate.send_replace(true);
    assert!(matches!(running.await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(runs.load(Ordering::Acquire), 1_000);
}

#[tokio::test]
async fn results_are_written_while_a_long_step_runs() {
    let (end, _) = watch::channel(false);
    let inner = end.clone();
    let stage = Stage::of(Workflow::new("long", move |ctx: Context, (): ()| {
        let end = inner.clone();
        async move {
            for _ in 0..2 {
                ctx.step("short", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
            }
            let work = |_| async move {
                let _ = end.subscribe().wait_for(|is_over| *is_over).await;
                Ok(())
            };
            ctx.step("long", &RetryPolicy::once(), work).await?;
            Ok(())
        }
    }))
    .await;
    stage.gate.send_replace(true);
    let looks = async {
        // The long step does not end before this sees what was written.
        let mut looks = 0;
        while stage.names(job()).await != ["JobCreated", "JobStarted", "StepCompleted", "StepCompleted"] {
            looks += 1;
            assert!(looks < 1_000, "the results are not written: {:?}", stage.names(job()).await);
            tokio::task::yield_now().await;
        }
        end.send_replace(true);
    };
    let (ended, ()) = tokio::join!(stage.run(), looks);
    assert!(matches!(ended, Activation::Settled { state: JobState::Completed, .. }));
}

#[tokio::test]
async fn pause_that_came_before_the_results_keeps_them_and_stops_the_effect() {
    let diary = Diary::default();
    let stage = Stage::of(three_and_an_effect(&diary)).await;
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    stage.ask(JobCommand::Pause { reason: "look".to_owned(), at: Still.now() }).await;
    stage.gate.send_replace(true);
    assert!(matches!(running.await, Activation::Settled { state: JobState::Paused, .. }));
    assert!(!diary.read().contains(&"act".to_owned()));
    let kept = ["JobCreated", "JobPaused", "StepCompleted", "StepCompleted", "StepCompleted"];
    assert_eq!(stage.names(job()).await, kept);
}

#[tokio::test]
async fn reset_of_a_job_that_runs_drops_what_it_does_meanwhile_and_runs_it_again_from_there() {
    let diary = Diary::default();
    let shut = watch::channel(false).0;
    let (inner, door) = (diary.clone(), shut.clone());
    let stage = Stage::of(Workflow::new("resets", move |ctx: Context, (): ()| {
        let (diary, door) = (inner.clone(), door.clone());
        async move {
            for name in ["first", "second"] {
                let diary = diary.clone();
                ctx.idempotent(name, &RetryPolicy::once(), |_| async move {
                    diary.note(name);
                    Ok(())
                })
                .await?;
            }
            let work = |_| async move {
                diary.note("third");
                let _ = door.subscribe().wait_for(|is_open| *is_open).await;
                Ok(())
            };
            ctx.step("third", &RetryPolicy::once(), work).await?;
            Ok(())
        }
    }))
    .await;
    stage.gate.send_replace(true);
    let mut running = Box::pin(stage.run());
    stage.goes_as_far_as_it_can(&mut running).await;
    stage.ask(JobCommand::Reset { index: 1, reason: "again".to_owned(), at: Still.now() }).await;
    shut.send_replace(true);
    assert!(matches!(running.await, Activation::Waits { .. }), "it is not over: it was taken back");
    assert!(matches!(stage.run().await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(diary.read(), ["first", "second", "third", "second", "third"]);
}
