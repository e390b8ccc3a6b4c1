//! Small workflows over histories that are written out, so that each test shows what the replay saw.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use domain::ids::{BotId, derive};
use domain::job::{Origin, Outcome, RetryPolicy};
use serde_json::json;

use super::super::{StepError, Workflow};
use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn created(name: &str) -> Vec<JobEvent> {
    let job_id = JobId::from_uuid(derive(&["job"]));
    let bot_id = BotId::from_uuid(derive(&["bot"]));
    let workflow = name.to_owned();
    let created =
        JobEvent::JobCreated { job_id, bot_id, workflow, input: Value::Null, origin: Origin::Person, at: at(0) };
    vec![created, JobEvent::JobStarted { at: at(0) }]
}

fn completed(index: u32, name: &str, result: Value) -> JobEvent {
    JobEvent::StepCompleted { index, name: name.to_owned(), attempt: 1, result, at: at(i64::from(index) + 1) }
}

fn slept(index: u32) -> [JobEvent; 2] {
    let set = JobEvent::TimerSet { index, fires_at: at(60), at: at(i64::from(index) + 1) };
    [set, JobEvent::TimerFired { index, at: at(60) }]
}

fn numbered(events: Vec<JobEvent>) -> Vec<(i64, JobEvent)> {
    (1..).zip(events).collect()
}

/// Two steps with a sleep between them; executing a step in a replay is a failure of the test.
fn two_steps() -> Registry {
    let code = |ctx: Context, (): ()| async move {
        let once = RetryPolicy::once();
        let first: u32 = ctx.step("one", &once, |_| async { panic!("a replay executes nothing") }).await?;
        ctx.sleep(Duration::from_secs(60)).await?;
        let second: u32 = ctx.effect("two", &once, |_| async { panic!("a replay executes nothing") }).await?;
        Ok(first + second)
    };
    Registry::default().with(Workflow::new("two_steps", code))
}

fn whole() -> Vec<JobEvent> {
    let mut events = created("two_steps");
    events.push(completed(0, "one", json!(1)));
    events.extend(slept(1));
    events.push(JobEvent::StepStarted { index: 2, name: "two".to_owned(), attempt: 1, at: at(61) });
    events.push(completed(2, "two", json!(2)));
    events.push(JobEvent::JobCompleted { result: json!(3), at: at(62) });
    events
}

fn of(registry: &Registry, events: Vec<JobEvent>) -> Replayed {
    replay(registry, &numbered(events)).expect("it is a history")
}

#[test]
fn every_beginning_of_a_history_fits_the_code_that_wrote_it() {
    let whole = whole();
    for length in 1..whole.len() {
        let replayed = of(&two_steps(), whole[..length].to_vec());
        let expected = match length {
            1 | 2 => "step one",
            3 => "sleep",
            4 => "",
            5 | 6 => "step two",
            _ => "ends",
        };
        match replayed.verdict {
            Verdict::Fits { reach: Reach::Open { next, .. } } if !next.is_empty() => assert_eq!(next[0].with, expected),
            Verdict::Fits { reach: Reach::Open { waits, .. } } => {
                assert_eq!((waits, length), (vec![Waiting::Time { until: at(60) }], 4));
            }
            Verdict::Fits { reach: Reach::Ends { how } } => assert_eq!(how, "completed with 3"),
            other => panic!("after {length} events: {other:?}"),
        }
    }
    let reach = Reach::Complete { how: "completed with 3".to_owned() };
    assert_eq!(of(&two_steps(), whole).verdict, Verdict::Fits { reach });
}

#[test]
fn unsettled_effect_is_what_the_code_goes_on_with() {
    let Verdict::Fits { reach: Reach::Open { next, .. } } = of(&two_steps(), whole()[..6].to_vec()).verdict else {
        panic!("it is open")
    };
    assert_eq!(next, [GoesOn { index: 2, with: "step two".to_owned(), attempt: 2 }]);
}

#[test]
fn parting_names_both_sides_and_the_event() {
    let mut events = whole();
    events[2] = completed(0, "first", json!(1));
    let Verdict::Diverges(parting) = of(&two_steps(), events).verdict else { panic!("it parts") };
    let expected =
        Parting { index: 0, sequence: Some(3), recorded: "step first".to_owned(), attempted: "step one".to_owned() };
    assert_eq!(parting, expected);
}

#[test]
fn history_that_goes_on_after_the_code_parts() {
    let mut events = whole();
    events.insert(7, completed(3, "three", json!(1)));
    let Verdict::Diverges(parting) = of(&two_steps(), events).verdict else { panic!("it parts") };
    assert_eq!((parting.index, parting.recorded.as_str()), (3, "step three"));
}

#[test]
fn code_that_goes_on_after_the_end_parts() {
    let mut events = created("two_steps");
    events.push(completed(0, "one", json!(1)));
    events.extend(slept(1));
    events.push(JobEvent::JobCompleted { result: json!(1), at: at(62) });
    let Verdict::Diverges(parting) = of(&two_steps(), events).verdict else { panic!("it parts") };
    assert_eq!((parting.index, parting.attempted.as_str()), (2, "step two"));
    assert_eq!(parting.recorded, "the end of the workflow: completed with 1");
}

#[test]
fn another_result_is_a_note_and_another_kind_of_end_parts() {
    let mut events = whole();
    events[7] = JobEvent::JobCompleted { result: json!(4), at: at(62) };
    let replayed = of(&two_steps(), events.clone());
    assert!(matches!(replayed.verdict, Verdict::Fits { .. }));
    assert_eq!(replayed.notes.len(), 1);
    events[7] = JobEvent::JobFailed { code: "X".to_owned(), message: String::new(), at: at(62) };
    assert!(matches!(of(&two_steps(), events).verdict, Verdict::Diverges(_)));
}

#[test]
fn result_of_another_shape_parts_where_the_code_gives_up() {
    let mut events = whole()[..6].to_vec();
    events[2] = completed(0, "one", json!("a text"));
    let Verdict::Diverges(parting) = of(&two_steps(), events).verdict else { panic!("it parts") };
    assert!(parting.attempted.contains("STEP_RESULT_SHAPE"), "{}", parting.attempted);
}

#[test]
fn pause_reset_and_an_earlier_divergence_are_taken_as_they_are() {
    let mut events = whole()[..4].to_vec();
    events.push(JobEvent::JobPaused { reason: String::new(), at: at(10) });
    let paused = of(&two_steps(), events.clone());
    assert_eq!(paused.state, JobState::Paused);
    assert!(matches!(paused.verdict, Verdict::Fits { reach: Reach::Open { .. } }));
    events.push(JobEvent::JobResumed { at: at(30) });
    let Verdict::Fits { reach: Reach::Open { waits, .. } } = of(&two_steps(), events).verdict else { panic!("open") };
    assert_eq!(waits, [Waiting::Time { until: at(80) }]);

    let mut events = whole();
    events[2] = completed(0, "first", json!(1));
    let (recorded, attempted) = ("step first".to_owned(), "step one".to_owned());
    events.truncate(5);
    events.push(JobEvent::JobDiverged { index: 0, recorded, attempted, at: at(70) });
    let replayed = of(&two_steps(), events.clone());
    assert_eq!((replayed.state, replayed.notes.len()), (JobState::NeedsAttention, 1));
    assert!(matches!(replayed.verdict, Verdict::Diverges(_)));
    events.push(JobEvent::JobReset { index: 0, reason: String::new(), at: at(80) });
    let Verdict::Fits { reach: Reach::Open { next, .. } } = of(&two_steps(), events).verdict else { panic!("open") };
    assert_eq!(next[0].with, "step one");
}

#[test]
fn fork_replays_what_it_inherited_with_the_randomness_and_the_time_of_the_original() {
    let code = |ctx: Context, (): ()| async move {
        let named = format!("{:.3} at {}", ctx.random(), ctx.now().await.timestamp());
        ctx.step(&named, &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        Ok(())
    };
    let registry = Registry::default().with(Workflow::new("chance", code));
    let Verdict::Fits { reach: Reach::Open { next, .. } } = of(&registry, created("chance")).verdict else {
        panic!("it is open")
    };
    let name = next[0].with.strip_prefix("step ").expect("it is a step");
    let original = created("chance");
    let from = JobId::from_uuid(derive(&["job"]));
    let job_id = JobId::from_uuid(derive(&["fork"]));
    let bot_id = BotId::from_uuid(derive(&["bot"]));
    let history = vec![original[1].clone(), completed(0, name, Value::Null)];
    let origin = Origin::Forked { job_id: from, index: 1 };
    let workflow = "chance".to_owned();
    let forked = vec![
        JobEvent::JobCreated { job_id, bot_id, workflow, input: Value::Null, origin, at: at(500) },
        JobEvent::JobForked { from, index: 1, history, at: at(500) },
        JobEvent::JobStarted { at: at(501) },
    ];
    let replayed = of(&registry, forked);
    assert!(matches!(replayed.verdict, Verdict::Fits { reach: Reach::Ends { .. } }), "{replayed:?}");
    assert_eq!(replayed.entries[0].sequence, 2);
}

#[test]
fn cancelled_job_replays_its_cleanup() {
    let code = |ctx: Context, (): ()| async move {
        let once = RetryPolicy::once();
        if ctx.sleep(Duration::from_secs(60)).await == Err(StepError::Cancelled) {
            ctx.cleanup().step("undo", &once, |_| async { Ok(()) }).await?;
        }
        ctx.step("never", &once, |_| async { Ok(()) }).await?;
        Ok(())
    };
    let registry = Registry::default().with(Workflow::new("cleans", code));
    let mut events = created("cleans");
    events.push(JobEvent::TimerSet { index: 0, fires_at: at(60), at: at(0) });
    events.push(JobEvent::JobCancelRequested { reason: String::new(), at: at(5) });
    let Verdict::Fits { reach: Reach::Open { next, .. } } = of(&registry, events.clone()).verdict else {
        panic!("its cleanup is open")
    };
    assert_eq!(next[0].with, "step undo");
    events.push(completed(1, "undo", Value::Null));
    events.push(JobEvent::JobCancelled { at: at(6) });
    let replayed = of(&registry, events);
    assert!(matches!(replayed.verdict, Verdict::Fits { reach: Reach::Complete { .. } }), "{replayed:?}");
}

#[test]
fn patch_in_an_ended_history_is_from_after_it() {
    let code = |ctx: Context, (): ()| async move {
        let once = RetryPolicy::once();
        ctx.step("one", &once, |_| async { Ok(()) }).await?;
        if ctx.patched("second-step").await {
            ctx.step("two", &once, |_| async { Ok(()) }).await?;
        }
        Ok(())
    };
    let registry = Registry::default().with(Workflow::new("grows", code));
    let mut events = created("grows");
    events.push(completed(0, "one", Value::Null));
    let Verdict::Fits { reach: Reach::Open { next, .. } } = of(&registry, events.clone()).verdict else {
        panic!("it goes on")
    };
    assert_eq!(next, [GoesOn { index: 2, with: "step two".to_owned(), attempt: 1 }]);
    events.push(JobEvent::JobCompleted { result: Value::Null, at: at(9) });
    assert!(matches!(of(&registry, events).verdict, Verdict::Fits { reach: Reach::Complete { .. } }));
}

#[test]
fn what_is_no_history_of_one_job_is_refused_with_its_place() {
    let registry = two_steps();
    assert_eq!(replay(&registry, &[]), Err(ReplayError::Empty));
    let mut gap = numbered(whole());
    gap.remove(3);
    assert!(matches!(replay(&registry, &gap), Err(ReplayError::NotAHistory { sequence: 5, .. })));
    let tail = &numbered(whole())[1..];
    assert!(matches!(replay(&registry, tail), Err(ReplayError::NotAHistory { sequence: 2, .. })));
    let unknown = numbered(created("of_tomorrow"));
    assert!(matches!(replay(&registry, &unknown), Err(ReplayError::UnknownWorkflow { .. })));
}

#[test]
fn code_that_panics_or_waits_for_the_world_is_an_error_of_its_own() {
    let panics = |_: Context, (): ()| async move { if at(0) == at(0) { panic!("oh") } else { Ok(()) } };
    let outside = |_: Context, (): ()| async move {
        std::future::pending::<()>().await;
        Ok(())
    };
    let restless = |_: Context, (): ()| async move {
        loop {
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it says what the workflow returns")]
        Ok(())
    };
    let registry = Registry::default()
        .with(Workflow::new("panics", panics))
        .with(Workflow::new("outside", outside))
        .with(Workflow::new("restless", restless));
    let error = |name| replay(&registry, &numbered(created(name))).expect_err("it cannot be replayed").code();
    assert_eq!(error("panics"), "REPLAY_PANICKED");
    assert_eq!(error("outside"), "REPLAY_OUTSIDE_WAIT");
    assert_eq!(error("restless"), "REPLAY_OUTSIDE_WAIT");
}

#[test]
fn child_and_signal_are_taken_from_the_history() {
    let code = |ctx: Context, (): ()| async move {
        let answer: Option<u32> = ctx.signal("answer", None).await?;
        let doubled: u32 = ctx.child("doubles", answer).await?;
        Ok(doubled)
    };
    let registry = Registry::default().with(Workflow::new("asks", code));
    let mut events = created("asks");
    events.push(JobEvent::SignalAwaited {
        index: 0,
        name: "answer".to_owned(),
        until: None,
        in_cleanup: false,
        at: at(1),
    });
    let Verdict::Fits { reach: Reach::Open { waits, .. } } = of(&registry, events.clone()).verdict else {
        panic!("it waits")
    };
    assert_eq!(waits, [Waiting::Signal { name: "answer".to_owned(), until: None }]);
    events.push(JobEvent::SignalReceived { name: "answer".to_owned(), payload: json!(21), at: at(2) });
    let child = JobId::from_uuid(derive(&["child"]));
    events.push(JobEvent::ChildStarted { index: 1, child, workflow: "doubles".to_owned(), at: at(3) });
    let outcome = Outcome::Completed { result: json!(42) };
    events.push(JobEvent::ChildFinished { index: 1, child, outcome, at: at(4) });
    let Verdict::Fits { reach: Reach::Ends { how } } = of(&registry, events).verdict else { panic!("it ends") };
    assert_eq!(how, "completed with 42");
}

/// Also a measurement: it prints what the replay of 100,000 events took.
#[test]
fn long_history_replays_in_time_that_grows_with_its_length() {
    let steps = 25_000;
    let turns = AtomicU32::new(0);
    let code = move |ctx: Context, (): ()| {
        turns.fetch_add(1, Ordering::Relaxed);
        async move {
            for _ in 0..steps {
                ctx.step("work", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
                let _: Option<Value> = ctx.signal("go", None).await?;
                ctx.now().await;
            }
            Ok(())
        }
    };
    let registry = Registry::default().with(Workflow::new("long", code));
    let mut events = created("long");
    for turn in 0..steps {
        let (index, name) = (turn * 2, "work".to_owned());
        events.push(JobEvent::StepStarted { index, name: name.clone(), attempt: 1, at: at(1) });
        events.push(completed(index, &name, Value::Null));
        events.push(JobEvent::SignalAwaited {
            index: index + 1,
            name: "go".to_owned(),
            until: None,
            in_cleanup: false,
            at: at(1),
        });
        events.push(JobEvent::SignalReceived { name: "go".to_owned(), payload: Value::Null, at: at(2) });
    }
    let history = numbered(events);
    let begun = Instant::now();
    let replayed = replay(&registry, &history).expect("it is a history");
    println!("{} events replayed in {:?}", history.len(), begun.elapsed());
    assert!(matches!(replayed.verdict, Verdict::Fits { reach: Reach::Ends { .. } }));
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn long_history_is_replayed_in_one_go_inside_a_task_too() {
    let code = |ctx: Context, count: u32| async move {
        for _ in 0..count {
            ctx.step("one", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        }
        Ok(())
    };
    let registry = Registry::default().with(Workflow::new("long", code));
    let mut events = created("long");
    let JobEvent::JobCreated { input, .. } = &mut events[0] else { unreachable!() };
    *input = json!(5_000);
    events.extend((0..5_000).map(|index| completed(index, "one", Value::Null)));
    let replayed = replay(&registry, &numbered(events)).expect("it is replayed");
    assert!(matches!(replayed.verdict, Verdict::Fits { reach: Reach::Ends { .. } }), "{:?}", replayed.verdict);
}
