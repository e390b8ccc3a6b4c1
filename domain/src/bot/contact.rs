//! People who asked for no more contact: nothing but an unfollow is done to them, by whatever campaign, for ever.

use chrono::{DateTime, Utc};

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::state::{ActionKind, BotState};
use super::text::{LONGEST_CODE, LONGEST_KEY, checked, cut};

/// How many people a bot remembers so. Messages and comments are refused once there are more, as then it could not tell
/// any more who asked; at the ceiling of messages that takes years.
const MOST_STOPPED: usize = 10_000;

/// The person that an action is about: its target, or the owner in the target of a post or story.
#[must_use]
pub fn person_of(kind: ActionKind, target: &str) -> Option<&str> {
    match kind {
        ActionKind::Follow | ActionKind::Unfollow | ActionKind::Dm => Some(target),
        ActionKind::Like | ActionKind::Story | ActionKind::Comment => target.split_once('_').map(|(_, owner)| owner),
    }
}

impl Bot {
    /// Whether a person asked for no more contact.
    #[must_use]
    pub fn has_stopped(&self, person: &str) -> bool {
        self.stopped_contacts.contains(person)
    }

    pub(super) fn stop_contact(
        &self,
        person: String,
        reason: String,
        at: DateTime<Utc>,
    ) -> Result<Vec<BotEvent>, BotError> {
        if self.state == BotState::NotInitialized {
            return self.refuse("StopContact");
        }
        let person = checked("person", person, LONGEST_KEY)?;
        if self.has_stopped(&person) {
            return Ok(Vec::new());
        }
        Ok(vec![BotEvent::ContactStopped { person, reason: cut(reason, LONGEST_CODE), at }])
    }

    /// Refuses an action on somebody who asked for no more contact.
    pub(super) fn check_contact(&self, kind: ActionKind, target: &str) -> Result<(), BotError> {
        let is_stopped = person_of(kind, target).is_some_and(|person| self.has_stopped(person));
        let has_words = matches!(kind, ActionKind::Comment | ActionKind::Dm);
        let is_full = has_words && self.stopped_contacts.len() > MOST_STOPPED;
        if kind != ActionKind::Unfollow && (is_stopped || is_full) {
            return Err(BotError::ContactStopped);
        }
        Ok(())
    }

    pub(super) fn remember_stopped(&mut self, person: String) {
        if self.stopped_contacts.len() <= MOST_STOPPED {
            self.stopped_contacts.insert(person);
        }
    }
}
