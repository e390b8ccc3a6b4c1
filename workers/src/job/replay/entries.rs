//! The journal of a history as lines that people and programs read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::job::{Entry, Journal, Outcome};
use serde::Serialize;

/// One request of the code, and what the history has of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryLine {
    pub index: u32,
    /// The event that recorded it first; a fork's inherited entries share one.
    pub sequence: i64,
    /// `step find_targets`, `sleep`, `signal approved`, `child like_run`, `patch wait-longer`.
    pub what: String,
    #[serde(flatten)]
    pub state: EntryState,
    /// When it became so.
    pub at: Option<DateTime<Utc>>,
}

/// What the history has of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EntryState {
    Completed {
        attempts: u32,
    },
    Failed {
        attempts: u32,
        code: String,
    },
    /// An attempt with side effects began and has no recorded end.
    Unsettled {
        attempts: u32,
    },
    Retries {
        attempts: u32,
        retry_at: Option<DateTime<Utc>>,
    },
    Waits {
        until: Option<DateTime<Utc>>,
    },
    Over,
    TimedOut,
    Cancelled,
}

/// The lines of `journal`; `sequences` says which event recorded an index first.
pub(super) fn of(journal: &Journal, sequences: &BTreeMap<u32, i64>) -> Vec<EntryLine> {
    let lines = journal.entries().map(|(index, entry)| EntryLine {
        index,
        sequence: sequences.get(&index).copied().unwrap_or_default(),
        what: entry.describe(),
        state: state(journal, index, entry),
        at: journal.known_at(index),
    });
    lines.collect()
}

fn state(journal: &Journal, index: u32, entry: &Entry) -> EntryState {
    match entry {
        Entry::Step { attempts, result: Some(Ok(_)), .. } => EntryState::Completed { attempts: *attempts },
        Entry::Step { attempts, result: Some(Err(failure)), .. } => {
            EntryState::Failed { attempts: *attempts, code: failure.code.clone() }
        }
        Entry::Step { attempts, unsettled: true, .. } => EntryState::Unsettled { attempts: *attempts },
        Entry::Step { attempts, retry_at, .. } => EntryState::Retries { attempts: *attempts, retry_at: *retry_at },
        Entry::Timer { fired: false, fires_at } => EntryState::Waits { until: Some(*fires_at) },
        Entry::Signal { timed_out: true, .. } => EntryState::TimedOut,
        Entry::Signal { name, until, .. } if journal.is_awaited(index, name) => EntryState::Waits { until: *until },
        Entry::Timer { .. } | Entry::Patch { .. } | Entry::Signal { .. } => EntryState::Over,
        Entry::Child { outcome: None, .. } => EntryState::Waits { until: None },
        Entry::Child { outcome: Some(Outcome::Completed { .. }), .. } => EntryState::Completed { attempts: 1 },
        Entry::Child { outcome: Some(Outcome::Failed { code, .. }), .. } => {
            EntryState::Failed { attempts: 1, code: code.clone() }
        }
        Entry::Child { outcome: Some(Outcome::Cancelled), .. } => EntryState::Cancelled,
    }
}
