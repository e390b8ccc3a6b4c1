//! The engine over the memory repository and a clock of the test's own.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, derive};
use domain::job::{Job, JobCommand, JobState, Origin, RetryPolicy, Wake};
use domain::metadata::{Actor, Metadata};
use serde_json::{Value, json};
use store::command_bus::CommandBus;
use store::repository::{EventRepository, MemoryRepository};
use uuid::Uuid;

use super::stream::Provenance;
use super::*;

/// Seconds since the epoch, moved by hand.
pub(super) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.load(Ordering::Acquire))
    }
}

#[derive(Default)]
pub(super) struct Counted(AtomicU64);

impl Entropy for Counted {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::AcqRel)) + 1)
    }

    fn unit(&self) -> f64 {
        0.0
    }
}

pub(super) struct Bench {
    pub(super) repository: Arc<MemoryRepository>,
    pub(super) clock: Arc<TestClock>,
    pub(super) runner: Runner,
    pub(super) bus: CommandBus,
}

pub(super) fn provenance() -> Provenance {
    let actor = Actor::Worker("test".to_owned());
    Provenance { actor, correlation_id: Uuid::nil(), causation_id: Uuid::nil(), held_epoch: None }
}

pub(super) fn job() -> JobId {
    JobId::from_uuid(derive(&["job"]))
}

/// Crashes once, after so many polls.
#[derive(Default)]
pub(super) struct Crash {
    after: Option<usize>,
    /// Polls so far.
    pub(super) polls: usize,
}

impl Crash {
    /// `None`: never.
    pub(super) fn after(polls: Option<usize>) -> Self {
        Self { after: polls, polls: 0 }
    }

    /// Polls `activation` to its end; `None`: it was dropped where it stood.
    pub(super) async fn or_end<T>(&mut self, activation: impl Future<Output = T>) -> Option<T> {
        let mut activation = Box::pin(activation);
        std::future::poll_fn(|task| {
            if self.after.is_some_and(|after| self.polls >= after) {
                self.after = None;
                return Poll::Ready(None);
            }
            self.polls += 1;
            activation.as_mut().poll(task).map(Some)
        })
        .await
    }
}

impl Bench {
    pub(super) fn new(workflows: Registry) -> Self {
        let repository = Arc::new(MemoryRepository::default());
        let clock = Arc::new(TestClock(AtomicI64::new(1_000)));
        let entropy = Arc::new(Counted(AtomicU64::new(0)));
        let dynamic: Arc<dyn EventRepository> = repository.clone();
        let bus = CommandBus::new(Arc::clone(&dynamic), None);
        let runner = Runner::new(dynamic, workflows, clock.clone(), entropy);
        Self { repository, clock, runner, bus }
    }

    pub(super) async fn create(&self, workflow: &str, input: Value) {
        let bot = BotId::from_uuid(derive(&["bot"]));
        let created = self.runner.create(job(), bot, workflow, input, Origin::Person, &provenance()).await;
        created.expect("the memory repository takes it");
    }

    pub(super) async fn activate(&self) -> Activation {
        self.runner.activate(job(), provenance()).await.expect("the job runs")
    }

    pub(super) async fn state(&self) -> JobState {
        self.bus.load::<Job>(&job().to_string()).await.expect("it is there").state.state()
    }

    pub(super) async fn ask(&self, command: JobCommand) {
        let request = RequestId::from_uuid(Uuid::now_v7_for_test());
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), self.clock.now());
        self.bus.execute::<Job>(&job().to_string(), command, &metadata).await.expect("the job takes it");
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::AcqRel);
    }

    pub(super) async fn history(&self) -> Vec<String> {
        let events = self.repository.stream(Job::TYPE, &job().to_string(), 0, 1_000).await.expect("in memory");
        events.into_iter().map(|event| event.event_type).collect()
    }
}

/// Ids of requests that only have to differ.
trait TestIds {
    fn now_v7_for_test() -> Uuid;
}

impl TestIds for Uuid {
    fn now_v7_for_test() -> Uuid {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
        Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::AcqRel)))
    }
}

/// Adds one, three times, and counts how often the work ran.
fn sums(runs: &Arc<AtomicU32>) -> Workflow {
    let runs = Arc::clone(runs);
    Workflow::new("sums", move |ctx: Context, start: u32| {
        let runs = Arc::clone(&runs);
        async move {
            let mut sum = start;
            for _ in 0..3 {
                let runs = Arc::clone(&runs);
                let work = move |_| async move {
                    runs.fetch_add(1, Ordering::AcqRel);
                    Ok(sum + 1)
                };
                sum = ctx.step("add", &RetryPolicy::once(), work).await?;
                ctx.sleep(Duration::from_secs(60)).await?;
            }
            Ok(sum)
        }
    })
}

#[tokio::test]
async fn job_runs_over_its_sleeps_and_executes_each_step_once() {
    let runs = Arc::new(AtomicU32::new(0));
    let bench = Bench::new(Registry::default().with(sums(&runs)));
    bench.create("sums", json!(4)).await;
    for _ in 0..3 {
        let Activation::Waits { wakes, .. } = bench.activate().await else { panic!("it sleeps") };
        assert_eq!(wakes, [Wake::At(bench.clock.now() + TimeDelta::seconds(60))]);
        bench.advance(60);
    }
    let done = Activation::Settled { state: JobState::Completed, started: Vec::new() };
    assert_eq!(bench.activate().await, done);
    assert_eq!(runs.load(Ordering::Acquire), 3);
    let result = bench.repository.stream(Job::TYPE, &job().to_string(), 0, 1_000).await.expect("in memory");
    assert_eq!(result.last().map(|event| event.payload["result"].clone()), Some(json!(7)));
}

#[tokio::test]
async fn activation_before_the_timer_is_due_changes_nothing() {
    let runs = Arc::new(AtomicU32::new(0));
    let bench = Bench::new(Registry::default().with(sums(&runs)));
    bench.create("sums", json!(0)).await;
    bench.activate().await;
    let before = bench.history().await;
    bench.activate().await;
    assert_eq!(bench.history().await, before);
}

#[tokio::test]
async fn crash_at_any_await_ends_with_the_same_result_and_events() {
    let run = |crash_after: Option<usize>| async move {
        let runs = Arc::new(AtomicU32::new(0));
        let bench = Bench::new(Registry::default().with(sums(&runs)));
        bench.create("sums", json!(0)).await;
        let mut crash = Crash::after(crash_after);
        for _ in 0..50 {
            let ended = crash.or_end(bench.runner.activate(job(), provenance())).await;
            match ended {
                Some(Ok(Activation::Settled { state, .. })) => return (state, bench.history().await, crash.polls),
                Some(Ok(Activation::Waits { .. })) => bench.advance(60),
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        panic!("the job does not end");
    };
    let (state, history, polls) = run(None).await;
    assert_eq!(state, JobState::Completed);
    for crash_after in 0..polls {
        let (crashed_state, crashed_history, _) = run(Some(crash_after)).await;
        assert_eq!((crashed_state, crashed_history), (state, history.clone()), "after {crash_after} polls");
    }
}

fn waits_for_go() -> Workflow {
    Workflow::new("waits", |ctx: Context, (): ()| async move {
        let until = ctx.now().await + TimeDelta::seconds(100);
        let got: Option<String> = ctx.signal("go", Some(until)).await?;
        Ok(got.unwrap_or_else(|| "nobody".to_owned()))
    })
}

#[tokio::test]
async fn signal_wakes_the_job_and_its_payload_is_the_result() {
    let bench = Bench::new(Registry::default().with(waits_for_go()));
    bench.create("waits", Value::Null).await;
    assert!(matches!(bench.activate().await, Activation::Waits { .. }));
    let at = bench.clock.now();
    bench.ask(JobCommand::Signal { name: "go".to_owned(), payload: json!("somebody"), at }).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
}

#[tokio::test]
async fn wait_for_a_signal_times_out_in_engine_time() {
    let bench = Bench::new(Registry::default().with(waits_for_go()));
    bench.create("waits", Value::Null).await;
    bench.activate().await;
    bench.advance(100);
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
    assert!(bench.history().await.contains(&"SignalTimedOut".to_owned()));
}

#[tokio::test]
async fn failing_step_is_retried_by_its_policy_and_then_fails_the_job() {
    let workflow = Workflow::new("fails", |ctx: Context, (): ()| async move {
        let policy = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
        ctx.step::<(), _, _>("call", &policy, |_| async { Err(StepError::failed("DOWN", "no answer")) }).await?;
        Ok(())
    });
    let bench = Bench::new(Registry::default().with(workflow));
    bench.create("fails", Value::Null).await;
    assert!(matches!(bench.activate().await, Activation::Waits { .. }));
    bench.advance(5);
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Failed, .. }));
    assert_eq!(bench.history().await.iter().filter(|name| *name == "StepFailed").count(), 2);
}

#[tokio::test]
async fn code_that_no_longer_fits_its_history_stops_the_job_and_says_so() {
    let runs = Arc::new(AtomicU32::new(0));
    let bench = Bench::new(Registry::default().with(sums(&runs)));
    bench.create("sums", json!(0)).await;
    bench.activate().await;
    let renamed = Workflow::new("sums", |ctx: Context, start: u32| async move {
        ctx.step("sum", &RetryPolicy::once(), |_| async move { Ok(start) }).await?;
        Ok(())
    });
    let dynamic: Arc<dyn EventRepository> = bench.repository.clone();
    let entropy = Arc::new(Counted(AtomicU64::new(1 << 20)));
    let newer = Runner::new(dynamic, Registry::default().with(renamed), bench.clock.clone(), entropy);
    let ended = newer.activate(job(), provenance()).await.expect("it is written");
    assert_eq!(ended, Activation::Settled { state: JobState::NeedsAttention, started: Vec::new() });
    let last = bench.repository.stream(Job::TYPE, &job().to_string(), 0, 1_000).await.expect("in memory").pop();
    let payload = last.expect("it has events").payload;
    assert_eq!((&payload["recorded"], &payload["attempted"]), (&json!("step add"), &json!("step sum")));
}

#[tokio::test]
async fn pause_during_a_step_keeps_its_result_and_stops_before_the_next() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let entered = Arc::new(tokio::sync::Notify::new());
    let (inner_gate, inner_entered) = (Arc::clone(&gate), Arc::clone(&entered));
    let workflow = Workflow::new("two", move |ctx: Context, (): ()| {
        let (gate, entered) = (Arc::clone(&inner_gate), Arc::clone(&inner_entered));
        async move {
            ctx.step("first", &RetryPolicy::once(), |_| async move {
                entered.notify_one();
                gate.acquire().await.map_err(|error| StepError::failed("CLOSED", error.to_string()))?.forget();
                Ok(1)
            })
            .await?;
            ctx.step("second", &RetryPolicy::once(), |_| async { Ok(2) }).await?;
            Ok(())
        }
    });
    let bench = Bench::new(Registry::default().with(workflow));
    bench.create("two", Value::Null).await;
    let outside = async {
        entered.notified().await;
        bench.ask(JobCommand::Pause { reason: "look".to_owned(), at: bench.clock.now() }).await;
        gate.add_permits(1);
    };
    let (ended, ()) = tokio::join!(bench.activate(), outside);
    assert_eq!(ended, Activation::Settled { state: JobState::Paused, started: Vec::new() });
    // The start is written with the first result, and the pause came before that.
    assert_eq!(bench.history().await, ["JobCreated", "JobPaused", "StepCompleted"]);
    bench.ask(JobCommand::Resume { at: bench.clock.now() }).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
}

#[tokio::test]
async fn cancelled_job_runs_its_cleanup_and_nothing_else() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&done);
    let workflow = Workflow::new("cleans", move |ctx: Context, (): ()| {
        let log = Arc::clone(&log);
        async move {
            let say = |what: &'static str| {
                let log = Arc::clone(&log);
                move |_| async move {
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(what);
                    Ok(())
                }
            };
            let slept = ctx.sleep(Duration::from_secs(600)).await;
            if slept == Err(StepError::Cancelled) {
                ctx.cleanup().step("undo", &RetryPolicy::once(), say("undo")).await?;
            }
            ctx.step("never", &RetryPolicy::once(), say("never")).await?;
            Ok(())
        }
    });
    let bench = Bench::new(Registry::default().with(workflow));
    bench.create("cleans", Value::Null).await;
    bench.activate().await;
    bench.ask(JobCommand::RequestCancel { reason: "enough".to_owned(), at: bench.clock.now() }).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Cancelled, .. }));
    assert_eq!(*done.lock().unwrap_or_else(PoisonError::into_inner), ["undo"]);
}

#[tokio::test]
async fn unsettled_effect_is_told_to_the_next_attempt() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let workflow = Workflow::new("effect", move |ctx: Context, (): ()| {
        let log = Arc::clone(&log);
        async move {
            ctx.effect("write", &RetryPolicy::once(), |step: StepContext| async move {
                log.lock().unwrap_or_else(PoisonError::into_inner).push((step.attempt, step.unsettled));
                if step.attempt == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
            .await?;
            Ok(())
        }
    });
    let bench = Bench::new(Registry::default().with(workflow));
    bench.create("effect", Value::Null).await;
    {
        let mut crashed = Box::pin(bench.runner.activate(job(), provenance()));
        assert!(std::future::poll_fn(|task| Poll::Ready(crashed.as_mut().poll(task).is_pending())).await);
    }
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(*seen.lock().unwrap_or_else(PoisonError::into_inner), [(1, false), (2, true)]);
}

#[tokio::test]
async fn child_starts_once_and_its_end_goes_to_the_parent() {
    let parent = Workflow::new("parent", |ctx: Context, (): ()| async move {
        let doubled: u32 = ctx.child("doubles", 21).await?;
        Ok(doubled)
    });
    let child = Workflow::new("doubles", |_: Context, number: u32| async move { Ok(number * 2) });
    let bench = Bench::new(Registry::default().with(parent).with(child));
    bench.create("parent", Value::Null).await;
    let Activation::Waits { started, .. } = bench.activate().await else { panic!("it waits for its child") };
    let [child] = started[..] else { panic!("one child") };
    let ended = bench.runner.activate(child, provenance()).await.expect("it runs");
    assert!(matches!(ended, Activation::Settled { state: JobState::Completed, .. }));
    let outcome = domain::job::Outcome::Completed { result: json!(42) };
    bench.ask(JobCommand::FinishChild { index: 0, outcome, at: bench.clock.now() }).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(bench.state().await, JobState::Completed);
}

#[tokio::test]
async fn long_loop_continues_as_new_with_its_input() {
    let workflow = Workflow::new("loops", |ctx: Context, left: u32| async move {
        if left == 0 { Ok(0) } else { ctx.continue_as_new(left - 1) }
    });
    let bench = Bench::new(Registry::default().with(workflow));
    bench.create("loops", json!(2)).await;
    let mut current = job();
    let mut runs = 0;
    loop {
        runs += 1;
        let ended = bench.runner.activate(current, provenance()).await.expect("it runs");
        let Activation::Settled { started, .. } = ended else { panic!("it never waits") };
        let Some(next) = started.first() else { break };
        current = *next;
    }
    assert_eq!(runs, 3);
}

/// Counts down, one step for each number, and keeps only the number.
fn countdown() -> Workflow {
    Workflow::new("countdown", |ctx: Context, from: u32| async move {
        for left in (1..=from).rev() {
            ctx.safe_point(|| left).await?;
            ctx.step("count", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        }
        Ok("zero")
    })
}

#[tokio::test]
async fn long_history_goes_on_as_a_new_job_at_a_safe_point() {
    let bench = Bench::new(Registry::default().with(countdown()));
    let runner = bench.runner.clone().with_history_limit(10);
    bench.create("countdown", json!(25)).await;
    let (mut current, mut lengths) = (job(), Vec::new());
    loop {
        let ended = runner.activate(current, provenance()).await.expect("it runs");
        let Activation::Settled { started, state } = ended else { panic!("it never waits") };
        let events = bench.repository.stream(Job::TYPE, &current.to_string(), 0, 100).await.expect("in memory");
        lengths.push(events.len());
        let Some(next) = started.first() else {
            assert_eq!(state, JobState::Completed);
            break;
        };
        assert_eq!(state, JobState::Continued);
        current = *next;
    }
    // Created, started, eight steps, and that it goes on; the last has one step left.
    assert_eq!(lengths, [11, 11, 11, 4]);
}

#[tokio::test]
async fn crash_at_any_await_of_a_job_that_continues_as_new_ends_in_the_same_jobs() {
    let run = |crash_after: Option<usize>| async move {
        let bench = Bench::new(Registry::default().with(countdown()));
        let runner = bench.runner.clone().with_history_limit(6);
        bench.create("countdown", json!(9)).await;
        let (mut current, mut crash, mut histories) = (job(), Crash::after(crash_after), Vec::new());
        loop {
            let ended = crash.or_end(runner.activate(current, provenance())).await;
            let Some(ended) = ended else { continue };
            let Activation::Settled { started, state } = ended.expect("it runs") else { panic!("it never waits") };
            let events = bench.repository.stream(Job::TYPE, &current.to_string(), 0, 100).await.expect("in memory");
            histories.push((state, events.into_iter().map(|event| event.event_type).collect::<Vec<_>>()));
            let Some(next) = started.first() else { return (histories, crash.polls) };
            current = *next;
        }
    };
    let (histories, polls) = run(None).await;
    assert_eq!(histories.len(), 3);
    for crash_after in 0..polls {
        assert_eq!(run(Some(crash_after)).await.0, histories, "after {crash_after} polls");
    }
}

#[tokio::test]
async fn history_that_grows_without_a_safe_point_ends_its_job() {
    let workflow = Workflow::new("grows", |ctx: Context, (): ()| async move {
        loop {
            ctx.step("again", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        }
        #[expect(unreachable_code, reason = "it says what the workflow's result would be")]
        Ok(())
    });
    let bench = Bench::new(Registry::default().with(workflow));
    let runner = bench.runner.clone().with_history_limit(10);
    bench.create("grows", Value::Null).await;
    let ended = runner.activate(job(), provenance()).await.expect("it is written");
    assert!(matches!(ended, Activation::Settled { state: JobState::Failed, .. }));
    let last = bench.repository.stream(Job::TYPE, &job().to_string(), 0, 100).await.expect("in memory").pop();
    assert_eq!(last.expect("it has events").payload["code"], "JOB_HISTORY_TOO_LONG");
}
