//! Given, when, then; the journal; properties of a replay.

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::decide::{Decide, fold};
use crate::ids::{BotId, JobId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn id() -> JobId {
    JobId::from_uuid(Uuid::from_u128(7))
}

fn bot() -> BotId {
    BotId::from_uuid(Uuid::from_u128(3))
}

fn created() -> JobEvent {
    JobEvent::JobCreated {
        job_id: id(),
        bot_id: bot(),
        workflow: "greet".to_owned(),
        input: Value::Null,
        origin: Origin::Person,
        at: at(0),
    }
}

fn started() -> JobEvent {
    JobEvent::JobStarted { at: at(1) }
}

fn completed(index: u32) -> JobEvent {
    JobEvent::StepCompleted { index, name: "work".to_owned(), attempt: 1, result: json!(index), at: at(2) }
}

fn complete_step(index: u32, result: Value) -> JobCommand {
    JobCommand::CompleteStep { index, name: "work".to_owned(), result, at: at(2) }
}

fn when(given: Vec<JobEvent>, command: JobCommand) -> Result<Vec<JobEvent>, JobError> {
    fold(Job::default(), given).decide(command)
}

#[test]
fn recorded_step_is_returned_and_not_executed_again() {
    let job = fold(Job::default(), [created(), started(), completed(0)]);
    assert_eq!(job.journal().step(0, "work", at(9)), Next::Recorded(Ok(json!(0))));
    assert_eq!(job.journal().step(1, "work", at(9)), Next::Execute { attempt: 1, unsettled: false });
}

#[test]
fn step_of_another_name_is_a_divergence_that_names_both_sides() {
    let job = fold(Job::default(), [created(), started(), completed(0)]);
    let expected = Divergence { index: 0, recorded: "step work".to_owned(), attempted: "step other".to_owned() };
    assert_eq!(job.journal().step(0, "other", at(9)), Next::Diverged(expected.clone()));
    TestFramework::<Job>::with(())
        .given(vec![created(), started(), completed(0)])
        .when(JobCommand::Diverge { divergence: expected, at: at(3) })
        .then_expect_events(vec![JobEvent::JobDiverged {
            index: 0,
            recorded: "step work".to_owned(),
            attempted: "step other".to_owned(),
            at: at(3),
        }]);
}

#[test]
fn sleep_in_place_of_a_step_is_a_divergence() {
    let job = fold(Job::default(), [created(), started(), completed(0)]);
    assert!(matches!(job.journal().timer(0), Next::Diverged(_)));
}

#[test]
fn code_that_ends_before_its_history_is_a_divergence() {
    let job = fold(Job::default(), [created(), started(), completed(0), completed(1)]);
    assert_eq!(job.journal().left_over(2), None);
    assert_eq!(job.journal().left_over(1).map(|found| found.recorded), Some("step work".to_owned()));
}

#[test]
fn diverged_job_needs_attention_and_runs_nothing() {
    let diverged = JobEvent::JobDiverged { index: 0, recorded: "a".into(), attempted: "b".into(), at: at(3) };
    let given = vec![created(), started(), diverged];
    assert_eq!(fold(Job::default(), given.clone()).state(), JobState::NeedsAttention);
    let refused = when(given, complete_step(0, Value::Null));
    let state = JobState::NeedsAttention;
    assert_eq!(refused, Err(JobError::NotAllowed { command: "CompleteStep", state }));
}

#[test]
fn failed_step_waits_for_its_retry_and_counts_attempts() {
    let failed = JobEvent::StepFailed {
        index: 0,
        name: "work".to_owned(),
        attempt: 1,
        code: "X".to_owned(),
        message: "m".to_owned(),
        retry_at: Some(at(10)),
        at: at(2),
    };
    let job = fold(Job::default(), [created(), started(), failed]);
    assert_eq!(job.journal().step(0, "work", at(9)), Next::Wait(Wake::At(at(10))));
    assert_eq!(job.journal().step(0, "work", at(10)), Next::Execute { attempt: 2, unsettled: false });
    assert_eq!(job.journal().next_due(), Some(at(10)));
}

#[test]
fn begun_step_without_an_end_is_unsettled_and_keeps_its_attempt() {
    let begun = JobEvent::StepStarted { index: 0, name: "work".to_owned(), attempt: 1, at: at(2) };
    let given = vec![created(), started(), begun];
    let job = fold(Job::default(), given.clone());
    assert_eq!(job.journal().step(0, "work", at(9)), Next::Execute { attempt: 2, unsettled: true });
    assert_eq!(when(given, complete_step(0, json!(0))), Ok(vec![completed(0)]));
}

#[test]
fn step_that_ends_during_a_pause_is_recorded() {
    let paused = JobEvent::JobPaused { reason: "wait".to_owned(), at: at(2) };
    assert_eq!(when(vec![created(), started(), paused], complete_step(0, json!(0))), Ok(vec![completed(0)]));
}

#[test]
fn timers_stop_while_the_job_is_paused() {
    let job = fold(
        Job::default(),
        [
            created(),
            started(),
            JobEvent::TimerSet { index: 0, fires_at: at(100), at: at(2) },
            JobEvent::JobPaused { reason: "wait".to_owned(), at: at(50) },
            JobEvent::JobResumed { at: at(80) },
        ],
    );
    assert_eq!(job.journal().next_due(), Some(at(130)));
    assert_eq!(job.state(), JobState::Running);
}

#[test]
fn timer_fires_when_due_and_once() {
    let set = JobEvent::TimerSet { index: 0, fires_at: at(100), at: at(2) };
    let given = vec![created(), started(), set];
    assert!(when(given.clone(), JobCommand::FireTimer { index: 0, at: at(99) }).is_err());
    let fired = when(given.clone(), JobCommand::FireTimer { index: 0, at: at(100) }).expect("it is due");
    let after = [given, fired].concat();
    assert!(when(after, JobCommand::FireTimer { index: 0, at: at(101) }).is_err());
}

#[test]
fn each_wait_takes_the_next_signal_of_its_name() {
    let signal = |payload: u32| JobEvent::SignalReceived { name: "go".to_owned(), payload: json!(payload), at: at(5) };
    let awaited = |index, name: &str| JobEvent::SignalAwaited {
        index,
        name: name.to_owned(),
        until: None,
        in_cleanup: false,
        at: at(4),
    };
    let job = fold(
        Job::default(),
        [created(), started(), awaited(0, "go"), awaited(1, "go"), signal(1), signal(2), awaited(2, "go")],
    );
    assert_eq!(job.journal().signal(0, "go"), Next::Recorded(Some(json!(1))));
    assert_eq!(job.journal().signal(1, "go"), Next::Recorded(Some(json!(2))));
    let wait = Wake::Signal { name: "go".to_owned(), until: None };
    assert_eq!(job.journal().signal(2, "go"), Next::Wait(wait));
}

#[test]
fn wait_that_timed_out_leaves_the_signal_to_the_next() {
    let job = fold(
        Job::default(),
        [
            created(),
            started(),
            JobEvent::SignalAwaited {
                index: 0,
                name: "go".to_owned(),
                until: Some(at(5)),
                in_cleanup: false,
                at: at(2),
            },
            JobEvent::SignalTimedOut { index: 0, at: at(5) },
            JobEvent::SignalAwaited { index: 1, name: "go".to_owned(), until: None, in_cleanup: false, at: at(6) },
            JobEvent::SignalReceived { name: "go".to_owned(), payload: json!(1), at: at(7) },
        ],
    );
    assert_eq!(job.journal().signal(0, "go"), Next::Recorded(None));
    assert_eq!(job.journal().signal(1, "go"), Next::Recorded(Some(json!(1))));
}

#[test]
fn old_history_keeps_the_old_path_and_new_ones_take_the_patch() {
    let old = fold(Job::default(), [created(), started(), completed(0)]);
    assert_eq!(old.journal().patched(0, "faster"), Next::Recorded(false));
    assert!(!old.journal().has_mark(0, "faster"));
    let fresh = fold(Job::default(), [created(), started()]);
    assert_eq!(fresh.journal().patched(0, "faster"), Next::Execute { attempt: 1, unsettled: false });
    let mark = JobEvent::PatchMarked { index: 0, patch: "faster".to_owned(), at: at(2) };
    let marked = fold(Job::default(), [created(), started(), mark]);
    assert_eq!(marked.journal().patched(0, "faster"), Next::Recorded(true));
    assert!(marked.journal().has_mark(0, "faster"));
}

fn awaited(index: u32, in_cleanup: bool) -> JobEvent {
    JobEvent::SignalAwaited { index, name: "go".to_owned(), until: None, in_cleanup, at: at(2) }
}

fn received(payload: &str) -> JobEvent {
    JobEvent::SignalReceived { name: "go".to_owned(), payload: json!(payload), at: at(3) }
}

fn cancel_requested() -> JobEvent {
    JobEvent::JobCancelRequested { reason: "enough".to_owned(), at: at(4) }
}

#[test]
fn signal_after_the_cancellation_goes_to_cleanup_and_not_to_the_wait_that_the_cancellation_ended() {
    let before = [created(), started(), awaited(0, false), awaited(1, true), received("in time")];
    let after = [cancel_requested(), received("late"), awaited(2, true), received("later")];
    let job = fold(Job::default(), before.into_iter().chain(after));
    assert_eq!(job.journal().signal(0, "go"), Next::Recorded(Some(json!("in time"))));
    assert_eq!(job.journal().signal(1, "go"), Next::Recorded(Some(json!("late"))));
    assert_eq!(job.journal().signal(2, "go"), Next::Recorded(Some(json!("later"))));
    let job = fold(Job::default(), [created(), started(), awaited(0, false), cancel_requested(), received("late")]);
    assert!(matches!(job.journal().signal(0, "go"), Next::Wait(_)));
}

#[test]
fn wait_that_meets_its_cancellation_takes_only_what_had_come() {
    let given = [created(), started(), received("in time"), cancel_requested(), awaited(0, false), awaited(1, false)];
    let job = fold(Job::default(), given.into_iter().chain([received("late")]));
    assert_eq!(job.journal().signal(0, "go"), Next::Recorded(Some(json!("in time"))));
    assert!(matches!(job.journal().signal(1, "go"), Next::Wait(_)));
}

#[test]
fn end_of_a_child_after_the_cancellation_is_late() {
    let child = JobId::from_uuid(Uuid::from_u128(9));
    let begun = |index| JobEvent::ChildStarted { index, child, workflow: "other".to_owned(), at: at(2) };
    let ended = |index| JobEvent::ChildFinished { index, child, outcome: Outcome::Cancelled, at: at(5) };
    let given = [created(), started(), begun(0), begun(1), ended(0), cancel_requested(), ended(1)];
    let job = fold(Job::default(), given);
    assert!(!job.journal().came_late(0));
    assert!(job.journal().came_late(1));
}

#[test]
fn reset_of_a_cancelled_job_opens_its_waits_again_and_drops_its_children() {
    let child = JobId::from_uuid(Uuid::from_u128(9));
    let begun = JobEvent::ChildStarted { index: 1, child, workflow: "other".to_owned(), at: at(2) };
    let cancelled = JobEvent::JobCancelled { at: at(5) };
    let given = vec![created(), started(), awaited(0, false), begun, cancel_requested(), received("late"), cancelled];
    let reset = when(given.clone(), JobCommand::Reset { index: 1, reason: "again".to_owned(), at: at(9) });
    let job = fold(Job::default(), [given, reset.expect("the child is there")].concat());
    assert_eq!(job.journal().signal(0, "go"), Next::Recorded(Some(json!("late"))));
    assert_eq!(job.journal().dropped().collect::<Vec<_>>(), [child]);
    assert_eq!(job.resets(), 1);
}

#[test]
fn reset_drops_what_was_recorded_from_there_on() {
    let given = vec![created(), started(), completed(0), completed(1)];
    let reset = when(given.clone(), JobCommand::Reset { index: 1, reason: "again".to_owned(), at: at(9) });
    let job = fold(Job::default(), [given, reset.expect("the step is there")].concat());
    assert_eq!(job.journal().edge(), 1);
    assert_eq!(job.journal().step(1, "work", at(9)), Next::Execute { attempt: 1, unsettled: false });
    assert_eq!(job.state(), JobState::Running);
}

#[test]
fn reset_of_a_step_that_is_not_there_is_refused() {
    let refused = when(
        vec![created(), started(), completed(0)],
        JobCommand::Reset { index: 2, reason: String::new(), at: at(9) },
    );
    assert_eq!(refused, Err(JobError::NoSuchStep { index: 2 }));
}

#[test]
fn job_that_was_over_goes_on_where_it_stopped() {
    let given =
        vec![created(), started(), completed(0), JobEvent::JobTerminated { reason: "now".to_owned(), at: at(3) }];
    let reset = |index| JobCommand::Reset { index, reason: "go on".to_owned(), at: at(9) };
    assert_eq!(when(given.clone(), reset(2)), Err(JobError::NoSuchStep { index: 2 }));
    let job = fold(Job::default(), [given.clone(), when(given, reset(1)).expect("it is taken")].concat());
    assert_eq!((job.state(), job.journal().edge()), (JobState::Running, 1));
}

#[test]
fn fork_starts_with_the_history_of_the_original() {
    let fork = JobCommand::Fork {
        job_id: JobId::from_uuid(Uuid::from_u128(8)),
        bot_id: bot(),
        workflow: "greet".to_owned(),
        input: Value::Null,
        from: id(),
        index: 1,
        history: vec![completed(0)],
        priority: Some(JobPriority::Low),
        at: at(20),
    };
    let job = fold(Job::default(), when(Vec::new(), fork).expect("a new stream"));
    assert_eq!(job.state(), JobState::Pending);
    assert_eq!(job.journal().step(0, "work", at(21)), Next::Recorded(Ok(json!(0))));
    assert_eq!(job.priority(), JobPriority::Low);
}

#[test]
fn priority_follows_from_the_origin_until_somebody_sets_it() {
    let set = |priority| JobCommand::Prioritize { priority, at: at(1) };
    let usual = fold(Job::default(), [created()]).priority();
    assert_eq!(when(vec![created()], set(usual)), Ok(Vec::new()));
    let events = when(vec![created()], set(JobPriority::Urgent)).expect("it is live");
    assert_eq!(events, [JobEvent::JobPrioritized { priority: JobPriority::Urgent, at: at(1) }]);
    let job = fold(Job::default(), [vec![created()], events].concat());
    assert_eq!((job.priority(), job.own_priority()), (JobPriority::Urgent, Some(JobPriority::Urgent)));
}

#[test]
fn result_over_the_limit_is_refused_with_its_size() {
    let result = json!("x".repeat(LARGEST_VALUE));
    let refused = when(vec![created(), started()], complete_step(0, result));
    let size = LARGEST_VALUE + 2;
    assert_eq!(refused, Err(JobError::TooLarge { what: "the result of the step", size, most: LARGEST_VALUE }));
}

#[test]
fn cancelling_a_job_that_has_not_begun_ends_it() {
    let events = when(vec![created()], JobCommand::RequestCancel { reason: "no".to_owned(), at: at(1) });
    let job = fold(Job::default(), [vec![created()], events.expect("it may be cancelled")].concat());
    assert_eq!(job.state(), JobState::Cancelled);
}

#[test]
fn running_job_is_cancelled_after_its_cleanup() {
    let asked = JobEvent::JobCancelRequested { reason: "no".to_owned(), at: at(2) };
    let given = vec![created(), started(), asked];
    assert_eq!(fold(Job::default(), given.clone()).state(), JobState::Cancelling);
    assert!(when(given.clone(), complete_step(0, Value::Null)).is_ok());
    assert_eq!(when(given, JobCommand::FinishCancel { at: at(3) }), Ok(vec![JobEvent::JobCancelled { at: at(3) }]));
}

#[test]
fn job_that_is_over_takes_nothing_more() {
    let over = JobEvent::JobCompleted { result: Value::Null, at: at(5) };
    let given = vec![created(), started(), over];
    let state = JobState::Completed;
    for (command, name) in [
        (JobCommand::Pause { reason: String::new(), at: at(6) }, "Pause"),
        (JobCommand::Terminate { reason: String::new(), at: at(6) }, "Terminate"),
        (JobCommand::Prioritize { priority: JobPriority::Low, at: at(6) }, "Prioritize"),
        (JobCommand::Signal { name: "go".into(), payload: Value::Null, at: at(6) }, "Signal"),
        (JobCommand::Complete { result: Value::Null, at: at(6) }, "Complete"),
    ] {
        assert_eq!(when(given.clone(), command), Err(JobError::NotAllowed { command: name, state }));
    }
}

fn any_command() -> impl Strategy<Value = JobCommand> {
    let index = 0_u32..6;
    let name = prop_oneof![Just("work".to_owned()), Just("other".to_owned())];
    prop_oneof![
        Just(JobCommand::Start { at: at(1) }),
        (index.clone(), name.clone()).prop_map(|(index, name)| JobCommand::StartStep { index, name, at: at(2) }),
        (index.clone(), name.clone()).prop_map(|(index, name)| JobCommand::CompleteStep {
            index,
            name,
            result: json!(index),
            at: at(3)
        }),
        (index.clone(), name.clone(), prop::option::of(4_i64..40)).prop_map(|(index, name, retry)| {
            let (code, message) = ("X".to_owned(), "m".to_owned());
            JobCommand::FailStep { index, name, code, message, retry_at: retry.map(at), at: at(3) }
        }),
        (index.clone(), 5_i64..50).prop_map(|(index, due)| JobCommand::SetTimer {
            index,
            fires_at: at(due),
            at: at(4)
        }),
        (index.clone(), 5_i64..90).prop_map(|(index, now)| JobCommand::FireTimer { index, at: at(now) }),
        (index.clone(), name.clone()).prop_map(|(index, name)| JobCommand::AwaitSignal {
            index,
            name,
            in_cleanup: false,
            until: None,
            at: at(4)
        }),
        name.prop_map(|name| JobCommand::Signal { name, payload: Value::Null, at: at(6) }),
        Just(JobCommand::Pause { reason: String::new(), at: at(7) }),
        Just(JobCommand::Resume { at: at(9) }),
        index.prop_map(|index| JobCommand::Reset { index, reason: String::new(), at: at(9) }),
        Just(JobCommand::RequestCancel { reason: String::new(), at: at(9) }),
    ]
}

proptest! {
    #[test]
    fn fold_through_json_and_snapshots_gives_the_state_in_memory(
        commands in prop::collection::vec(any_command(), 0..60),
        cut in 0_usize..60,
    ) {
        let mut job = fold(Job::default(), [created()]);
        let mut events = vec![created()];
        for command in commands {
            if let Ok(decided) = job.decide(command) {
                job = fold(job, decided.clone());
                events.extend(decided);
            }
        }
        let stored: Vec<JobEvent> = events
            .iter()
            .map(|event| serde_json::to_value(event).and_then(serde_json::from_value))
            .collect::<Result<_, _>>()?;
        prop_assert_eq!(&fold(Job::default(), stored.clone()), &job);
        let cut = cut.min(stored.len());
        let snapshot = serde_json::to_string(&fold(Job::default(), stored[..cut].to_vec()))?;
        let restored: Job = serde_json::from_str(&snapshot)?;
        prop_assert_eq!(fold(restored, stored[cut..].to_vec()), job);
    }

    #[test]
    fn recorded_step_never_changes_but_by_a_reset(commands in prop::collection::vec(any_command(), 0..60)) {
        let mut job = fold(Job::default(), [created(), started()]);
        for command in commands {
            let resets = matches!(command, JobCommand::Reset { .. });
            let Ok(decided) = job.decide(command) else { continue };
            let before: Vec<_> = (0..6).map(|index| job.journal().step(index, "work", at(0))).collect();
            job = fold(job, decided);
            for (index, earlier) in (0..).zip(before) {
                if !resets && matches!(earlier, Next::Recorded(_)) {
                    prop_assert_eq!(job.journal().step(index, "work", at(0)), earlier);
                }
            }
        }
    }
}
