//! What becomes of due times: given a standing, when time passes, then these decisions.

use super::*;

fn decide(schedule: &Schedule, after: &str, now: &str, standing: &Standing) -> Vec<DueDecision> {
    due(schedule, campaign(), instant(after), instant(now), standing)
}

fn skipped(first: &str, last: &str, count: u64, reason: SkipReason) -> DueDecision {
    DueDecision::Skip { span: span(first, last, count), reason }
}

#[test]
fn due_run_starts() {
    let schedule = every_ten_minutes(Overlap::Skip);
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:10:00Z", &running(&[]));
    assert_eq!(decided, [DueDecision::Start { run: run("2026-06-01T00:10:00Z") }]);
    assert_eq!(decide(&schedule, "2026-06-01T00:10:00Z", "2026-06-01T00:19:59Z", &running(&[])), []);
}

#[test]
fn what_was_due_when_the_schedule_was_set_is_not_its_business() {
    let mut schedule = every_ten_minutes(Overlap::Skip);
    schedule.since = instant("2026-06-01T00:10:00Z");
    assert_eq!(decide(&schedule, "2026-06-01T00:00:00Z", "2026-06-01T00:19:00Z", &running(&[])), []);
}

#[test]
fn run_that_is_due_during_another_is_skipped_with_its_name() {
    let schedule = every_ten_minutes(Overlap::Skip);
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:10:00Z", &running(&[other_job(1)]));
    let reason = SkipReason::StillRunning { job_id: other_job(1) };
    assert_eq!(decided, [skipped("2026-06-01T00:10:00Z", "2026-06-01T00:10:00Z", 1, reason)]);
}

#[test]
fn late_scheduler_starts_one_run_and_skips_those_that_meet_it() {
    let schedule = every_ten_minutes(Overlap::Skip);
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:45:00Z", &running(&[]));
    let first = run("2026-06-01T00:10:00Z");
    let reason = SkipReason::StillRunning { job_id: first.job_id };
    let rest = skipped("2026-06-01T00:20:00Z", "2026-06-01T00:40:00Z", 3, reason);
    assert_eq!(decided, [DueDecision::Start { run: first }, rest]);
}

#[test]
fn queue_keeps_the_order_and_has_an_end() {
    let mut schedule = every_ten_minutes(Overlap::Queue);
    schedule.catch_up_minutes = 600;
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T02:30:00Z", &running(&[other_job(1)]));
    let mut behind = other_job(1);
    for (decision, ten) in decided[..LONGEST_QUEUE].iter().zip(1..) {
        let due_at = instant("2026-06-01T00:00:00Z") + minutes(10 * ten);
        let run = PlannedRun { job_id: job_id(campaign(), due_at), due_at, start_at: due_at };
        assert_eq!(*decision, DueDecision::Queue { behind, run });
        behind = run.job_id;
    }
    let full = SkipReason::QueueFull { waiting: LONGEST_QUEUE };
    assert_eq!(decided[LONGEST_QUEUE..], [skipped("2026-06-01T01:50:00Z", "2026-06-01T02:30:00Z", 5, full)]);
}

#[test]
fn latest_run_cancels_the_previous_ones_and_takes_the_place_of_those_between() {
    let schedule = every_ten_minutes(Overlap::CancelPrevious);
    let open = [other_job(1), other_job(2)];
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:35:00Z", &running(&open));
    let reason = SkipReason::Superseded { by_due_at: instant("2026-06-01T00:30:00Z") };
    let between = skipped("2026-06-01T00:10:00Z", "2026-06-01T00:20:00Z", 2, reason);
    let latest = DueDecision::CancelPreviousAndStart { previous: open.to_vec(), run: run("2026-06-01T00:30:00Z") };
    assert_eq!(decided, [between, latest]);
    let alone = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:10:00Z", &running(&[]));
    assert_eq!(alone, [DueDecision::Start { run: run("2026-06-01T00:10:00Z") }]);
}

#[test]
fn run_that_is_open_already_is_decided_as_before() {
    let schedule = every_ten_minutes(Overlap::CancelPrevious);
    let ours = run("2026-06-01T00:10:00Z");
    let again = |open: &[JobId]| decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:10:00Z", &running(open));
    assert_eq!(again(&[ours.job_id]), [DueDecision::Start { run: ours }]);
    let previous = vec![other_job(1)];
    assert_eq!(again(&[other_job(1), ours.job_id]), [DueDecision::CancelPreviousAndStart { previous, run: ours }]);
}

#[test]
fn what_is_older_than_the_catch_up_window_is_missed_and_counted() {
    let schedule = every_ten_minutes(Overlap::Skip);
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T03:10:00Z", &running(&[]));
    let missed = DueDecision::Missed { span: span("2026-06-01T00:10:00Z", "2026-06-01T02:00:00Z", 12) };
    assert_eq!(decided[..2], [missed, DueDecision::Start { run: run("2026-06-01T02:10:00Z") }]);
}

#[test]
fn nothing_starts_during_a_pause() {
    let mut schedule = every_ten_minutes(Overlap::Queue);
    schedule.pause = Some(Pause::try_new("holidays", instant("2026-06-01T01:05:00Z")).expect("a reason"));
    let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T03:00:00Z", &running(&[]));
    // What was due before the pause is missed for the scheduler's sake, not for the pause's.
    let missed = DueDecision::Missed { span: span("2026-06-01T00:10:00Z", "2026-06-01T01:00:00Z", 6) };
    let reason = SkipReason::Paused { reason: "holidays".to_owned() };
    assert_eq!(decided, [missed, skipped("2026-06-01T01:10:00Z", "2026-06-01T03:00:00Z", 12, reason)]);
}

#[test]
fn run_of_a_bot_that_is_not_running_is_skipped_with_its_state() {
    let schedule = every_ten_minutes(Overlap::CancelPrevious);
    for state in BotState::ALL.iter().copied().filter(|state| *state != BotState::Running) {
        let stands = standing(state, &[]);
        let decided = decide(&schedule, "2026-06-01T00:05:00Z", "2026-06-01T00:20:00Z", &stands);
        let reason = SkipReason::BotNotRunning { state };
        assert_eq!(decided, [skipped("2026-06-01T00:10:00Z", "2026-06-01T00:20:00Z", 2, reason)]);
    }
}

#[test]
fn clock_that_goes_back_decides_nothing_again() {
    let schedule = every_ten_minutes(Overlap::Skip);
    assert_eq!(decide(&schedule, "2026-06-01T01:00:00Z", "2026-06-01T00:10:00Z", &running(&[])), []);
}

#[test]
fn years_without_a_decision_are_one_number() {
    let mut schedule = every_ten_minutes(Overlap::Skip);
    schedule.timing = cron_in("0 * * * *", "Europe/London");
    let decided = decide(&schedule, "2026-06-01T00:00:00Z", "2028-06-01T00:30:00Z", &running(&[]));
    let hours = 731 * 24 - 1;
    let missed = span("2026-06-01T01:00:00Z", "2028-05-31T23:00:00Z", hours);
    assert_eq!(decided[0], DueDecision::Missed { span: missed });
    assert_eq!(decided[1..], [DueDecision::Start { run: run("2028-06-01T00:00:00Z") }]);
}

#[test]
fn job_of_a_due_time_is_always_the_same_and_of_no_other() {
    let due_at = instant("2026-06-01T00:10:00Z");
    let id = job_id(campaign(), due_at);
    assert_eq!(id.to_string(), "e7edb735-1f40-5b58-adf5-bd00fa040504");
    assert_ne!(id, job_id(campaign(), due_at + minutes(1)));
    assert_ne!(id, job_id(CampaignId::from_uuid(Uuid::from_u128(12)), due_at));
}

#[test]
fn backfill_runs_what_was_due_one_after_another() {
    let mut schedule = every_ten_minutes(Overlap::Skip);
    schedule.pause = Some(Pause::try_new("holidays", schedule.since).expect("a reason"));
    let now = instant("2026-06-01T05:00:00Z");
    let range = (instant("2026-06-01T01:00:00Z"), instant("2026-06-01T01:40:00Z"));
    let at_once = |due_at: &str| PlannedRun { start_at: now, ..run(due_at) };
    let open = at_once("2026-06-01T01:20:00Z");
    let decided = backfill(&schedule, campaign(), range, now, &running(&[]));
    let runs: Vec<_> = ["2026-06-01T01:00:00Z", "2026-06-01T01:10:00Z", "2026-06-01T01:20:00Z", "2026-06-01T01:30:00Z"]
        .map(at_once)
        .to_vec();
    let queued = runs.windows(2).map(|pair| DueDecision::Queue { behind: pair[0].job_id, run: pair[1] });
    let all: Vec<_> = [DueDecision::Start { run: runs[0] }].into_iter().chain(queued).collect();
    assert_eq!(decided, Ok(all));
    // One that is open already is not enqueued again.
    let decided = backfill(&schedule, campaign(), range, now, &running(&[open.job_id])).expect("it is allowed");
    assert_eq!(decided[0], DueDecision::Queue { behind: open.job_id, run: runs[0] });
    assert_eq!(decided.len(), 3);
}

#[test]
fn backfill_is_bounded_and_lies_in_the_past() {
    let schedule = every_ten_minutes(Overlap::Skip);
    let from = instant("2026-06-01T00:00:00Z");
    let ask = |until: DateTime<Utc>, now, standing: &Standing| {
        backfill(&schedule, campaign(), (from, until), now, standing).map(|decided| decided.len())
    };
    let most = from + minutes(1_000);
    assert_eq!(ask(most, most, &running(&[])), Ok(MOST_BACKFILLED));
    let code = |refused: Result<usize, ScheduleError>| refused.expect_err("it is refused").code();
    assert_eq!(code(ask(most + minutes(1), most + minutes(1), &running(&[]))), "SCHEDULE_BACKFILL_TOO_LARGE");
    assert_eq!(code(ask(most, most - minutes(1), &running(&[]))), "SCHEDULE_INVALID_RANGE");
    assert_eq!(code(ask(from, most, &running(&[]))), "SCHEDULE_INVALID_RANGE");
    let paused = standing(BotState::Paused, &[]);
    assert_eq!(code(ask(most, most, &paused)), "SCHEDULE_BOT_NOT_RUNNING");
}

#[test]
fn decisions_are_stored_in_a_readable_form() {
    let reason = SkipReason::BotNotRunning { state: BotState::LoggedOut };
    let decision = skipped("2026-06-01T00:10:00Z", "2026-06-01T00:20:00Z", 2, reason);
    let stored = serde_json::json!({
        "decision": "SKIP",
        "span": { "first_due_at": "2026-06-01T00:10:00Z", "last_due_at": "2026-06-01T00:20:00Z", "count": 2 },
        "reason": { "kind": "BOT_NOT_RUNNING", "state": "LOGGED_OUT" },
    });
    assert_eq!(serde_json::to_value(&decision).expect("it is written"), stored);
    assert_eq!(serde_json::from_value::<DueDecision>(stored).expect("it is read"), decision);
}
