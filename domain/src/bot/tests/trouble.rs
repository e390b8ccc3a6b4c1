//! What follows from each class of failure, by a careful client's rules.

use chrono::{DateTime, TimeDelta, Utc};

use super::story::{self, Story, action, record, reserve, start};
use crate::bot::{
    ActionKind, BotCommand, BotEvent, BotState, Counter, FailureClass, Mode, Outcome, SuppressReason, Verdict,
};

const LIKE: ActionKind = ActionKind::Like;

fn report(class: FailureClass, kind: Option<ActionKind>, at: DateTime<Utc>) -> BotCommand {
    BotCommand::ReportTrouble { class, code: "CODE".to_owned(), kind, at }
}

/// The events after the outcome itself.
fn consequences(class: FailureClass) -> Vec<BotEvent> {
    let refused = Outcome::Refused { class, code: "CODE".to_owned() };
    let failed = Outcome::Failed { class, code: "CODE".to_owned() };
    let story = Story::acting(Mode::Live);
    let after = |outcome| story.when(record(1, outcome, start())).inspect_result().unwrap().split_off(1);
    let (after_refusal, after_failure) = (after(refused), after(failed));
    assert_eq!(after_refusal, after_failure);
    assert_eq!(after_refusal, story.when(report(class, Some(LIKE), start())).inspect_result().unwrap());
    after_refusal
}

fn slow_down(step: u32, minutes: i64, at: DateTime<Utc>) -> BotEvent {
    BotEvent::SlowDownStarted { step, until: at + TimeDelta::minutes(minutes), code: "CODE".to_owned(), at }
}

fn blocked(strike: u32, hours: i64, halved_days: Option<i64>, at: DateTime<Utc>) -> BotEvent {
    BotEvent::ActionKindBlocked {
        kind: LIKE,
        strike,
        until: at + TimeDelta::hours(hours),
        halved_until: halved_days.map(|days| at + TimeDelta::days(days)),
        at,
    }
}

fn reason(story: &Story, kind: ActionKind) -> Option<SuppressReason> {
    match story.bot.verdict(kind, Mode::Live, 1, story.now) {
        Verdict::Free => None,
        Verdict::Wait(wait) => Some(wait.reason),
    }
}

#[test]
fn each_class_has_its_consequences() {
    for class in FailureClass::ALL.iter().copied() {
        let code = "CODE".to_owned();
        let at = start();
        let expected = match class {
            FailureClass::PersonNeeded => vec![BotEvent::ChallengeRaised { kind: code, at }],
            FailureClass::LoginEnded => vec![BotEvent::SessionExpired { code, at }],
            FailureClass::ActionBlocked => vec![blocked(1, 24, None, at)],
            FailureClass::SlowDown => vec![slow_down(1, 30, at)],
            FailureClass::SkipTarget | FailureClass::Transport | FailureClass::SessionLost => Vec::new(),
            FailureClass::ContractBroken | FailureClass::Unknown => {
                vec![BotEvent::ModuleStopped { kind: LIKE, class, code, at }]
            }
        };
        assert_eq!(consequences(class), expected, "{class}");
    }
}

#[test]
fn trouble_that_no_kind_of_action_had_has_its_own_consequences() {
    for class in FailureClass::ALL.iter().copied() {
        let code = "CODE".to_owned();
        let at = start();
        let expected = match class {
            FailureClass::PersonNeeded => vec![BotEvent::ChallengeRaised { kind: code, at }],
            FailureClass::LoginEnded => vec![BotEvent::SessionExpired { code, at }],
            FailureClass::ActionBlocked | FailureClass::SlowDown => vec![slow_down(1, 30, at)],
            FailureClass::Unknown => vec![BotEvent::UnknownFailureSeen { code, at }],
            FailureClass::SkipTarget
            | FailureClass::Transport
            | FailureClass::SessionLost
            | FailureClass::ContractBroken => Vec::new(),
        };
        Story::running(Mode::Live).when(report(class, None, start())).then_expect_events(expected);
    }
}

#[test]
fn a_login_that_ended_after_the_bot_logged_out_changes_nothing_more() {
    let story = Story::acting(Mode::Live).does(story::logout);
    let outcome = Outcome::Refused { class: FailureClass::LoginEnded, code: "CODE".to_owned() };
    assert_eq!(story.when(record(1, outcome, start())).inspect_result().unwrap().len(), 1);
}

#[test]
fn a_blocked_kind_waits_a_day_then_three_days_with_half_the_limits_then_for_the_person() {
    let story = Story::warmed_up().does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at));
    assert_eq!(reason(&story, LIKE), Some(SuppressReason::KindBlocked));
    assert_eq!(reason(&story, ActionKind::Follow), None);
    let story = story.later(TimeDelta::hours(24));
    assert_eq!(reason(&story, LIKE), None);
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 40);

    let now = story.now;
    story.when(report(FailureClass::ActionBlocked, Some(LIKE), now)).then_expect_events(vec![blocked(
        2,
        72,
        Some(7),
        now,
    )]);
    let story = story.does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at)).later(TimeDelta::hours(72));
    assert_eq!(reason(&story, LIKE), None);
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 20);
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Follow, story.now), 15);

    let now = story.now;
    story.when(report(FailureClass::ActionBlocked, Some(LIKE), now)).then_expect_events(vec![
        blocked(3, 72, Some(7), now),
        BotEvent::ChallengeRaised { kind: "ACTION_BLOCKED_REPEATEDLY".to_owned(), at: now },
    ]);
    let story = story.does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at));
    assert_eq!(story.state(), BotState::Error);
}

#[test]
fn a_block_is_forgotten_after_seven_days() {
    for (days, strike) in [(6, 2), (7, 1)] {
        let story = Story::running(Mode::Live).does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at));
        let story = story.later(TimeDelta::days(days));
        let events = story.when(report(FailureClass::ActionBlocked, Some(LIKE), story.now)).inspect_result().unwrap();
        assert!(matches!(events[0], BotEvent::ActionKindBlocked { strike: given, .. } if given == strike));
    }
}

#[test]
fn halving_ends_after_seven_days() {
    let story = Story::warmed_up()
        .does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at))
        .does(|at| report(FailureClass::ActionBlocked, Some(LIKE), at))
        .later(TimeDelta::days(7));
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now - TimeDelta::milliseconds(1)), 20);
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 40);
}

#[test]
fn slow_down_doubles_from_half_an_hour_to_a_day_and_is_forgiven_after_a_clean_day() {
    let mut story = Story::running(Mode::Live);
    for (step, minutes) in (1..).zip([30, 60, 120, 240, 480, 960, 1_440, 1_440]) {
        let now = story.now;
        story.when(report(FailureClass::SlowDown, None, now)).then_expect_events(vec![slow_down(step, minutes, now)]);
        story = story.does(|at| report(FailureClass::SlowDown, None, at)).later(TimeDelta::minutes(minutes));
    }
    let almost = story.clone().later(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    almost
        .when(report(FailureClass::SlowDown, None, almost.now))
        .then_expect_events(vec![slow_down(9, 1_440, almost.now)]);
    let clean = story.later(TimeDelta::hours(24));
    clean.when(report(FailureClass::SlowDown, None, clean.now)).then_expect_events(vec![slow_down(1, 30, clean.now)]);
}

#[test]
fn while_slowed_down_no_action_and_no_automated_read_is_made_but_a_person_may_look() {
    let story = Story::running(Mode::Live).does(|at| report(FailureClass::SlowDown, None, at));
    let until = start() + TimeDelta::minutes(30);
    assert_eq!(story.bot.slowed_down_until(start()), Some(until));
    for kind in ActionKind::ALL.iter().copied() {
        assert_eq!(reason(&story, kind), Some(SuppressReason::SlowDown));
    }
    let read =
        |automated| BotCommand::ReserveRequests { purpose: "hashtag".to_owned(), count: 1, automated, at: start() };
    story.when(read(true)).then_expect_events(vec![BotEvent::RequestsSuppressed {
        purpose: "hashtag".to_owned(),
        count: 1,
        reason: SuppressReason::SlowDown,
        window: None,
        frees_at: Some(until),
        at: start(),
    }]);
    assert_eq!(story.when(read(false)).inspect_result().unwrap()[0].name(), "RequestsReserved");
    assert_eq!(reason(&story.later(TimeDelta::minutes(30)), LIKE), None);
}

#[test]
fn a_stopped_module_waits_until_a_person_enables_again() {
    let story = Story::running(Mode::Live).does(|at| report(FailureClass::ContractBroken, Some(LIKE), at));
    assert_eq!(story.state(), BotState::Running);
    let story = story.later(TimeDelta::days(7));
    assert_eq!(reason(&story, LIKE), Some(SuppressReason::ModuleStopped));
    assert_eq!(reason(&story, ActionKind::Follow), None);
    let story = story.does(story::disable).verified().authorizes(Mode::Live).does(story::enable);
    assert_eq!(reason(&story, LIKE), None);
}

#[test]
fn two_answers_that_we_do_not_understand_within_an_hour_stop_the_bot() {
    for (kind, second) in [(Some(LIKE), None), (None, Some(ActionKind::Follow))] {
        let story = Story::running(Mode::Live).does(|at| report(FailureClass::Unknown, kind, at));
        assert_eq!(story.state(), BotState::Running);
        let soon = story.clone().later(TimeDelta::minutes(60) - TimeDelta::milliseconds(1));
        let soon = soon.does(|at| report(FailureClass::Unknown, second, at));
        assert_eq!(soon.state(), BotState::Error);
        assert_eq!(soon.bot.error_reason(), Some("two unknown answers within an hour: CODE"));
        let late = story.later(TimeDelta::minutes(60)).does(|at| report(FailureClass::Unknown, second, at));
        assert_eq!(late.state(), BotState::Running);
    }
}

#[test]
fn an_outcome_comes_before_what_follows_from_it() {
    let story = Story::acting(Mode::Live);
    let outcome = Outcome::Refused { class: FailureClass::PersonNeeded, code: "CHALLENGE_REQUIRED".to_owned() };
    let story = story.does(|at| record(1, outcome, at));
    let names: Vec<&str> = story.events.iter().rev().take(2).rev().map(BotEvent::name).collect();
    assert_eq!(names, ["ActionRefused", "ChallengeRaised"]);
    assert_eq!(story.state(), BotState::Error);
    assert_eq!(story.bot.open_reservation(), None);
    assert!(story.bot.knows_action(action(1)));
}

#[test]
fn a_refusal_in_a_dry_run_has_the_same_consequences() {
    let outcome = Outcome::Refused { class: FailureClass::SlowDown, code: "CODE".to_owned() };
    let story = Story::running(Mode::DryRun).does(|at| reserve(1, LIKE, at)).does(|at| record(1, outcome, at));
    assert_eq!(story.bot.slowed_down_until(start()), Some(start() + TimeDelta::minutes(30)));
}
