//! Given, when, then; what is refused.

use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::{BotChange, BotSettings, Engine, EngineCommand, EngineError, EngineEvent, SettingChange, SettingsChange};
use crate::decide::{Decide, fold};
use crate::ids::BotId;

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
}

fn bot(number: u128) -> BotId {
    BotId::from_uuid(Uuid::from_u128(number))
}

fn of_bot(number: u128, weight: Option<i64>) -> BotChange {
    BotChange { bot_id: bot(number), max_running: None, weight, paused: None }
}

fn change(change: SettingsChange) -> EngineCommand {
    EngineCommand::ChangeSettings { change, revision: None, at: at() }
}

fn changed(revision: i64, changes: Vec<SettingChange>) -> EngineEvent {
    EngineEvent::EngineSettingsChanged { revision, changes, at: at() }
}

fn refused(change: SettingsChange) -> EngineError {
    let command = EngineCommand::ChangeSettings { change, revision: None, at: at() };
    Engine::default().decide(command).unwrap_err()
}

#[test]
fn a_change_says_what_each_setting_was_and_is() {
    let asked = SettingsChange {
        max_running: Some(8),
        max_running_per_bot: Some(64),
        paused: Some(Some("a look".to_owned())),
        requests_per_minute: Some(90),
        bots: vec![of_bot(1, Some(3))],
    };
    TestFramework::<Engine>::with(()).given_no_previous_events().when(change(asked)).then_expect_events(vec![changed(
        1,
        vec![
            SettingChange::MaxRunning { old: 512, new: 8 },
            SettingChange::Paused { old: None, new: Some("a look".to_owned()) },
            SettingChange::RequestsPerMinute { old: None, new: Some(90) },
            SettingChange::Bot {
                bot_id: bot(1),
                old: BotSettings::default(),
                new: BotSettings { weight: Some(3), ..BotSettings::default() },
            },
        ],
    )]);
}

#[test]
fn what_changes_nothing_is_no_event() {
    let asked = SettingsChange { max_running: Some(512), bots: vec![of_bot(1, None)], ..SettingsChange::default() };
    TestFramework::<Engine>::with(()).given_no_previous_events().when(change(asked)).then_expect_events(vec![]);
}

#[test]
fn a_change_of_settings_that_somebody_else_changed_is_refused() {
    let given = changed(1, vec![SettingChange::MaxRunning { old: 512, new: 8 }]);
    let asked = SettingsChange { max_running: Some(9), ..SettingsChange::default() };
    let command = |revision| EngineCommand::ChangeSettings { change: asked.clone(), revision, at: at() };
    TestFramework::<Engine>::with(())
        .given(vec![given.clone()])
        .when(command(Some(0)))
        .then_expect_error(EngineError::Outdated { expected: 0, revision: 1 });
    TestFramework::<Engine>::with(())
        .given(vec![given])
        .when(command(Some(1)))
        .then_expect_events(vec![changed(2, vec![SettingChange::MaxRunning { old: 8, new: 9 }])]);
}

#[test]
fn a_bot_that_is_as_all_is_remembered_no_more() {
    let own = BotSettings { weight: Some(3), ..BotSettings::default() };
    let (set, taken) = (
        SettingChange::Bot { bot_id: bot(1), old: BotSettings::default(), new: own.clone() },
        SettingChange::Bot { bot_id: bot(1), old: own.clone(), new: BotSettings::default() },
    );
    let with = fold(Engine::default(), [changed(1, vec![set])]);
    assert_eq!(with.settings().bot(bot(1)), own);
    let without = fold(with, [changed(2, vec![taken])]);
    assert!(without.settings().bots.is_empty());
    assert_eq!(without.revision(), 2);
}

#[test]
fn numbers_out_of_range_long_reasons_and_too_many_bots_are_refused_with_their_place() {
    let long = Some("x".repeat(501));
    let usual = SettingsChange::default;
    let crowd = (0..1_001).map(|number| of_bot(number, Some(2))).collect();
    let heavy = BotChange { weight: Some(11), ..of_bot(1, None) };
    let wordy = BotChange { paused: long.clone(), ..of_bot(1, None) };
    let busy = BotChange { max_running: Some(1_001), ..of_bot(1, None) };
    for (change, code, path) in [
        (SettingsChange { max_running: Some(0), ..usual() }, "ENGINE_SETTING_OUT_OF_RANGE", &["max_running"][..]),
        (
            SettingsChange { max_running_per_bot: Some(1_001), ..usual() },
            "ENGINE_SETTING_OUT_OF_RANGE",
            &["max_running_per_bot"],
        ),
        (
            SettingsChange { requests_per_minute: Some(-1), ..usual() },
            "ENGINE_SETTING_OUT_OF_RANGE",
            &["requests_per_minute"],
        ),
        (SettingsChange { paused: Some(long), ..usual() }, "ENGINE_REASON_TOO_LONG", &["pause_reason"]),
        (SettingsChange { bots: vec![heavy], ..usual() }, "ENGINE_SETTING_OUT_OF_RANGE", &["bots", "weight"]),
        (SettingsChange { bots: vec![busy], ..usual() }, "ENGINE_SETTING_OUT_OF_RANGE", &["bots", "max_running"]),
        (SettingsChange { bots: vec![wordy], ..usual() }, "ENGINE_REASON_TOO_LONG", &["bots", "pause_reason"]),
        (SettingsChange { bots: crowd, ..usual() }, "ENGINE_TOO_MANY_BOTS", &["bots"]),
    ] {
        let error = refused(change);
        assert_eq!((error.code(), error.path()), (code, path), "{error}");
    }
}

#[test]
fn a_speed_that_was_set_but_not_recorded_is_recorded_when_it_is_asked_for_again() {
    let record = |old, new| EngineCommand::RecordClockSpeed { old, new, at: at() };
    let recorded = |old, new| EngineEvent::ClockSpeedChanged { old, new, at: at() };
    let fresh = Engine::default();
    assert_eq!(fresh.decide(record(1.0, 1.0)), Ok(vec![]));
    assert_eq!(fresh.decide(record(1.0, 60.0)), Ok(vec![recorded(1.0, 60.0)]));
    let known = fold(fresh, [recorded(1.0, 60.0)]);
    assert_eq!(known.decide(record(60.0, 60.0)), Ok(vec![]));
    assert_eq!(known.decide(record(90.0, 90.0)), Ok(vec![recorded(90.0, 90.0)]));
}
