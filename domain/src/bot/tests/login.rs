//! Logins, their backoff, two-factor codes and challenges.

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::story::{self, Story, login, login_success, password, session, start, verification_code};
use crate::bot::{BotCommand, BotError, BotEvent, BotState, LoginFailureReason, Mode, login_backoff};

fn failure(attempt: u32, reason: LoginFailureReason, at: chrono::DateTime<chrono::Utc>) -> BotCommand {
    BotCommand::RecordLoginFailure { attempt, reason, roll: 0.0, at }
}

fn with_code(at: chrono::DateTime<chrono::Utc>) -> BotCommand {
    BotCommand::RequestLogin { verification_code: Some(verification_code()), at }
}

fn two_factor(attempt: u32, at: chrono::DateTime<chrono::Utc>) -> BotCommand {
    BotCommand::RequireTwoFactor { attempt, at }
}

#[test]
fn login_is_requested_with_the_sealed_password() {
    Story::linked().when(login(start())).then_expect_events(vec![BotEvent::LoginRequested {
        attempt: 1,
        password: password(),
        verification_code: None,
        at: start(),
    }]);
}

#[test]
fn login_needs_an_account() {
    Story::initialized().refuses(login(start()), BotError::NoAccount);
}

#[test]
fn success_opens_a_session_that_is_not_verified_yet() {
    let session_expires_at = start() + TimeDelta::days(90);
    Story::logging_in().when(login_success(1, start())).then_expect_events(vec![BotEvent::LoginSucceeded {
        attempt: 1,
        platform_pk: "4711".to_owned(),
        session: session(),
        key_id: "key-1".to_owned(),
        session_expires_at,
        at: start(),
    }]);
    let story = Story::logged_in();
    assert_eq!(story.bot.login().session, Some(session()));
    assert_eq!(story.bot.login().session_expires_at, Some(session_expires_at));
    assert_eq!(story.bot.login().verified_at, None);
}

#[test]
fn an_outcome_of_an_earlier_attempt_is_refused() {
    let story = Story::logging_in()
        .does(|at| failure(1, LoginFailureReason::Other, at))
        .later(TimeDelta::minutes(1))
        .does(login);
    let stale = BotError::StaleLoginAttempt { attempt: 1, current: 2 };
    story.refuses(login_success(1, story.now), stale.clone());
    story.refuses(failure(1, LoginFailureReason::Other, story.now), stale.clone());
    story.refuses(two_factor(1, story.now), stale);
}

#[test]
fn a_login_to_another_account_than_the_known_one_fails() {
    let story = Story::logged_in().does(story::logout).does(login);
    let mut command = login_success(2, start());
    if let BotCommand::RecordLoginSuccess { platform_pk, .. } = &mut command {
        *platform_pk = "1".to_owned();
    }
    story.when(command).then_expect_events(vec![BotEvent::LoginFailed {
        attempt: 2,
        reason: LoginFailureReason::WrongAccount,
        retry_not_before: start() + TimeDelta::seconds(30),
        at: start(),
    }]);
}

#[test]
fn keys_of_a_login_have_a_greatest_length() {
    for field in ["platform_pk", "key_id"] {
        let mut command = login_success(1, start());
        if let BotCommand::RecordLoginSuccess { platform_pk, key_id, .. } = &mut command {
            *(if field == "key_id" { key_id } else { platform_pk }) = "1".repeat(201);
        }
        Story::logging_in().refuses(command, BotError::TooLong { field, length: 201, most: 200 });
    }
}

#[test]
fn failures_back_off_from_thirty_seconds_to_six_hours() {
    let mut story = Story::linked();
    for (attempt, wait) in (1..).zip([30, 60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600]) {
        story = story.does(login).does(|at| failure(attempt, LoginFailureReason::GatewayUnavailable, at));
        let retry_not_before = story.now + TimeDelta::seconds(wait);
        let last_moment = retry_not_before - TimeDelta::milliseconds(1);
        story.refuses(login(last_moment), BotError::LoginBackoff { retry_not_before });
        story = story.at(retry_not_before);
    }
    let story = story.does(login).logs_in().does(story::logout).does(login);
    let story = story.does(|at| failure(14, LoginFailureReason::Other, at));
    assert_eq!(story.bot.login().retry_not_before, Some(story.now + TimeDelta::seconds(30)));
}

#[test]
fn a_roll_that_is_no_number_waits_the_full_time() {
    assert_eq!(login_backoff::delay(1, f64::NAN), TimeDelta::seconds(30));
    assert_eq!(login_backoff::delay(u32::MAX, f64::INFINITY), TimeDelta::seconds(16_200));
    assert_eq!(login_backoff::delay(0, -7.0), TimeDelta::seconds(30));
}

#[test]
fn a_wrong_password_is_tried_once_then_waits_for_the_person() {
    let story = Story::logging_in().does(|at| failure(1, LoginFailureReason::WrongPassword, at));
    let story = story.later(TimeDelta::days(30));
    story.refuses(login(story.now), BotError::PasswordRejected);
    story.refuses(with_code(story.now), BotError::PasswordRejected);
}

#[test]
fn a_login_that_is_slowed_down_makes_the_account_wait() {
    let until = start() + TimeDelta::minutes(30);
    let story = Story::logging_in();
    story.when(failure(1, LoginFailureReason::SlowDown, start())).then_expect_events(vec![
        BotEvent::LoginFailed {
            attempt: 1,
            reason: LoginFailureReason::SlowDown,
            retry_not_before: until,
            at: start(),
        },
        BotEvent::SlowDownStarted { step: 1, until, code: "LOGIN_SLOWED_DOWN".to_owned(), at: start() },
    ]);
}

#[test]
fn the_login_with_the_two_factor_code_skips_the_backoff_once() {
    let story = Story::logging_in()
        .does(|at| failure(1, LoginFailureReason::Interrupted, at))
        .later(TimeDelta::seconds(30))
        .does(login)
        .does(|at| two_factor(2, at));
    story.refuses(login(story.now), BotError::TwoFactorCodeRequired);
    story.when(with_code(story.now)).then_expect_events(vec![BotEvent::LoginRequested {
        attempt: 3,
        password: password(),
        verification_code: Some(verification_code()),
        at: story.now,
    }]);
    let wrong = story.does(with_code).does(|at| failure(3, LoginFailureReason::WrongTwoFactorCode, at));
    let retry_not_before = wrong.now + TimeDelta::seconds(60);
    wrong.refuses(with_code(wrong.now), BotError::LoginBackoff { retry_not_before });
    wrong.refuses(login(retry_not_before), BotError::TwoFactorCodeRequired);
    assert_eq!(wrong.at(retry_not_before).does(with_code).logs_in().state(), BotState::LoggedIn);
}

#[test]
fn a_challenge_locks_login_until_the_person_says_it_is_settled() {
    let story = Story::logging_in().does(story::challenge).later(TimeDelta::days(1));
    assert_eq!(story.state(), BotState::LoggedOut);
    story.refuses(login(story.now), BotError::LoginLocked { kind: "CHALLENGE_REQUIRED".to_owned() });
    let story = story.does(link_again).does(|at| BotCommand::ResolveChallenge { at });
    assert_eq!(story.does(login).state(), BotState::LoggingIn);
}

fn link_again(at: chrono::DateTime<chrono::Utc>) -> BotCommand {
    story::link("mara", Tz::UTC, at)
}

#[test]
fn linking_again_does_not_lift_the_lock() {
    let story = Story::logging_in().does(story::challenge).does(link_again);
    story.refuses(login(story.now), BotError::LoginLocked { kind: "CHALLENGE_REQUIRED".to_owned() });
}

#[test]
fn there_must_be_a_challenge_to_resolve() {
    Story::linked().refuses(BotCommand::ResolveChallenge { at: start() }, BotError::NoChallenge);
    Story::linked().does(story::fail).refuses(BotCommand::ResolveChallenge { at: start() }, BotError::NoChallenge);
}

#[test]
fn a_challenge_of_a_bot_that_acts_is_an_error_and_a_second_one_leaves_it_there() {
    for story in [Story::running(Mode::Live), Story::running(Mode::Live).does(story::pause)] {
        let story = story.does(story::challenge);
        assert_eq!(story.state(), BotState::Error);
        let story = story.does(|at| BotCommand::RaiseChallenge { kind: "CAPTCHA_REQUIRED".to_owned(), at });
        assert_eq!(story.state(), BotState::Error);
        assert_eq!(story.bot.error_reason(), Some("challenge: CAPTCHA_REQUIRED"));
        assert_eq!(story.bot.login().challenge.as_deref(), Some("CAPTCHA_REQUIRED"));
    }
}

#[test]
fn recovering_does_not_lift_the_lock() {
    let story = Story::running(Mode::Live).does(story::challenge).does(|at| BotCommand::RecoverBot { at });
    story.refuses(login(story.now), BotError::LoginLocked { kind: "CHALLENGE_REQUIRED".to_owned() });
    assert_eq!(story.does(|at| BotCommand::ResolveChallenge { at }).state(), BotState::LoggedOut);
}

#[test]
fn the_session_that_a_challenge_interrupted_is_kept_for_the_next_login() {
    let story = Story::logged_in().does(story::challenge).does(|at| BotCommand::ResolveChallenge { at });
    assert_eq!(story.bot.login().session, None);
    assert_eq!(story.bot.login().interrupted_session, Some(session()));
    let story = story.does(login).logs_in();
    assert_eq!(story.bot.login().interrupted_session, None);
}

#[test]
fn a_second_challenge_leaves_the_interrupted_session() {
    let story = Story::running(Mode::Live).does(story::challenge).does(story::challenge).does(story::fail);
    assert_eq!(story.bot.login().interrupted_session, Some(session()));
}

#[test]
fn a_session_that_ended_is_forgotten() {
    let expired = BotCommand::RecordSessionExpired { code: "LOGIN_REQUIRED".to_owned(), at: start() };
    for command in [expired, story::logout(start())] {
        let story = Story::running(Mode::Live).does(|_| command);
        assert_eq!(story.bot.login().session, None);
        assert_eq!(story.bot.login().interrupted_session, None);
        assert_eq!(story.bot.login().verified_at, None);
        assert_eq!(story.bot.enablement(), None);
    }
}

#[test]
fn a_success_that_comes_after_a_challenge_is_refused() {
    Story::logging_in().does(story::challenge).refuses(
        login_success(1, start()),
        BotError::NotAllowed { command: "RecordLoginSuccess", state: BotState::LoggedOut },
    );
}

#[test]
fn a_code_that_was_asked_for_before_a_challenge_is_not_asked_for_after_it() {
    let story = Story::logging_in().does(|at| two_factor(1, at)).does(story::challenge);
    let story = story.does(|at| BotCommand::ResolveChallenge { at });
    assert_eq!(story.does(login).state(), BotState::LoggingIn);
}

#[test]
fn codes_of_the_platform_are_cut() {
    let story = Story::logged_in().does(|at| BotCommand::RaiseChallenge { kind: "x".repeat(900), at });
    assert_eq!(story.bot.login().challenge.as_deref(), Some("x".repeat(100).as_str()));
}
