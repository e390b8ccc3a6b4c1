//! How a piece of work ends, as far as its command is concerned. The executor carries it out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use store::command_queue::NewCommand;

/// How a piece of work ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Disposition {
    pub ending: Ending,
    /// Commands that follow from it; stored before the command itself is settled.
    pub then: Vec<NewCommand>,
}

/// What becomes of the command.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Done(Value),
    /// Not yet; not a failure.
    Snooze {
        until: DateTime<Utc>,
        code: &'static str,
    },
    /// Later, after `at_least` of real time; a failure that counts.
    Retry {
        code: String,
        reason: String,
        at_least: Duration,
    },
    /// Never by itself.
    Dead {
        code: String,
        reason: String,
    },
}

impl Disposition {
    /// Nothing but this ending.
    #[must_use]
    pub const fn of(ending: Ending) -> Self {
        Self { ending, then: Vec::new() }
    }

    /// Done, with a word on how.
    #[must_use]
    pub fn done(outcome: &str) -> Self {
        Self::of(Ending::Done(json!({ "outcome": outcome })))
    }

    #[must_use]
    pub const fn snooze(until: DateTime<Utc>, code: &'static str) -> Self {
        Self::of(Ending::Snooze { until, code })
    }

    /// With commands that follow from it.
    #[must_use]
    pub fn then(mut self, commands: impl IntoIterator<Item = NewCommand>) -> Self {
        self.then.extend(commands);
        self
    }
}
