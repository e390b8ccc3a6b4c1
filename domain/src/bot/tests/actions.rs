//! The action protocol: reserved before, recorded after, settled when in doubt.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::story::{
    self, Story, action, campaign, enablement, in_doubt, new_reservation, other_campaign, performed, record, reserve,
    run, start,
};
use crate::bot::{
    ActionKind, BotCommand, BotError, BotEvent, Counter, FailureClass, Mode, NewReservation, Outcome, Settlement,
    SuppressReason, Window, WordsId,
};
use crate::decide::Decide;
use crate::ids::EnablementId;

const LIKE: ActionKind = ActionKind::Like;

fn reserved(kind: ActionKind, mode: Mode, requests: u32) -> BotEvent {
    BotEvent::ActionReserved {
        action_id: action(1),
        run_id: run(),
        campaign_id: campaign(),
        enablement_id: enablement(),
        kind,
        target: "3141592653_4711".to_owned(),
        mode,
        requests,
        local_day: start().date_naive(),
        words: None,
        next_write_at: start() + TimeDelta::seconds(60),
        at: start(),
    }
}

fn reconcile(settlement: Settlement, at: DateTime<Utc>) -> BotCommand {
    BotCommand::ReconcileAction { action_id: action(1), settlement, evidence: "liked".to_owned(), at }
}

#[test]
fn who_asked_for_no_contact_is_left_alone_for_ever_but_may_be_unfollowed() {
    let stop = |at| BotCommand::StopContact { person: "42".to_owned(), reason: "stop".to_owned(), at };
    let story = Story::running(Mode::Live).does(stop);
    assert!(story.bot.has_stopped("42"));
    assert_eq!(story.bot.decide(stop(story.now)), Ok(Vec::new()));
    for (kind, target) in [(ActionKind::Dm, "42"), (ActionKind::Follow, "42"), (ActionKind::Like, "7_42")] {
        assert_eq!(story.bot.check_contact(kind, target), Err(BotError::ContactStopped));
    }
    for (kind, target) in [(ActionKind::Unfollow, "42"), (ActionKind::Like, "42_7"), (ActionKind::Dm, "43")] {
        assert_eq!(story.bot.check_contact(kind, target), Ok(()));
    }
}

#[test]
fn same_words_go_to_five_people_a_week_and_no_more() {
    let words = Some(WordsId::of("nice one!"));
    let mut story = Story::warmed_up();
    for number in 1..=5 {
        let new = NewReservation { words, ..new_reservation(number, ActionKind::Comment, story.now) };
        story = story
            .does(|_| BotCommand::ReserveAction(new))
            .does(|at| record(number, performed(), at))
            .later(TimeDelta::days(1));
    }
    let new = |story: &Story, words| {
        BotCommand::ReserveAction(NewReservation { words, ..new_reservation(6, ActionKind::Comment, story.now) })
    };
    assert_eq!(story.bot.decide(new(&story, words)), Err(BotError::TextRepeated));
    assert!(story.bot.decide(new(&story, Some(WordsId::of("another one")))).is_ok());
    let story = story.later(TimeDelta::days(7));
    assert!(story.bot.decide(new(&story, words)).is_ok());
}

#[test]
fn reservation_says_everything_that_the_call_needs() {
    Story::running(Mode::Live).when(reserve(1, LIKE, start())).then_expect_events(vec![reserved(LIKE, Mode::Live, 1)]);
}

#[test]
fn dry_run_costs_no_gateway_call() {
    let mut new = new_reservation(1, LIKE, start());
    new.requests = 7;
    Story::running(Mode::DryRun).when(BotCommand::ReserveAction(new)).then_expect_events(vec![reserved(
        LIKE,
        Mode::DryRun,
        0,
    )]);
}

#[test]
fn a_dry_run_of_comments_and_messages_does_not_wait_for_an_account_to_grow_old() {
    for kind in [ActionKind::Comment, ActionKind::Dm] {
        Story::running(Mode::DryRun).when(reserve(1, kind, start())).then_expect_events(vec![reserved(
            kind,
            Mode::DryRun,
            0,
        )]);
    }
}

#[test]
fn a_live_action_costs_at_least_its_own_call() {
    let mut new = new_reservation(1, LIKE, start());
    new.requests = 0;
    Story::running(Mode::Live).when(BotCommand::ReserveAction(new)).then_expect_events(vec![reserved(
        LIKE,
        Mode::Live,
        1,
    )]);
}

#[test]
fn the_next_write_comes_sixty_to_a_hundred_and_eighty_seconds_later() {
    for (roll, wait) in [(0.0, 60_000), (0.5, 120_000), (0.999_999, 179_999), (9.0, 180_000), (f64::NAN, 180_000)] {
        let mut new = new_reservation(1, LIKE, start());
        new.roll = roll;
        let events = Story::running(Mode::Live).when(BotCommand::ReserveAction(new)).inspect_result().unwrap();
        let BotEvent::ActionReserved { next_write_at, .. } = events[0] else { panic!("{events:?}") };
        assert_eq!((next_write_at - start()).num_milliseconds(), wait);
    }
}

#[test]
fn one_action_is_open_at_a_time() {
    let story = Story::acting(Mode::Live);
    story.refuses(reserve(2, LIKE, start()), BotError::ReservationOpen { action_id: action(1) });
}

#[test]
fn an_action_is_reserved_once() {
    let open = Story::acting(Mode::Live);
    let settled = open.clone().does(|at| record(1, performed(), at)).later(TimeDelta::hours(2));
    let doubtful = Story::in_doubt().later(TimeDelta::hours(2));
    for story in [open, settled, doubtful] {
        story.refuses(reserve(1, LIKE, story.now), BotError::AlreadyReserved { action_id: action(1) });
    }
}

#[test]
fn a_reservation_belongs_to_the_enablement_and_the_plan() {
    let mut stale = new_reservation(1, LIKE, start());
    stale.enablement_id = EnablementId::from_uuid(Uuid::from_u128(99));
    let mut unplanned = new_reservation(1, LIKE, start());
    unplanned.campaign_id = other_campaign();
    let story = Story::running(Mode::Live);
    story.refuses(BotCommand::ReserveAction(stale), BotError::StaleEnablement);
    story.refuses(BotCommand::ReserveAction(unplanned), BotError::NotPlanned { campaign_id: other_campaign() });
}

#[test]
fn a_target_has_a_greatest_length() {
    let mut new = new_reservation(1, LIKE, start());
    new.target = "x".repeat(201);
    let too_long = BotError::TooLong { field: "target", length: 201, most: 200 };
    Story::running(Mode::Live).refuses(BotCommand::ReserveAction(new), too_long);
}

#[test]
fn what_has_to_wait_is_suppressed_with_the_reason_and_the_time() {
    let story = Story::acting(Mode::Live).does(|at| record(1, performed(), at)).later(TimeDelta::seconds(59));
    let next_write_at = start() + TimeDelta::seconds(60);
    story.when(reserve(2, LIKE, story.now)).then_expect_events(vec![BotEvent::ActionSuppressed {
        action_id: action(2),
        run_id: run(),
        campaign_id: campaign(),
        kind: LIKE,
        target: "3141592653_4711".to_owned(),
        mode: Mode::Live,
        reason: SuppressReason::Pacing,
        counter: None,
        window: None,
        frees_at: Some(next_write_at),
        local_day: start().date_naive(),
        at: story.now,
    }]);
}

#[test]
fn a_suppressed_action_may_be_reserved_later() {
    let story = Story::acting(Mode::Live).does(|at| record(1, performed(), at));
    let story = story.does(|at| reserve(2, LIKE, at)).later(TimeDelta::hours(1)).does(|at| reserve(2, LIKE, at));
    assert_eq!(story.bot.open_reservation().map(|open| open.action_id), Some(action(2)));
}

#[test]
fn each_outcome_closes_the_reservation_with_its_own_event() {
    let (action_id, kind, local_day, at) = (action(1), LIKE, start().date_naive(), start());
    let (class, code) = (FailureClass::SkipTarget, "MEDIA_NOT_FOUND".to_owned());
    let cases = [
        (
            Mode::Live,
            performed(),
            BotEvent::ActionPerformed { action_id, kind, local_day, evidence: "answered ok".to_owned(), at },
        ),
        (Mode::DryRun, Outcome::Simulated, BotEvent::ActionSimulated { action_id, kind, local_day, at }),
        (
            Mode::Live,
            Outcome::Refused { class, code: code.clone() },
            BotEvent::ActionRefused { action_id, kind, local_day, class, code: code.clone(), at },
        ),
        (
            Mode::DryRun,
            Outcome::Refused { class, code: code.clone() },
            BotEvent::ActionRefused { action_id, kind, local_day, class, code: code.clone(), at },
        ),
        (
            Mode::Live,
            Outcome::Failed { class, code: code.clone() },
            BotEvent::ActionFailed { action_id, kind, local_day, class, code, at },
        ),
        (
            Mode::Live,
            in_doubt(),
            BotEvent::ActionInDoubt {
                action_id,
                kind,
                local_day,
                code: "PLATFORM_NO_ANSWER".to_owned(),
                evidence: "not readable".to_owned(),
                at,
            },
        ),
    ];
    for (mode, outcome, event) in cases {
        let story = Story::acting(mode);
        story.when(record(1, outcome.clone(), start())).then_expect_events(vec![event]);
        let story = story.does(|at| record(1, outcome, at));
        assert_eq!(story.bot.open_reservation(), None);
        story.refuses(record(1, performed(), start()), BotError::NoReservation { action_id });
    }
}

#[test]
fn an_outcome_needs_its_own_reservation() {
    Story::running(Mode::Live)
        .refuses(record(1, performed(), start()), BotError::NoReservation { action_id: action(1) });
    Story::acting(Mode::Live)
        .refuses(record(2, performed(), start()), BotError::NoReservation { action_id: action(2) });
}

#[test]
fn an_outcome_fits_the_mode_of_its_reservation() {
    let wrong = BotError::WrongMode { action_id: action(1) };
    Story::acting(Mode::Live).refuses(record(1, Outcome::Simulated, start()), wrong.clone());
    for outcome in [performed(), in_doubt()] {
        Story::acting(Mode::DryRun).refuses(record(1, outcome, start()), wrong.clone());
    }
}

#[test]
fn an_outcome_keeps_the_local_day_of_its_reservation() {
    let story = Story::acting(Mode::Live).later(TimeDelta::days(1));
    let events = story.when(record(1, performed(), story.now)).inspect_result().unwrap();
    let BotEvent::ActionPerformed { local_day, .. } = events[0] else { panic!("{events:?}") };
    assert_eq!(local_day, start().date_naive());
}

#[test]
fn long_evidence_and_codes_are_cut_so_that_the_outcome_is_recorded() {
    let long = "é".repeat(3_000);
    let outcomes = [
        Outcome::Performed { evidence: long.clone() },
        Outcome::Refused { class: FailureClass::SkipTarget, code: long.clone() },
        Outcome::Failed { class: FailureClass::SkipTarget, code: long.clone() },
        Outcome::InDoubt { code: long.clone(), evidence: long.clone() },
    ];
    for outcome in outcomes {
        let events = Story::acting(Mode::Live).when(record(1, outcome, start())).inspect_result().unwrap();
        match &events[0] {
            BotEvent::ActionPerformed { evidence, .. } => assert_eq!(evidence.chars().count(), 1_000),
            BotEvent::ActionRefused { code, .. } | BotEvent::ActionFailed { code, .. } => {
                assert_eq!(code.chars().count(), 100);
            }
            BotEvent::ActionInDoubt { code, evidence, .. } => {
                assert_eq!((code.chars().count(), evidence.chars().count()), (100, 1_000));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_action_in_doubt_is_settled_once() {
    for settlement in [Settlement::Performed, Settlement::NotPerformed] {
        let story = Story::in_doubt();
        story.when(reconcile(settlement, start())).then_expect_events(vec![BotEvent::ActionReconciled {
            action_id: action(1),
            kind: LIKE,
            local_day: start().date_naive(),
            settlement,
            evidence: "liked".to_owned(),
            at: start(),
        }]);
        let story = story.does(|at| reconcile(settlement, at));
        assert_eq!(story.bot.in_doubt().count(), 0);
        story.refuses(reconcile(settlement, start()), BotError::NotInDoubt { action_id: action(1) });
    }
}

#[test]
fn only_what_is_in_doubt_is_reconciled() {
    let not_in_doubt = BotError::NotInDoubt { action_id: action(1) };
    Story::acting(Mode::Live).refuses(reconcile(Settlement::Performed, start()), not_in_doubt.clone());
    Story::running(Mode::Live).refuses(reconcile(Settlement::Performed, start()), not_in_doubt);
}

#[test]
fn an_action_in_doubt_does_not_hold_up_the_next_one() {
    let story = Story::in_doubt().later(TimeDelta::hours(1)).does(|at| reserve(2, LIKE, at));
    assert_eq!(story.bot.open_reservation().map(|open| open.action_id), Some(action(2)));
}

#[test]
fn an_action_in_doubt_or_failed_still_counts_against_the_limit() {
    let story = Story::in_doubt();
    assert_eq!(story.bot.used(Mode::Live, Counter::Like, Window::Day, start()), 1);
    let story = story.does(|at| reconcile(Settlement::NotPerformed, at));
    assert_eq!(story.bot.used(Mode::Live, Counter::Like, Window::Day, start()), 1);
}

#[test]
fn an_open_action_survives_pausing_and_is_recorded_in_every_state() {
    let story = Story::acting(Mode::Live).does(story::pause).does(story::disable).does(story::logout);
    assert_eq!(story.bot.open_reservation().map(|open| open.action_id), Some(action(1)));
    assert_eq!(story.does(|at| record(1, performed(), at)).bot.open_reservation(), None);
}
