//! Given, when, then; what is refused; names.

use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::{Role, User, UserCommand, UserError, UserEvent, normal_username};
use crate::decide::fold;
use crate::ids::{CredentialId, UserId};

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
}

fn user_id() -> UserId {
    UserId::from_uuid(Uuid::from_u128(1))
}

fn credential(number: u128) -> CredentialId {
    CredentialId::from_uuid(Uuid::from_u128(number))
}

fn register(username: &str) -> UserCommand {
    UserCommand::Register {
        user_id: user_id(),
        username: username.to_owned(),
        role: Role::Admin,
        credential_id: credential(2),
        must_change_password: true,
        at: at(),
    }
}

fn registered() -> UserEvent {
    UserEvent::UserRegistered {
        user_id: user_id(),
        username: "ada".to_owned(),
        role: Role::Admin,
        credential_id: credential(2),
        must_change_password: true,
        at: at(),
    }
}

fn change_password() -> UserCommand {
    UserCommand::ChangePassword { credential_id: credential(3), must_change_password: false, at: at() }
}

fn changed() -> UserEvent {
    UserEvent::PasswordChanged { credential_id: credential(3), must_change_password: false, at: at() }
}

fn deactivate() -> UserCommand {
    UserCommand::Deactivate { at: at() }
}

fn deactivated() -> UserEvent {
    UserEvent::UserDeactivated { at: at() }
}

fn framework() -> TestFramework<User> {
    TestFramework::with(())
}

#[test]
fn a_user_is_registered_under_a_normal_name() {
    framework().given_no_previous_events().when(register(" Ada ")).then_expect_events(vec![registered()]);
    let user = fold(User::default(), [registered()]);
    assert_eq!((user.id(), user.username(), user.role()), (Some(user_id()), Some("ada"), Some(Role::Admin)));
    assert_eq!(user.credential_id(), Some(credential(2)));
    assert!(user.must_change_password() && user.is_active());
}

#[test]
fn a_changed_password_is_the_one_that_counts() {
    framework().given(vec![registered()]).when(change_password()).then_expect_events(vec![changed()]);
    let user = fold(User::default(), [registered(), changed()]);
    assert_eq!(user.credential_id(), Some(credential(3)));
    assert!(!user.must_change_password());
}

#[test]
fn a_deactivated_user_may_not_sign_in() {
    framework().given(vec![registered()]).when(deactivate()).then_expect_events(vec![deactivated()]);
    assert!(!fold(User::default(), [registered(), deactivated()]).is_active());
    assert!(!User::default().is_active());
}

#[test]
fn every_command_in_a_state_that_does_not_allow_it_names_both() {
    let gone = vec![registered(), deactivated()];
    let cells = [
        (vec![registered()], register("eve"), "registered already"),
        (gone.clone(), register("eve"), "registered already"),
        (vec![], change_password(), "not registered"),
        (gone.clone(), change_password(), "deactivated"),
        (vec![], deactivate(), "not registered"),
        (gone, deactivate(), "deactivated"),
    ];
    for (history, command, state) in cells {
        let refusal = UserError::NotAllowed { command: command.name(), state };
        framework().given(history).when(command).then_expect_error(refusal);
    }
}

#[test]
fn names_are_short_plain_and_start_with_a_letter_or_digit() {
    let long = "a".repeat(41);
    // The Kelvin sign is K in lower case only for those who read Unicode.
    for given in ["", "ab", long.as_str(), ".ada", "-ada", "_ada", "a da", "ada!", "ādam", "ada\u{212A}"] {
        assert_eq!(normal_username(given), Err(UserError::InvalidUsername), "{given:?}");
        framework().given_no_previous_events().when(register(given)).then_expect_error(UserError::InvalidUsername);
    }
    for (given, stored) in [("Ada.L-1_x", "ada.l-1_x"), ("007", "007")] {
        assert_eq!(normal_username(given), Ok(stored.to_owned()));
    }
    assert!(normal_username(&"a".repeat(40)).is_ok());
}
