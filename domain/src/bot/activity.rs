//! When the bot last began to run and last stopped: for whoever decides later about a time that has passed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::aggregate::Bot;
use super::event::BotEvent;
use super::state::BotState;

/// Where a bot stands, and since when it runs or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    pub state: BotState,
    /// Where it stood before it last began to run.
    pub before: BotState,
    /// When it last began to run.
    pub ran_since: Option<DateTime<Utc>>,
    /// When it last stopped.
    pub ran_until: Option<DateTime<Utc>>,
}

impl Activity {
    /// Of a bot that nobody has initialized.
    pub const NEVER: Self =
        Self { state: BotState::NotInitialized, before: BotState::NotInitialized, ran_since: None, ran_until: None };

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == BotState::Running
    }

    pub(super) fn turn(&mut self, state: BotState, at: Option<DateTime<Utc>>) {
        let (was, is) = (self.is_running(), state == BotState::Running);
        if is && !was {
            self.before = self.state;
            self.ran_since = at;
        }
        if was && !is {
            self.ran_until = at;
        }
        self.state = state;
    }
}

impl Bot {
    /// Where it stands, and since when it runs or does not.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        self.activity
    }
}

/// When an event that begins or ends running happened.
pub(super) fn turned_at(event: &BotEvent) -> Option<DateTime<Utc>> {
    match event {
        BotEvent::AutomationEnabled { at, .. }
        | BotEvent::AutomationResumed { at }
        | BotEvent::AutomationPaused { at, .. }
        | BotEvent::AutomationDisabled { at, .. }
        | BotEvent::AccountUnlinked { at, .. }
        | BotEvent::SessionExpired { at, .. }
        | BotEvent::LoggedOut { at }
        | BotEvent::ChallengeRaised { at, .. }
        | BotEvent::BotFailed { at, .. } => Some(*at),
        _ => None,
    }
}
