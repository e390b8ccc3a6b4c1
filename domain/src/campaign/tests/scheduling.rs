//! Schedules of campaigns: given what happened, when something is asked or is due, then these events.

use chrono::TimeDelta;

use super::*;
use crate::bot::{Activity, BotState};
use crate::campaign::schedule::{
    BotStanding, DraftTiming, DueSpan, Overlap, PlannedRun, Schedule, ScheduleDraft, ScheduleError, SkipReason, job_id,
};
use crate::campaign::{RunEnding, Withdrawal};
use crate::ids::JobId;

pub(super) fn minute(minutes: i64) -> DateTime<Utc> {
    at() + TimeDelta::minutes(minutes)
}

/// A bot that has been running the campaign for long.
pub(super) fn running() -> BotStanding {
    let activity = Activity {
        state: BotState::Running,
        before: BotState::LoggedIn,
        ran_since: Some(minute(-600)),
        ran_until: None,
    };
    BotStanding { activity, in_plan: true }
}

/// A bot that ran until then, and stands elsewhere since.
pub(super) fn stopped(state: BotState, since: DateTime<Utc>) -> BotStanding {
    let Activity { before, ran_since, .. } = running().activity;
    BotStanding { activity: Activity { state, before, ran_since, ran_until: Some(since) }, in_plan: false }
}

/// Every ten minutes from ten past on.
pub(super) fn every_ten(overlap: Overlap) -> ScheduleDraft {
    let timing = DraftTiming::Interval { minutes: 10, anchored_at: at() };
    ScheduleDraft { timing, jitter_seconds: 0, overlap, catch_up_minutes: 60 }
}

pub(super) fn set(overlap: Overlap) -> CampaignEvent {
    let schedule = Schedule::try_new(every_ten(overlap), at()).expect("it is valid");
    CampaignEvent::ScheduleSet { schedule, at: at() }
}

pub(super) fn job(minutes: i64) -> JobId {
    job_id(campaign_id(), minute(minutes))
}

fn run(minutes: i64) -> PlannedRun {
    PlannedRun { job_id: job(minutes), due_at: minute(minutes), start_at: minute(minutes) }
}

fn planned(minutes: i64, waits: bool, decided: i64) -> CampaignEvent {
    let (run, at) = (run(minutes), minute(decided));
    CampaignEvent::RunPlanned { bot_id: bot_id(), run, backfill: false, waits, revision: 1, at }
}

fn released(minutes: i64, at: i64) -> CampaignEvent {
    CampaignEvent::RunReleased { bot_id: bot_id(), run: run(minutes), at: minute(at) }
}

fn ended(minutes: i64, at: i64) -> CampaignEvent {
    let (job_id, due_at) = (job(minutes), minute(minutes));
    CampaignEvent::RunEnded { job_id, due_at, ending: RunEnding::Completed, at: minute(at) }
}

fn withdrawn(minutes: i64, reason: Withdrawal, at: i64) -> CampaignEvent {
    CampaignEvent::RunWithdrawn { job_id: job(minutes), due_at: minute(minutes), reason, at: minute(at) }
}

fn skipped(first: i64, last: i64, count: u64, reason: SkipReason, at: i64) -> CampaignEvent {
    let span = DueSpan { first_due_at: minute(first), last_due_at: minute(last), count };
    CampaignEvent::RunsSkipped { span, reason, at: minute(at) }
}

fn decide(minutes: i64) -> CampaignCommand {
    CampaignCommand::DecideDue { bot: running(), at: minute(minutes) }
}

fn end(minutes: i64, bot: BotState, at: i64) -> CampaignCommand {
    CampaignCommand::RecordRunEnded { job_id: job(minutes), ending: RunEnding::Completed, bot, at: minute(at) }
}

fn scheduled(overlap: Overlap) -> Vec<CampaignEvent> {
    vec![defined(), set(overlap)]
}

fn having(mut history: Vec<CampaignEvent>, more: impl IntoIterator<Item = CampaignEvent>) -> Vec<CampaignEvent> {
    history.extend(more);
    history
}

fn given(history: Vec<CampaignEvent>, command: CampaignCommand, then: Vec<CampaignEvent>) {
    framework().given(history).when(command).then_expect_events(then);
}

#[test]
fn a_schedule_is_stored_in_its_checked_form() {
    let ask = CampaignCommand::SetSchedule { draft: every_ten(Overlap::Queue), bot: running(), at: at() };
    given(vec![defined()], ask.clone(), vec![set(Overlap::Queue)]);
    given(scheduled(Overlap::Queue), ask, Vec::new());
    let state = fold(Campaign::default(), scheduled(Overlap::Queue));
    assert!(state.has_schedule() && !fold(Campaign::default(), [defined()]).has_schedule());
    assert_eq!(state.next_decision_at(&running()), Some(minute(10)));
}

#[test]
fn a_schedule_that_is_wrong_is_refused_with_its_own_code() {
    let timing = DraftTiming::Cron { expression: "0 0 31 2 *".to_owned(), zone: "UTC".to_owned() };
    let draft = ScheduleDraft { timing, ..every_ten(Overlap::Skip) };
    let refused = fold(Campaign::default(), [defined()])
        .decide(CampaignCommand::SetSchedule { draft, bot: running(), at: at() })
        .expect_err("no year has this day");
    assert_eq!(refused.code(), "SCHEDULE_NEVER_FIRES");
}

#[test]
fn without_a_schedule_there_is_nothing_to_change_and_nothing_due() {
    let (bot, time) = (running(), minute(60));
    for command in [
        CampaignCommand::ClearSchedule { bot, at: time },
        CampaignCommand::PauseSchedule { reason: "later".to_owned(), bot, at: time },
        CampaignCommand::ResumeSchedule { bot, at: time },
        CampaignCommand::Backfill { from: at(), until: time, bot, at: time },
    ] {
        framework().given(vec![defined()]).when(command).then_expect_error(CampaignError::NoSchedule);
    }
    given(vec![defined()], decide(60), Vec::new());
    given(Vec::new(), decide(60), Vec::new());
}

#[test]
fn a_run_that_is_due_is_planned_once() {
    let history = scheduled(Overlap::Skip);
    given(history.clone(), decide(9), Vec::new());
    given(history.clone(), decide(10), vec![planned(10, false, 10)]);
    let history = having(history, [planned(10, false, 10)]);
    given(history.clone(), decide(10), Vec::new());
    given(history.clone(), decide(19), Vec::new());
    let state = fold(Campaign::default(), history);
    assert_eq!(state.next_decision_at(&running()), Some(minute(20)));
}

#[test]
fn a_run_that_meets_another_is_skipped_and_the_next_after_its_end_starts() {
    let history = having(scheduled(Overlap::Skip), [planned(10, false, 10)]);
    let skip = skipped(20, 20, 1, SkipReason::StillRunning { job_id: job(10) }, 20);
    given(history.clone(), decide(20), vec![skip.clone()]);
    let history = having(history, [skip, ended(10, 25)]);
    given(history, decide(30), vec![planned(30, false, 30)]);
}

#[test]
fn queued_runs_start_one_after_another() {
    let history = having(scheduled(Overlap::Queue), [planned(10, false, 10)]);
    given(history.clone(), decide(30), vec![planned(20, true, 30), planned(30, true, 30)]);
    let history = having(history, [planned(20, true, 30), planned(30, true, 30)]);
    given(history.clone(), end(10, BotState::Running, 31), vec![ended(10, 31), released(20, 31)]);
    let history = having(history, [ended(10, 31), released(20, 31)]);
    // Told again, or told of a run that still waits: nothing happens twice.
    given(history.clone(), end(10, BotState::Running, 32), Vec::new());
    given(history, end(20, BotState::Running, 33), vec![ended(20, 33), released(30, 33)]);
}

#[test]
fn the_previous_run_is_cancelled_once_and_what_waits_is_replaced() {
    let history = having(scheduled(Overlap::CancelPrevious), [planned(10, false, 10)]);
    let cancel = CampaignEvent::RunCancelRequested {
        bot_id: bot_id(),
        job_id: job(10),
        due_at: minute(10),
        by_due_at: minute(20),
        at: minute(20),
    };
    given(history.clone(), decide(20), vec![cancel.clone(), planned(20, true, 20)]);
    let history = having(history, [cancel, planned(20, true, 20)]);
    let replaced = withdrawn(20, Withdrawal::Superseded { by_due_at: minute(30) }, 30);
    given(history.clone(), decide(30), vec![replaced.clone(), planned(30, true, 30)]);
    let history = having(history, [replaced, planned(30, true, 30)]);
    given(history, end(10, BotState::Running, 31), vec![ended(10, 31), released(30, 31)]);
}

#[test]
fn what_was_due_while_the_bot_did_not_run_is_skipped_when_it_runs_again() {
    let mut bot = running();
    bot.activity.before = BotState::Paused;
    bot.activity.ran_until = Some(minute(5));
    bot.activity.ran_since = Some(minute(185));
    let then = vec![
        skipped(10, 180, 18, SkipReason::BotNotRunning { state: BotState::Paused }, 190),
        planned(190, false, 190),
    ];
    given(scheduled(Overlap::Skip), CampaignCommand::DecideDue { bot, at: minute(190) }, then);
}

#[test]
fn what_a_stopped_bot_leaves_undecided_is_one_decision_a_day() {
    let bot = stopped(BotState::LoggedOut, minute(5));
    let state = fold(Campaign::default(), scheduled(Overlap::Skip));
    assert_eq!(state.next_decision_at(&bot), Some(minute(10 + 24 * 60)));
    let then = skipped(10, 1_450, 145, SkipReason::BotNotRunning { state: BotState::LoggedOut }, 1_450);
    given(scheduled(Overlap::Skip), CampaignCommand::DecideDue { bot, at: minute(1_450) }, vec![then]);
}

#[test]
fn what_nobody_decided_in_time_is_missed_and_counted() {
    let missed = CampaignEvent::RunsMissed {
        span: DueSpan { first_due_at: minute(10), last_due_at: minute(50), count: 5 },
        at: minute(115),
    };
    let skip = skipped(70, 110, 5, SkipReason::StillRunning { job_id: job(60) }, 115);
    let then = vec![missed, planned(60, false, 115), skip];
    given(scheduled(Overlap::Skip), decide(115), then.clone());
    let state = fold(Campaign::default(), having(scheduled(Overlap::Skip), then));
    assert_eq!(state.runs().map(crate::campaign::Runs::missed), Some(5));
}

#[test]
fn a_campaign_outside_of_the_plan_does_not_run() {
    let bot = BotStanding { in_plan: false, ..running() };
    let skip = skipped(10, 10, 1, SkipReason::NotInPlan, 10);
    given(scheduled(Overlap::Skip), CampaignCommand::DecideDue { bot, at: minute(10) }, vec![skip]);
}

#[test]
fn a_pause_decides_what_was_due_before_it_and_skips_what_is_due_in_it() {
    let pause = CampaignCommand::PauseSchedule { reason: " holidays ".to_owned(), bot: running(), at: minute(15) };
    let paused = CampaignEvent::SchedulePaused { reason: "holidays".to_owned(), at: minute(15) };
    given(scheduled(Overlap::Skip), pause.clone(), vec![planned(10, false, 15), paused.clone()]);
    let history = having(scheduled(Overlap::Skip), [planned(10, false, 15), paused]);
    given(history.clone(), pause, Vec::new());
    let resume = CampaignCommand::ResumeSchedule { bot: running(), at: minute(195) };
    let skip = skipped(20, 190, 18, SkipReason::Paused { reason: "holidays".to_owned() }, 195);
    let resumed = CampaignEvent::ScheduleResumed { at: minute(195) };
    given(history.clone(), resume.clone(), vec![skip.clone(), resumed.clone()]);
    let history = having(history, [skip, resumed, ended(10, 196)]);
    given(history.clone(), resume, Vec::new());
    given(history, decide(200), vec![planned(200, false, 200)]);
}

#[test]
fn another_timing_does_not_lift_a_pause_and_leaves_nothing_undecided() {
    let paused = CampaignEvent::SchedulePaused { reason: "holidays".to_owned(), at: minute(5) };
    let history = having(scheduled(Overlap::Skip), [paused]);
    let ask = CampaignCommand::SetSchedule { draft: every_ten(Overlap::Queue), bot: running(), at: minute(15) };
    let mut schedule = Schedule::try_new(every_ten(Overlap::Queue), minute(15)).expect("it is valid");
    let state = fold(Campaign::default(), history.clone());
    schedule.pause = state.schedule().and_then(|scheduled| scheduled.schedule.pause.clone());
    assert!(schedule.pause.is_some());
    let skip = skipped(10, 10, 1, SkipReason::Paused { reason: "holidays".to_owned() }, 15);
    given(history, ask, vec![skip, CampaignEvent::ScheduleSet { schedule, at: minute(15) }]);
}

#[test]
fn waiting_runs_are_held_back_by_a_pause_and_taken_back_by_a_clear() {
    let paused = CampaignEvent::SchedulePaused { reason: "holidays".to_owned(), at: minute(25) };
    let waits = [planned(10, false, 10), planned(20, true, 20), paused];
    let history = having(scheduled(Overlap::Queue), waits);
    given(history.clone(), end(10, BotState::Running, 26), vec![ended(10, 26)]);
    let history = having(history, [ended(10, 26)]);
    let resume = CampaignCommand::ResumeSchedule { bot: running(), at: minute(27) };
    given(history.clone(), resume, vec![CampaignEvent::ScheduleResumed { at: minute(27) }, released(20, 27)]);
    let clear = CampaignCommand::ClearSchedule { bot: running(), at: minute(27) };
    let cleared = CampaignEvent::ScheduleCleared { at: minute(27) };
    given(history.clone(), clear, vec![cleared, withdrawn(20, Withdrawal::ScheduleCleared, 27)]);
    let gone = CampaignEvent::CampaignArchived { at: minute(27) };
    let archive = CampaignCommand::Archive { at: minute(27) };
    given(history, archive, vec![gone, withdrawn(20, Withdrawal::CampaignArchived, 27)]);
}

#[test]
fn waiting_runs_of_a_bot_that_left_automation_are_taken_back() {
    let history = having(scheduled(Overlap::Queue), [planned(10, false, 10), planned(20, true, 20)]);
    let reason = Withdrawal::BotNotRunning { state: BotState::LoggedIn };
    given(history, end(10, BotState::LoggedIn, 21), vec![ended(10, 21), withdrawn(20, reason, 21)]);
}

#[test]
fn a_run_whose_job_is_never_made_leaves_its_place() {
    let history = having(scheduled(Overlap::Queue), [planned(10, false, 10), planned(20, true, 20)]);
    let lost =
        |minutes| CampaignCommand::RecordRunNotStarted { job_id: job(minutes), bot: BotState::Running, at: minute(21) };
    let then = vec![withdrawn(10, Withdrawal::NotStarted, 21), released(20, 21)];
    given(history.clone(), lost(10), then);
    given(history, lost(20), Vec::new());
}

#[test]
fn a_backfill_runs_what_had_no_run_one_after_another() {
    let skip = skipped(20, 40, 3, SkipReason::StillRunning { job_id: job(10) }, 40);
    let history = having(scheduled(Overlap::Skip), [planned(10, false, 10), skip, ended(10, 45)]);
    let backfill =
        |until| CampaignCommand::Backfill { from: at(), until: minute(until), bot: running(), at: minute(46) };
    let asked = |minutes, waits| {
        let run = PlannedRun { start_at: minute(46), ..run(minutes) };
        CampaignEvent::RunPlanned { bot_id: bot_id(), run, backfill: true, waits, revision: 1, at: minute(46) }
    };
    let first_hour = CampaignCommand::Backfill { from: minute(5), until: minute(31), bot: running(), at: minute(46) };
    given(history.clone(), first_hour, vec![asked(20, false), asked(30, true)]);
    let future = CampaignError::Schedule(ScheduleError::InvalidRange { from: at(), until: minute(47) });
    framework().given(history.clone()).when(backfill(47)).then_expect_error(future);
    let history = having(history, [asked(20, false), asked(30, true)]);
    // What is decided of the schedule does not move by it.
    let skip = skipped(50, 50, 1, SkipReason::StillRunning { job_id: job(30) }, 50);
    given(history, decide(50), vec![skip]);
}

#[test]
fn a_run_goes_on_as_another_job_and_can_be_opened_again() {
    let next = JobId::from_uuid(Uuid::from_u128(77));
    let history = having(scheduled(Overlap::Skip), [planned(10, false, 10)]);
    let continued = CampaignEvent::RunContinued { job_id: job(10), due_at: minute(10), next, at: minute(12) };
    let tell = CampaignCommand::RecordRunContinued { job_id: job(10), next, at: minute(12) };
    given(history.clone(), tell.clone(), vec![continued.clone()]);
    let history = having(history, [continued]);
    given(history.clone(), tell, Vec::new());
    let over = CampaignEvent::RunEnded { job_id: next, due_at: minute(10), ending: RunEnding::Failed, at: minute(13) };
    let end = CampaignCommand::RecordRunEnded {
        job_id: next,
        ending: RunEnding::Failed,
        bot: BotState::Running,
        at: minute(13),
    };
    given(history.clone(), end, vec![over.clone()]);
    let history = having(history, [over]);
    let reopen = CampaignCommand::RecordRunReopened { job_id: next, due_at: minute(10), at: minute(14) };
    let run = PlannedRun { job_id: next, due_at: minute(10), start_at: minute(14) };
    let reopened = CampaignEvent::RunReopened { run, at: minute(14) };
    given(history.clone(), reopen.clone(), vec![reopened.clone()]);
    given(having(history, [reopened]), reopen, Vec::new());
}
