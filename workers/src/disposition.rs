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
    /// What becomes of the other actions of its run.
    pub siblings: Option<Siblings>,
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
    /// Until the person resumes.
    Hold {
        code: &'static str,
    },
    /// It shall not be done any more.
    Withdraw {
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

/// What becomes of the waiting actions of the same run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Siblings {
    /// They have the same reason to wait.
    Wait(DateTime<Utc>),
    /// None of them shall be done.
    Stop(&'static str),
}

impl Disposition {
    /// Nothing but this ending.
    #[must_use]
    pub const fn of(ending: Ending) -> Self {
        Self { ending, then: Vec::new(), siblings: None }
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

    #[must_use]
    pub const fn hold(code: &'static str) -> Self {
        Self::of(Ending::Hold { code })
    }

    #[must_use]
    pub const fn withdraw(code: &'static str) -> Self {
        Self::of(Ending::Withdraw { code })
    }

    /// With commands that follow from it.
    #[must_use]
    pub fn then(mut self, commands: impl IntoIterator<Item = NewCommand>) -> Self {
        self.then.extend(commands);
        self
    }

    /// With what becomes of the other actions of the run.
    #[must_use]
    pub fn siblings(mut self, siblings: Siblings) -> Self {
        self.siblings = Some(siblings);
        self
    }
}
