//! The state machine's table held cell by cell: every state by every command.

use super::rows::{ANY, GIVENS, Given, INITIALIZED, Row, To, rows};
use super::story::{self, Story};
use crate::bot::BotState::{Error, LoggedIn, LoggedOut, LoggingIn, NotInitialized, Paused, Running};
use crate::bot::{Bot, BotCommand, BotError, BotEvent, BotState, Mode};
use crate::decide::{Decide, fold};

/// A history that ends in `state` with `given`; `None` where there is no such bot.
fn history(state: BotState, given: Given) -> Option<Story> {
    let running = match given {
        Given::Locked => return locked(state),
        Given::Nothing => Story::running(Mode::Live),
        Given::Open => Story::acting(Mode::Live),
        Given::OpenDry => Story::acting(Mode::DryRun),
        Given::InDoubt => Story::in_doubt(),
    };
    Some(match state {
        NotInitialized => return (given == Given::Nothing).then(Story::new),
        LoggedOut => running.does(story::logout),
        LoggingIn => running.does(story::logout).does(story::login),
        LoggedIn => running.does(story::disable).authorizes(Mode::Live),
        Running => running,
        Paused => running.does(story::pause),
        Error => running.does(story::fail),
    })
}

/// Login is locked in two states only: a lock ends every session.
fn locked(state: BotState) -> Option<Story> {
    match state {
        LoggedOut => Some(Story::logging_in().does(story::challenge)),
        Error => Some(Story::running(Mode::Live).does(story::challenge)),
        _ => None,
    }
}

fn next(from: BotState, to: To) -> BotState {
    match to {
        To::Same => from,
        To::State(state) => state,
        To::Stopped => match from {
            Running | Paused | Error => Error,
            _ => LoggedOut,
        },
    }
}

#[test]
fn every_command_has_a_row_and_every_row_builds_its_command() {
    let mut named: Vec<&str> = rows().iter().map(|row| row.command).collect();
    named.dedup();
    let mut expected = BotCommand::NAMES.to_vec();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    for row in rows() {
        assert_eq!((row.build)(&Story::new()).name(), row.command);
    }
}

#[test]
fn every_state_is_reached_by_a_history_that_replays_to_it() {
    for state in BotState::ALL.iter().copied() {
        for given in GIVENS {
            let Some(story) = history(state, given) else { continue };
            assert_eq!(story.state(), state);
            assert_eq!(fold(Bot::default(), story.events.clone()), story.bot);
        }
        assert!(history(state, Given::Nothing).is_some());
    }
}

#[test]
fn allowed_cells_lead_to_their_events_and_their_state() {
    for row in rows() {
        for from in row.from.iter().copied() {
            let cell = format!("{} ({}) in {from}", row.command, row.form);
            let story = history(from, row.given).unwrap_or_else(|| panic!("{cell}: no history"));
            let command = (row.build)(&story);
            let events = story.bot.decide(command).unwrap_or_else(|refusal| panic!("{cell}: {refusal}"));
            let names: Vec<&str> = events.iter().map(BotEvent::name).collect();
            assert_eq!(names, row.events, "{cell}");
            assert_eq!(fold(story.bot, events).state(), next(from, row.to), "{cell}");
        }
    }
}

#[test]
fn every_other_cell_is_refused_by_state_and_command_and_appends_nothing() {
    for row in rows() {
        for state in BotState::ALL.iter().copied().filter(|state| !row.from.contains(state)) {
            for given in GIVENS {
                let Some(story) = history(state, given) else { continue };
                let command = (row.build)(&story);
                story.refuses(command, BotError::NotAllowed { command: row.command, state });
            }
        }
    }
}

#[test]
fn the_reference_shows_this_table() {
    let reference = include_str!("../../../../docs/state-machine.md");
    let shown: Vec<&str> = reference
        .split_once("<!-- the table, checked by a test -->\n")
        .and_then(|(_, rest)| rest.split_once("\n\n"))
        .map(|(table, _)| table.lines().skip(2).collect())
        .unwrap_or_default();
    let expected: Vec<String> = rows().iter().map(shown_row).collect();
    assert!(shown == expected, "write this:\n{}\n", expected.join("\n"));
}

fn shown_row(row: &Row) -> String {
    let form = if row.form.is_empty() { String::new() } else { format!(", {}", row.form) };
    let from = match row.from {
        ANY => "any".to_owned(),
        INITIALIZED => "any but `NOT_INITIALIZED`".to_owned(),
        states => states.iter().map(|state| format!("`{state}`")).collect::<Vec<_>>().join(", "),
    };
    let given = match row.given {
        Given::Nothing => "",
        Given::Locked => ", login locked",
        Given::Open => ", action open",
        Given::OpenDry => ", action open in a dry run",
        Given::InDoubt => ", action in doubt",
    };
    let to = match row.to {
        To::Same => "the same".to_owned(),
        To::State(state) => format!("`{state}`"),
        To::Stopped => "`ERROR` from `RUNNING`, `PAUSED`, `ERROR`; else `LOGGED_OUT`".to_owned(),
    };
    format!("| `{}`{form} | {from}{given} | {} | {to} |", row.command, row.events.join(", "))
}
