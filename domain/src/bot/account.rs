//! Decisions about the account and the bot as a whole: link, unlink, limits, recovery.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::aggregate::{Bot, Reservation};
use super::error::BotError;
use super::event::BotEvent;
use super::failure::FailureClass;
use super::limits::{Limits, next_local_midnight};
use super::state::{BotState, Mode};
use crate::ids::{AccountId, BotId, SecretId};

type Decision = Result<Vec<BotEvent>, BotError>;

impl Bot {
    pub(super) fn initialize(&self, bot_id: BotId, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::NotInitialized => Ok(vec![BotEvent::BotInitialized { bot_id, at }]),
            _ => self.refuse("Initialize"),
        }
    }

    pub(super) fn link_account(
        &self,
        account_id: AccountId,
        username: String,
        zone: Tz,
        password: SecretId,
        consent: &str,
        at: DateTime<Utc>,
    ) -> Decision {
        if !matches!(self.state, BotState::LoggedOut | BotState::Error) {
            return self.refuse("LinkAccount");
        }
        let username = normal_account_name(&username)?;
        if !consent.trim().eq_ignore_ascii_case("yes") {
            return Err(BotError::ConsentMissing);
        }
        // Linking the same account again replaces its password.
        let account_id = match &self.account {
            Some(account) if account.username == username => account.account_id,
            Some(account) => return Err(BotError::AccountAlreadyLinked { username: account.username.clone() }),
            None => account_id,
        };
        Ok(vec![BotEvent::AccountLinked { account_id, username, zone, password, at }])
    }

    pub(super) fn unlink_account(&self, at: DateTime<Utc>) -> Decision {
        if !matches!(self.state, BotState::LoggedOut | BotState::Error) {
            return self.refuse("UnlinkAccount");
        }
        let account = self.account.as_ref().ok_or(BotError::NoAccount)?;
        let mut events = Vec::from_iter(self.open.as_ref().map(|open| abandoned(open, at)));
        events.push(BotEvent::AccountUnlinked { account_id: account.account_id, at });
        Ok(events)
    }

    pub(super) fn change_limits(&self, limits: Limits, at: DateTime<Utc>) -> Decision {
        if let Some(counter) = limits.above_ceiling() {
            return Err(BotError::LimitAboveCeiling { counter, asked: limits.of(counter), ceiling: counter.ceiling() });
        }
        if !limits.hours.is_valid() {
            return Err(BotError::InvalidHours { from: limits.hours.from, until: limits.hours.until });
        }
        let effective = self.limits_at(at).lowered_to(&limits);
        let raises_at = next_local_midnight(at, self.zone());
        Ok(vec![BotEvent::LimitsChanged { limits, effective, raises_at, at }])
    }

    pub(super) fn recover(&self, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::Error => Ok(vec![BotEvent::BotRecovered { at }]),
            _ => self.refuse("RecoverBot"),
        }
    }
}

/// Nobody can read with another account what became of an open action of this one.
fn abandoned(open: &Reservation, at: DateTime<Utc>) -> BotEvent {
    let Reservation { action_id, kind, local_day, .. } = *open;
    let code = "ACCOUNT_UNLINKED".to_owned();
    match open.mode {
        Mode::Live => BotEvent::ActionInDoubt { action_id, kind, local_day, code, evidence: String::new(), at },
        // A dry run calls nothing.
        Mode::DryRun => {
            BotEvent::ActionFailed { action_id, kind, local_day, class: FailureClass::SkipTarget, code, at }
        }
    }
}

/// The name of an Instagram account in its stored form, or why it is none.
pub fn normal_account_name(given: &str) -> Result<String, BotError> {
    let given = given.trim();
    let name = given.strip_prefix('@').unwrap_or(given).to_ascii_lowercase();
    if is_username(&name) {
        Ok(name)
    } else {
        Err(BotError::InvalidUsername { username: name.chars().take(60).collect() })
    }
}

fn is_username(name: &str) -> bool {
    (1..=30).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_'))
}
