//! Linking and unlinking, limits as a person sets them, failing and recovering.

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::story::{self, Story, account_id, action, bot_id, link, password, start};
use crate::bot::{
    BotCommand, BotError, BotEvent, BotState, Counter, FailureClass, Limits, LoginFailureReason, Mode, WorkingHours,
};
use crate::ids::{AccountId, SecretId};

fn linked(username: &str) -> BotEvent {
    BotEvent::AccountLinked {
        account_id: account_id(),
        username: username.to_owned(),
        zone: Tz::UTC,
        password: password(),
        at: start(),
    }
}

#[test]
fn new_bot_is_initialized() {
    Story::new()
        .when(BotCommand::Initialize { bot_id: bot_id(), at: start() })
        .then_expect_events(vec![BotEvent::BotInitialized { bot_id: bot_id(), at: start() }]);
    assert_eq!(Story::initialized().bot.id(), Some(bot_id()));
}

#[test]
fn linking_stores_the_name_as_the_platform_writes_it() {
    for given in ["mara", " @Mara ", "MARA"] {
        Story::initialized().when(link(given, Tz::UTC, start())).then_expect_events(vec![linked("mara")]);
    }
    Story::initialized().when(link("m_a.ra9", Tz::UTC, start())).then_expect_events(vec![linked("m_a.ra9")]);
}

#[test]
fn linking_refuses_what_is_no_user_name() {
    let too_long = "a".repeat(31);
    // The Kelvin sign is K in lower case only for those who read Unicode.
    for given in ["", "  ", "@", "@@mara", "mara!", "ma ra", "māra", "mar\u{212A}", too_long.as_str()] {
        let refusal = Story::initialized().when(link(given, Tz::UTC, start())).inspect_result();
        assert!(matches!(refusal, Err(BotError::InvalidUsername { .. })), "{given:?}: {refusal:?}");
    }
    Story::initialized()
        .refuses(link("mara!", Tz::UTC, start()), BotError::InvalidUsername { username: "mara!".to_owned() });
}

#[test]
fn a_refused_user_name_is_shown_in_part_only() {
    let refusal = Story::initialized().when(link(&"é".repeat(10_000), Tz::UTC, start())).inspect_result();
    assert_eq!(refusal, Err(BotError::InvalidUsername { username: "é".repeat(60) }));
}

#[test]
fn linking_needs_the_typed_yes() {
    for given in ["", "y", "no", "yes please"] {
        let mut command = link("mara", Tz::UTC, start());
        if let BotCommand::LinkAccount { consent, .. } = &mut command {
            given.clone_into(consent);
        }
        Story::initialized().refuses(command, BotError::ConsentMissing);
    }
}

#[test]
fn one_account_a_user() {
    Story::linked()
        .refuses(link("other", Tz::UTC, start()), BotError::AccountAlreadyLinked { username: "mara".to_owned() });
}

#[test]
fn linking_again_replaces_the_password_and_keeps_the_account() {
    let new_password = SecretId::from_uuid(Uuid::from_u128(77));
    let command = BotCommand::LinkAccount {
        account_id: AccountId::from_uuid(Uuid::from_u128(78)),
        username: "Mara".to_owned(),
        zone: Tz::Asia__Kolkata,
        password: new_password,
        consent: "YES".to_owned(),
        at: start(),
    };
    let story = Story::logged_in().does(story::logout).does(|_| command);
    let account = story.bot.account().unwrap();
    assert_eq!(account.account_id, account_id());
    assert_eq!(account.password, new_password);
    assert_eq!(account.zone, Tz::Asia__Kolkata);
    assert_eq!(account.platform_pk.as_deref(), Some("4711"));
}

#[test]
fn linking_again_lets_a_rejected_password_be_replaced() {
    let story = Story::logging_in()
        .does(|at| BotCommand::RecordLoginFailure {
            attempt: 1,
            reason: LoginFailureReason::WrongPassword,
            roll: 0.0,
            at,
        })
        .later(TimeDelta::hours(1));
    story.refuses(story::login(story.now), BotError::PasswordRejected);
    assert_eq!(story.does(|at| link("mara", Tz::UTC, at)).does(story::login).state(), BotState::LoggingIn);
}

#[test]
fn unlinking_needs_an_account() {
    Story::initialized().refuses(BotCommand::UnlinkAccount { at: start() }, BotError::NoAccount);
}

#[test]
fn unlinking_forgets_the_account_its_lock_and_its_dry_runs_but_not_the_wait() {
    let failed = Story::logging_in().does(|at| BotCommand::RecordLoginFailure {
        attempt: 1,
        reason: LoginFailureReason::Other,
        roll: 0.0,
        at,
    });
    let story = failed.does(story::challenge).does(|at| BotCommand::UnlinkAccount { at });
    assert_eq!(story.bot.account(), None);
    assert_eq!(story.bot.login().challenge, None);
    let story = story.does(|at| link("other", Tz::UTC, at));
    let retry_not_before = start() + TimeDelta::seconds(30);
    story.refuses(story::login(start()), BotError::LoginBackoff { retry_not_before });
    assert_eq!(story.at(retry_not_before).does(story::login).bot.login().attempt, 2);
}

#[test]
fn unlinking_leaves_an_open_action_in_doubt_because_nobody_can_read_what_became_of_it() {
    let story = Story::acting(Mode::Live).does(story::logout);
    let local_day = start().date_naive();
    let kind = crate::bot::ActionKind::Like;
    story.when(BotCommand::UnlinkAccount { at: start() }).then_expect_events(vec![
        BotEvent::ActionInDoubt {
            action_id: action(1),
            kind,
            local_day,
            code: "ACCOUNT_UNLINKED".to_owned(),
            evidence: String::new(),
            at: start(),
        },
        BotEvent::AccountUnlinked { account_id: account_id(), at: start() },
    ]);
    let story = story.does(|at| BotCommand::UnlinkAccount { at });
    assert_eq!(story.bot.open_reservation(), None);
    assert_eq!(story.bot.in_doubt().count(), 1);
}

#[test]
fn unlinking_ends_an_open_action_of_a_dry_run_as_failed() {
    let story = Story::acting(Mode::DryRun).does(story::logout);
    let events = story.when(BotCommand::UnlinkAccount { at: start() }).inspect_result().unwrap();
    assert_eq!(
        events[0],
        BotEvent::ActionFailed {
            action_id: action(1),
            kind: crate::bot::ActionKind::Like,
            local_day: start().date_naive(),
            class: FailureClass::SkipTarget,
            code: "ACCOUNT_UNLINKED".to_owned(),
            at: start(),
        }
    );
}

#[test]
fn another_account_warms_up_anew() {
    let story = Story::warmed_up();
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 40);
    let story = story.does(story::logout).does(|at| BotCommand::UnlinkAccount { at });
    let story = story.does(|at| link("other", Tz::UTC, at));
    assert_eq!(story.bot.daily_limit(Mode::Live, Counter::Like, story.now), 10);
}

#[test]
fn lowered_limits_hold_at_once_and_raised_ones_from_the_next_local_day() {
    let zone = Tz::America__New_York;
    let story = Story::initialized().does(|at| link("mara", zone, at));
    let limits = Limits { like: 100, follow: 3, hours: WorkingHours { from: 8, until: 20 }, ..Limits::default() };
    let effective = Limits { like: 40, ..limits.clone() };
    let raises_at = Utc.with_ymd_and_hms(2026, 3, 3, 5, 0, 0).unwrap();
    story.when(BotCommand::ChangeLimits { limits: limits.clone(), at: start() }).then_expect_events(vec![
        BotEvent::LimitsChanged { limits: limits.clone(), effective: effective.clone(), raises_at, at: start() },
    ]);
    let story = story.does(|at| BotCommand::ChangeLimits { limits: limits.clone(), at });
    assert_eq!(story.bot.raised_limits(), Some(&(limits.clone(), raises_at)));
    assert_eq!(story.bot.limits_at(raises_at - TimeDelta::milliseconds(1)), &effective);
    assert_eq!(story.bot.limits_at(raises_at), &limits);
}

#[test]
fn a_second_change_of_the_day_replaces_the_first_raise() {
    let story = Story::linked().limited(|limits| limits.like = 120).limited(|limits| limits.like = 60);
    let tomorrow = start() + TimeDelta::days(1);
    assert_eq!(story.bot.limits_at(story.now).like, 40);
    assert_eq!(story.bot.limits_at(tomorrow).like, 60);
    let back = story.limited(|_| ());
    assert_eq!(back.bot.raised_limits(), None);
}

#[test]
fn a_raise_that_took_effect_is_what_the_next_change_is_measured_by() {
    let story = Story::linked().limited(|limits| limits.like = 120).later(TimeDelta::days(1));
    let story = story.limited(|limits| limits.like = 110);
    assert_eq!(story.bot.limits_at(story.now).like, 110);
    assert_eq!(story.bot.raised_limits(), None);
}

#[test]
fn nobody_can_pass_a_ceiling() {
    for counter in Counter::ALL.iter().copied() {
        for (above, accepted) in [(0, true), (1, false)] {
            let asked = counter.ceiling() + above;
            let mut limits = Limits::default();
            *match counter {
                Counter::Follow => &mut limits.follow,
                Counter::Unfollow => &mut limits.unfollow,
                Counter::Like => &mut limits.like,
                Counter::Story => &mut limits.story,
                Counter::Comment => &mut limits.comment,
                Counter::Dm => &mut limits.dm,
                Counter::Request => &mut limits.request,
            } = asked;
            let result = Story::linked().when(BotCommand::ChangeLimits { limits, at: start() }).inspect_result();
            let refusal = BotError::LimitAboveCeiling { counter, asked, ceiling: counter.ceiling() };
            assert_eq!(result.is_ok(), accepted);
            assert!(accepted || result == Err(refusal));
        }
    }
}

#[test]
fn working_hours_are_within_a_day() {
    for (from, until) in [(9, 9), (21, 9), (0, 25), (24, 24), (255, 255)] {
        let limits = Limits { hours: WorkingHours { from, until }, ..Limits::default() };
        Story::linked()
            .refuses(BotCommand::ChangeLimits { limits, at: start() }, BotError::InvalidHours { from, until });
    }
    let story = Story::linked().limited(|limits| limits.hours = WorkingHours { from: 0, until: 24 });
    assert_eq!(story.bot.limits_at(start()).hours, WorkingHours { from: 0, until: 24 });
}

#[test]
fn failed_bot_keeps_its_session_for_the_login_after_the_person_looked() {
    let story = Story::running(Mode::Live).does(story::fail);
    assert_eq!(story.bot.error_reason(), Some("by hand"));
    assert_eq!(story.bot.enablement(), None);
    let story = story.does(|at| BotCommand::RecoverBot { at });
    assert_eq!(story.state(), BotState::LoggedOut);
    assert_eq!(story.bot.error_reason(), None);
    assert_eq!(story.bot.login().session, None);
    assert_eq!(story.bot.login().interrupted_session, Some(story::session()));
}

#[test]
fn a_long_reason_of_a_failure_is_cut_and_the_bot_fails_all_the_same() {
    let story = Story::linked().does(|at| BotCommand::FailBot { reason: "ü".repeat(2_000), at });
    assert_eq!(story.bot.error_reason(), Some("ü".repeat(500).as_str()));
}
