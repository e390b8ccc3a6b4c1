//! What a parent's end, its cancellation and a reset do to its children, and what cleanup hears.

use std::time::Duration;

use cqrs_es::Aggregate;
use domain::clock::Clock;

use domain::ids::JobId;
use domain::job::{Job, JobCommand, JobState, Outcome, RetryPolicy};
use serde_json::{Value, json};
use store::repository::EventRepository;

use super::tests::{Bench, job, provenance};
use super::*;

/// Starts a sleeper, and when it is cancelled meanwhile, asks for a word before it ends.
fn parent() -> Workflow {
    Workflow::new("parent", |ctx: Context, (): ()| async move {
        match ctx.child::<u32>("sleeper", 7).await {
            Err(StepError::Cancelled) => {
                let cleanup = ctx.cleanup();
                cleanup.step("begin to clean up", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
                let word: Option<Value> = cleanup.signal("word", None).await?;
                cleanup.step("end of cleanup", &RetryPolicy::once(), |_| async { Ok(word) }).await?;
                Err(WorkflowError::Cancelled)
            }
            ended => Ok(ended?),
        }
    })
}

fn sleeper() -> Workflow {
    Workflow::new("sleeper", |ctx: Context, number: u32| async move {
        ctx.sleep(Duration::from_secs(600)).await?;
        Ok(number)
    })
}

/// Waits for a word, and after a cancellation for another.
fn listener() -> Workflow {
    Workflow::new("listener", |ctx: Context, (): ()| async move {
        let heard: Result<Option<Value>, StepError> = ctx.signal("word", None).await;
        if heard == Err(StepError::Cancelled) {
            let last: Option<Value> = ctx.cleanup().signal("word", None).await?;
            ctx.cleanup().step("say", &RetryPolicy::once(), |_| async { Ok(last) }).await?;
        }
        heard?;
        Ok(())
    })
}

fn bench() -> Bench {
    Bench::new(Registry::default().with(parent()).with(sleeper()).with(listener()))
}

async fn with_child() -> (Bench, JobId) {
    let bench = bench();
    bench.create("parent", Value::Null).await;
    let Activation::Waits { started, .. } = bench.activate().await else { panic!("it waits for its child") };
    let [child] = started[..] else { panic!("one child") };
    run(&bench, child).await;
    (bench, child)
}

async fn run(bench: &Bench, id: JobId) -> Activation {
    bench.runner.activate(id, provenance()).await.expect("it runs")
}

async fn state(bench: &Bench, id: JobId) -> JobState {
    bench.bus.load::<Job>(&id.to_string()).await.expect("it loads").state.state()
}

fn cancel(bench: &Bench) -> JobCommand {
    JobCommand::RequestCancel { reason: "enough".to_owned(), at: bench.clock.now() }
}

fn word(bench: &Bench, payload: Value) -> JobCommand {
    JobCommand::Signal { name: "word".to_owned(), payload, at: bench.clock.now() }
}

#[tokio::test]
async fn cancelled_parent_asks_its_child_to_end_and_its_cleanup_goes_on_over_the_end_of_the_child() {
    let (bench, child) = with_child().await;
    bench.ask(cancel(&bench)).await;
    assert!(matches!(bench.activate().await, Activation::Waits { .. }), "cleanup waits for a word");
    assert_eq!(state(&bench, child).await, JobState::Cancelling);
    assert!(matches!(run(&bench, child).await, Activation::Settled { state: JobState::Cancelled, .. }));
    // The end of the child comes into the journal, and the replay takes the way of the cancellation all the same.
    assert!(matches!(bench.activate().await, Activation::Waits { .. }));
    assert!(bench.history().await.contains(&"ChildFinished".to_owned()));
    bench.ask(word(&bench, json!("go"))).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Cancelled, .. }));
}

#[tokio::test]
async fn signal_that_comes_after_the_cancellation_is_for_cleanup() {
    let bench = bench();
    bench.create("listener", Value::Null).await;
    bench.activate().await;
    bench.ask(cancel(&bench)).await;
    bench.activate().await;
    bench.ask(word(&bench, json!("late"))).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Cancelled, .. }));
    let events = bench.repository.stream(Job::TYPE, &job().to_string(), 0, 100).await.expect("in memory");
    let said = events.iter().find(|event| event.event_type == "StepCompleted").expect("cleanup said it");
    assert_eq!(said.payload["result"], json!("late"));
}

#[tokio::test]
async fn child_of_a_parent_that_was_ended_at_once_is_asked_to_end() {
    let (bench, child) = with_child().await;
    bench.ask(JobCommand::Terminate { reason: "now".to_owned(), at: bench.clock.now() }).await;
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Terminated, .. }));
    assert_eq!(state(&bench, child).await, JobState::Cancelling);
}

#[tokio::test]
async fn child_that_is_taken_over_ends_when_its_parent_was_ended_and_could_not_ask() {
    let (bench, child) = with_child().await;
    bench.ask(JobCommand::Terminate { reason: "now".to_owned(), at: bench.clock.now() }).await;
    assert!(matches!(run(&bench, child).await, Activation::Settled { state: JobState::Cancelled, .. }));
}

#[tokio::test]
async fn reset_before_a_child_ends_it_and_starts_another() {
    let (bench, child) = with_child().await;
    bench.ask(JobCommand::Reset { index: 0, reason: "again".to_owned(), at: bench.clock.now() }).await;
    let Activation::Waits { started, .. } = bench.activate().await else { panic!("it waits for its new child") };
    let [second] = started[..] else { panic!("one child") };
    assert_ne!(second, child);
    assert_eq!(state(&bench, child).await, JobState::Cancelling);
    run(&bench, second).await;
    bench.advance(600);
    run(&bench, second).await;
    let done = bench.activate().await;
    assert!(matches!(done, Activation::Settled { state: JobState::Completed, .. }), "{done:?}");
    let outcome = Outcome::Completed { result: json!(7) };
    let events = bench.repository.stream(Job::TYPE, &job().to_string(), 0, 100).await.expect("in memory");
    let ends: Vec<_> = events.iter().filter(|event| event.event_type == "ChildFinished").collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].payload["outcome"], serde_json::to_value(outcome).expect("it is JSON"));
}

#[tokio::test]
async fn parent_that_is_over_leaves_no_child_behind() {
    let gives_up = Workflow::new("gives up", |ctx: Context, (): ()| async move {
        let child = std::pin::pin!(ctx.child::<u32>("sleeper", 7));
        let patience = std::pin::pin!(ctx.sleep(Duration::from_secs(5)));
        match futures_util::future::select(child, patience).await {
            futures_util::future::Either::Left((ended, _)) => Ok(ended?),
            futures_util::future::Either::Right((slept, _)) => {
                slept?;
                Ok(0)
            }
        }
    });
    let bench = Bench::new(Registry::default().with(gives_up).with(sleeper()));
    bench.create("gives up", Value::Null).await;
    let Activation::Waits { started, .. } = bench.activate().await else { panic!("it waits") };
    run(&bench, started[0]).await;
    bench.advance(5);
    assert!(matches!(bench.activate().await, Activation::Settled { state: JobState::Completed, .. }));
    assert_eq!(state(&bench, started[0]).await, JobState::Cancelling);
}
