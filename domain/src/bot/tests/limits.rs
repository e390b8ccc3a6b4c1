//! The verdict on an action: every reason to wait, what it counts and when it ends.

use chrono::{DateTime, TimeDelta, Utc};

use super::story::{self, Story, performed, record, reserve, start};
use crate::bot::limits::{WARM_UP_DAYS, hourly};
use crate::bot::{
    ActionKind, BotCommand, BotEvent, Counter, FailureClass, Limits, Mode, SuppressReason, Verdict, Wait, Window,
};

const LIKE: ActionKind = ActionKind::Like;

/// Warm-up, default and ceiling of a day, as the design has them.
const DESIGN: [(Counter, u32, u32, u32); 7] = [
    (Counter::Follow, 5, 15, 40),
    (Counter::Unfollow, 5, 15, 40),
    (Counter::Like, 10, 40, 120),
    (Counter::Story, 20, 60, 120),
    (Counter::Comment, 0, 3, 10),
    (Counter::Dm, 0, 5, 15),
    (Counter::Request, 200, 600, 1_200),
];

fn waits(reason: SuppressReason, frees_at: Option<DateTime<Utc>>) -> Verdict {
    Verdict::Wait(Wait { reason, counter: None, window: None, frees_at })
}

fn full(reason: SuppressReason, counter: Counter, window: Window, frees_at: Option<DateTime<Utc>>) -> Verdict {
    Verdict::Wait(Wait { reason, counter: Some(counter), window: Some(window), frees_at })
}

fn verdict(story: &Story, kind: ActionKind) -> Verdict {
    story.bot.verdict(kind, Mode::Live, 1, story.now)
}

/// Likes now, and lets the pause after it pass.
fn likes(story: Story, number: u128) -> Story {
    story.does(|at| reserve(number, LIKE, at)).does(|at| record(number, performed(), at)).later(TimeDelta::minutes(1))
}

fn read(count: u32, automated: bool, at: DateTime<Utc>) -> BotCommand {
    BotCommand::ReserveRequests { purpose: "hashtag".to_owned(), count, automated, at }
}

#[test]
fn warm_up_defaults_and_ceilings_are_those_of_the_design() {
    let new = Story::running(Mode::Live);
    let old = Story::warmed_up();
    for (counter, warm_up, default, ceiling) in DESIGN {
        assert_eq!(new.bot.daily_limit(Mode::Live, counter, new.now), warm_up, "{counter}");
        assert_eq!(old.bot.daily_limit(Mode::Live, counter, old.now), default, "{counter}");
        assert_eq!(Limits::default().of(counter), default, "{counter}");
        assert_eq!(counter.ceiling(), ceiling, "{counter}");
    }
}

#[test]
fn an_hour_gets_a_sixth_of_a_day_but_one_where_the_day_allows_any() {
    for (day, hour) in [(0, 0), (1, 1), (5, 1), (6, 1), (11, 1), (12, 2), (40, 6), (120, 20), (1_200, 200)] {
        assert_eq!(hourly(day), hour);
    }
}

#[test]
fn warm_up_lasts_seven_days_from_the_first_live_enable_and_dry_runs_do_not_start_it() {
    let dry = Story::running(Mode::DryRun).later(TimeDelta::days(30));
    assert_eq!(dry.bot.daily_limit(Mode::Live, Counter::Like, dry.now), 10);
    let live = Story::running(Mode::Live);
    let end = start() + TimeDelta::days(WARM_UP_DAYS);
    assert_eq!(live.bot.daily_limit(Mode::Live, Counter::Like, end - TimeDelta::milliseconds(1)), 10);
    assert_eq!(live.bot.daily_limit(Mode::Live, Counter::Like, end), 40);
    let again = live.later(TimeDelta::days(5)).does(story::disable).verified().authorizes(Mode::Live);
    assert_eq!(again.does(story::enable).bot.daily_limit(Mode::Live, Counter::Like, end), 40);
}

#[test]
fn a_dry_run_needs_no_warm_up() {
    for (counter, _, default, _) in DESIGN {
        let dry = Story::running(Mode::DryRun);
        assert_eq!(dry.bot.daily_limit(Mode::DryRun, counter, dry.now), default, "{counter}");
    }
}

#[test]
fn reads_of_a_dry_run_are_real_and_warm_up() {
    let dry = Story::running(Mode::DryRun);
    let request = full(SuppressReason::DayLimit, Counter::Request, Window::Day, None);
    assert_eq!(dry.bot.request_verdict(201, dry.now), request);
}

#[test]
fn a_limit_under_the_warm_up_holds_in_it() {
    let story = Story::running(Mode::Live).limited(|limits| limits.like = 4);
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 4);
}

#[test]
fn outside_the_hours_nothing_acts() {
    let story = Story::running(Mode::Live).at(start() + TimeDelta::hours(11));
    assert_eq!(verdict(&story, LIKE), waits(SuppressReason::OutsideHours, Some(start() + TimeDelta::hours(23))));
}

#[test]
fn the_next_write_waits_for_its_pause_whatever_its_kind() {
    let story = Story::running(Mode::Live).does(|at| reserve(1, LIKE, at)).does(|at| record(1, performed(), at));
    let next = start() + TimeDelta::minutes(1);
    assert_eq!(verdict(&story, ActionKind::Follow), waits(SuppressReason::Pacing, Some(next)));
    assert_eq!(verdict(&story.at(next), ActionKind::Follow), Verdict::Free);
}

#[test]
fn an_hour_holds_a_sixth_of_the_day() {
    let story = (0..6).fold(Story::warmed_up(), likes);
    let first = story.now - TimeDelta::minutes(6);
    let frees_at = first + TimeDelta::hours(1);
    assert_eq!(verdict(&story, LIKE), full(SuppressReason::HourLimit, Counter::Like, Window::Hour, Some(frees_at)));
    assert_eq!(verdict(&story, ActionKind::Follow), Verdict::Free);
    assert_eq!(verdict(&story.at(frees_at), LIKE), Verdict::Free);
}

#[test]
fn a_day_is_rolling_and_over_all_campaigns() {
    let story = Story::running(Mode::Live).limited(|limits| limits.like = 3);
    let story = (0..3).fold(story, |story, number| likes(story, number).later(TimeDelta::hours(2)));
    let frees_at = start() + TimeDelta::days(1);
    assert_eq!(verdict(&story, LIKE), full(SuppressReason::DayLimit, Counter::Like, Window::Day, Some(frees_at)));
    assert_eq!(verdict(&story.at(frees_at), LIKE), Verdict::Free);
}

#[test]
fn a_limit_of_zero_waits_for_the_person() {
    let story = Story::warmed_up().limited(|limits| limits.like = 0);
    assert_eq!(verdict(&story, LIKE), full(SuppressReason::LimitZero, Counter::Like, Window::Day, None));
}

#[test]
fn a_limit_that_is_zero_for_now_says_until_when() {
    let warming_up = Story::running(Mode::Live);
    let warmed_up = Some(start() + TimeDelta::days(WARM_UP_DAYS));
    let comment = full(SuppressReason::LimitZero, Counter::Comment, Window::Day, warmed_up);
    assert_eq!(verdict(&warming_up, ActionKind::Comment), comment);

    let block = |at| BotCommand::ReportTrouble {
        class: FailureClass::ActionBlocked,
        code: "CODE".to_owned(),
        kind: Some(LIKE),
        at,
    };
    let halved = Story::warmed_up().limited(|limits| limits.like = 1).does(block).does(block);
    let halved_until = Some(halved.now + TimeDelta::days(7));
    let zero = full(SuppressReason::LimitZero, Counter::Like, Window::Day, halved_until);
    assert_eq!(verdict(&halved.later(TimeDelta::days(4)), LIKE), zero);

    let raised = Story::warmed_up().limited(|limits| limits.like = 0).limited(|limits| limits.like = 9);
    let tomorrow = Some((raised.now + TimeDelta::days(1)).date_naive().and_time(chrono::NaiveTime::MIN).and_utc());
    assert_eq!(verdict(&raised, LIKE), full(SuppressReason::LimitZero, Counter::Like, Window::Day, tomorrow));
}

#[test]
fn dry_runs_have_windows_and_a_pace_of_their_own() {
    let story = Story::running(Mode::DryRun).does(|at| reserve(1, LIKE, at));
    assert_eq!(story.bot.used(Mode::DryRun, Counter::Like, Window::Day, start()), 1);
    assert_eq!(story.bot.used(Mode::Live, Counter::Like, Window::Day, start()), 0);
    assert_eq!(story.bot.verdict(LIKE, Mode::Live, 1, start()), Verdict::Free);
}

#[test]
fn reads_and_actions_share_one_window_of_requests() {
    let story = Story::running(Mode::Live).does(|at| read(30, true, at)).does(|at| reserve(1, LIKE, at));
    assert_eq!(story.bot.used(Mode::Live, Counter::Request, Window::Hour, start()), 31);
    assert!(matches!(story.bot.request_verdict(3, start()), Verdict::Wait(_)));
    assert_eq!(story.bot.request_verdict(2, start()), Verdict::Free);
}

#[test]
fn an_action_waits_for_room_for_its_requests() {
    let story = Story::running(Mode::Live).does(|at| read(33, true, at));
    let frees_at = Some(start() + TimeDelta::hours(1));
    assert_eq!(verdict(&story, LIKE), full(SuppressReason::HourLimit, Counter::Request, Window::Hour, frees_at));
    assert_eq!(story.bot.verdict(LIKE, Mode::DryRun, 0, start()), Verdict::Free);
}

#[test]
fn an_automated_read_past_the_limit_is_suppressed_and_a_persons_is_only_counted() {
    let story = Story::running(Mode::Live).does(|at| read(33, true, at));
    story.when(read(1, true, start())).then_expect_events(vec![BotEvent::RequestsSuppressed {
        purpose: "hashtag".to_owned(),
        count: 1,
        reason: SuppressReason::HourLimit,
        window: Some(Window::Hour),
        frees_at: Some(start() + TimeDelta::hours(1)),
        at: start(),
    }]);
    story.when(read(1, false, start())).then_expect_events(vec![BotEvent::RequestsReserved {
        purpose: "hashtag".to_owned(),
        count: 1,
        automated: false,
        at: start(),
    }]);
    let story = story.does(|at| read(1, false, at));
    assert_eq!(story.bot.used(Mode::Live, Counter::Request, Window::Hour, start()), 34);
}

#[test]
fn more_requests_than_any_hour_allows_wait_for_a_higher_limit_or_for_ever() {
    let warming_up = Story::running(Mode::Live);
    let end = Some(start() + TimeDelta::days(WARM_UP_DAYS));
    let wait = full(SuppressReason::HourLimit, Counter::Request, Window::Hour, end);
    assert_eq!(warming_up.bot.request_verdict(40, start()), wait);
    let wait = full(SuppressReason::DayLimit, Counter::Request, Window::Day, None);
    assert_eq!(warming_up.bot.request_verdict(u32::MAX, start()), wait);
}

#[test]
fn nothing_asked_is_always_free() {
    let story = Story::running(Mode::Live).limited(|limits| limits.request = 0);
    assert_eq!(story.bot.request_verdict(0, start()), Verdict::Free);
}
