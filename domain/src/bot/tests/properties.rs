//! What holds of every history, however it came about.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use cqrs_es::DomainEvent;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::random::{Step, World, histories};
use super::story;
use crate::any_event::AnyEvent;
use crate::bot::{
    ActionKind, Bot, BotCommand, BotEvent, BotState, Limits, Mode, Outcome, SuppressReason, WorkingHours,
};
use crate::decide::fold;

/// The event as a reader of the log gets it.
fn stored_and_read(event: &BotEvent) -> BotEvent {
    let payload = serde_json::to_value(event).unwrap();
    let (name, version) = (event.event_type(), event.event_version());
    let id = story::bot_id().to_string();
    match AnyEvent::decode("Bot", &id, &name, &version, payload).unwrap() {
        AnyEvent::Bot(bot_id, event) if bot_id == story::bot_id() => event,
        other => panic!("{other:?}"),
    }
}

/// Leads the bot to RUNNING, with time passing where a login has to wait.
fn lead_to_running(world: &mut World) {
    for _ in 0..12 {
        if let Some(until) = world.bot.login().retry_not_before {
            world.now = world.now.max(until);
        }
        let Some(command) = world.towards_running(Mode::Live) else { return };
        let name = command.name();
        let state = world.bot.state();
        if let Err(refusal) = world.ask(command) {
            panic!("{name} in {state}: {refusal}");
        }
    }
    assert_eq!(world.bot.state(), BotState::Running, "stuck");
}

/// Settles what is open, then waits as each suppression says until an action is reserved.
fn wait_for_a_reservation(world: &mut World) {
    if let Some(open) = world.bot.open_reservation().map(|open| open.action_id) {
        let (outcome, at) = (story::in_doubt(), world.now);
        let dry = world.bot.open_reservation().is_some_and(|open| open.mode == Mode::DryRun);
        let outcome = if dry { Outcome::Simulated } else { outcome };
        world.ask(BotCommand::RecordAction { action_id: open, outcome, at }).unwrap();
    }
    let mut number = 1_000_000;
    for _ in 0..40 {
        number += 1;
        let command = story::reserve(number, ActionKind::Like, world.now);
        let events = world.ask(command).unwrap();
        match &events[0] {
            BotEvent::ActionReserved { .. } => return,
            BotEvent::ActionSuppressed { frees_at: Some(frees_at), .. } => world.now = *frees_at,
            other => panic!("waits without an end: {other:?}"),
        }
    }
    panic!("still waiting at {}", world.now);
}

/// Histories are long, so there are fewer of them, unless `PROPTEST_CASES` says otherwise.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 96;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    /// The world checks each answer: no action outside RUNNING, no count past a limit in any rolling hour and day, pace,
    /// hours, blocks and slow-downs, the balance, one open action, no outcome twice; and no needless refusal either.
    #[test]
    fn every_answer_is_what_an_independent_account_expects(steps in histories()) {
        World::after(&steps);
    }

    #[test]
    fn replaying_events_from_memory_from_the_log_or_from_a_snapshot_gives_the_same_state(
        steps in histories(), cut in any::<prop::sample::Index>(),
    ) {
        let world = World::after(&steps);
        prop_assert_eq!(&fold(Bot::default(), world.events.clone()), &world.bot);

        let read: Vec<BotEvent> = world.events.iter().map(stored_and_read).collect();
        prop_assert_eq!(&read, &world.events);
        let (before, after) = read.split_at(cut.index(read.len() + 1));
        let snapshot = serde_json::to_vec(&fold(Bot::default(), before.to_vec())).unwrap();
        let restored: Bot = serde_json::from_slice(&snapshot).unwrap();
        prop_assert_eq!(&fold(restored, after.to_vec()), &world.bot);
    }

    #[test]
    fn from_every_state_some_commands_lead_to_running_and_to_an_action(steps in histories()) {
        let mut world = World::after(&steps);
        lead_to_running(&mut world);
        // A limit of zero is the person's wish, and hours that a change of clocks skips are rare; both end with a change.
        let limits = Limits { hours: WorkingHours { from: 6, until: 22 }, ..Limits::default() };
        world.ask(BotCommand::ChangeLimits { limits, at: world.now }).unwrap();
        world.ask(BotCommand::DisableAutomation { reason: String::new(), at: world.now }).unwrap();
        world.now += TimeDelta::seconds(1);
        lead_to_running(&mut world);
        wait_for_a_reservation(&mut world);
    }
}

/// The properties are worth what the histories reach.
#[test]
fn random_histories_reach_every_state_every_event_and_every_reason_to_wait() {
    let mut runner = TestRunner::deterministic();
    let (mut states, mut names, mut reasons) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..150 {
        let steps: Vec<Step> = histories().new_tree(&mut runner).unwrap().current();
        let world = World::after(&steps);
        states.extend(world.states);
        for event in world.events {
            names.insert(event.name());
            if let BotEvent::ActionSuppressed { reason, .. } = event {
                reasons.insert(reason);
            }
        }
    }
    assert_eq!(states.into_iter().collect::<Vec<_>>(), BotState::ALL);
    assert_eq!(names, BotEvent::NAMES.iter().copied().collect());
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), SuppressReason::ALL);
}
