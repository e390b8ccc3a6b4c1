//! Decisions about the account and the bot as a whole: link, unlink, limits, recovery.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::limits::{Limits, next_local_midnight};
use super::state::BotState;
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
        let username = username.trim().trim_start_matches('@').to_lowercase();
        if !is_username(&username) {
            return Err(BotError::InvalidUsername { username: username.chars().take(60).collect() });
        }
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
        Ok(vec![BotEvent::AccountUnlinked { account_id: account.account_id, at }])
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

fn is_username(name: &str) -> bool {
    (1..=30).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_'))
}
