//! The linked Instagram account, its login and its session. Passwords, codes and sessions are nowhere in the schema.

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use domain::bot as bots;

use super::global_id::Kind;
use super::names::BotState;

/// The linked Instagram account.
#[derive(Clone)]
pub struct Account(pub bots::Account);

/// The one Instagram account that a user links.
#[Object]
impl Account {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::Account.id(self.0.account_id.uuid())
    }

    /// Its name on Instagram.
    async fn username(&self) -> &str {
        &self.0.username
    }

    /// IANA name of the time zone that days and working hours are in, such as `Europe/Berlin`.
    async fn time_zone(&self) -> &'static str {
        self.0.zone.name()
    }

    /// Instagram's own key of it, known from the first login on.
    async fn platform_pk(&self) -> Option<&str> {
        self.0.platform_pk.as_deref()
    }

    /// Instagram rejected the password; link the account again with the right one.
    async fn password_rejected(&self) -> bool {
        self.0.password_rejected
    }
}

/// The login and its session.
pub struct Login {
    pub login: bots::Login,
    pub state: bots::BotState,
}

/// The login and its session.
#[Object]
impl Login {
    /// The state that the login led to.
    async fn state(&self) -> BotState {
        self.state.into()
    }

    /// Number of the last attempt.
    async fn attempt(&self) -> u32 {
        self.login.attempt
    }

    /// Failed logins in a row.
    async fn failures(&self) -> u32 {
        self.login.failures
    }

    /// No login before; the wait doubles with each failure, from 30 seconds to 6 hours.
    async fn retry_not_before(&self) -> Option<DateTime<Utc>> {
        self.login.retry_not_before
    }

    /// Instagram asked for a two-factor code: give it to `requestLogin`.
    async fn two_factor_pending(&self) -> bool {
        self.login.two_factor_pending
    }

    /// The challenge that locks login until a person has settled it in Instagram's own app.
    async fn challenge(&self) -> Option<&str> {
        self.login.challenge.as_deref()
    }

    /// Whether there is a session.
    async fn has_session(&self) -> bool {
        self.login.session.is_some()
    }

    /// When the session ends at the latest.
    async fn session_expires_at(&self) -> Option<DateTime<Utc>> {
        self.login.session_expires_at
    }

    /// When the session was last seen to work. Authorizing needs this to be less than 10 minutes ago.
    async fn verified_at(&self) -> Option<DateTime<Utc>> {
        self.login.verified_at
    }
}
