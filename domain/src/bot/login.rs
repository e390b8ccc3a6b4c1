//! Decisions about the login, its session and its challenges.

use chrono::{DateTime, Utc};

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::login_backoff;
use super::state::{BotState, LoginFailureReason};
use super::text::{LONGEST_CODE, LONGEST_KEY, checked, cut};
use crate::ids::SecretId;

type Decision = Result<Vec<BotEvent>, BotError>;

impl Bot {
    pub(super) fn request_login(&self, verification_code: Option<SecretId>, at: DateTime<Utc>) -> Decision {
        if self.state != BotState::LoggedOut {
            return self.refuse("RequestLogin");
        }
        let account = self.account.as_ref().ok_or(BotError::NoAccount)?;
        if let Some(kind) = &self.login.challenge {
            return Err(BotError::LoginLocked { kind: kind.clone() });
        }
        if account.password_rejected {
            return Err(BotError::PasswordRejected);
        }
        if let Some(until) = self.login.retry_not_before.filter(|until| at < *until) {
            return Err(BotError::LoginBackoff { retry_not_before: until });
        }
        if self.login.two_factor_pending && verification_code.is_none() {
            return Err(BotError::TwoFactorCodeRequired);
        }
        let attempt = self.login.attempt.saturating_add(1);
        Ok(vec![BotEvent::LoginRequested { attempt, password: account.password, verification_code, at }])
    }

    pub(super) fn record_login_success(
        &self,
        attempt: u32,
        platform_pk: String,
        session: SecretId,
        key_id: String,
        session_expires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Decision {
        self.logging_in("RecordLoginSuccess", attempt)?;
        let known = self.account.as_ref().and_then(|account| account.platform_pk.as_ref());
        if known.is_some_and(|known| *known != platform_pk) {
            // Somebody else has the name by now: that session is never used.
            let reason = LoginFailureReason::WrongAccount;
            let retry_not_before = at + login_backoff::delay(self.login.failures.saturating_add(1), 0.0);
            return Ok(vec![BotEvent::LoginFailed { attempt, reason, retry_not_before, at }]);
        }
        let platform_pk = checked("platform_pk", platform_pk, LONGEST_KEY)?;
        let key_id = checked("key_id", key_id, LONGEST_KEY)?;
        Ok(vec![BotEvent::LoginSucceeded { attempt, platform_pk, session, key_id, session_expires_at, at }])
    }

    pub(super) fn record_login_failure(
        &self,
        attempt: u32,
        reason: LoginFailureReason,
        roll: f64,
        at: DateTime<Utc>,
    ) -> Decision {
        self.logging_in("RecordLoginFailure", attempt)?;
        let retry_not_before = at + login_backoff::delay(self.login.failures.saturating_add(1), roll);
        if reason != LoginFailureReason::SlowDown {
            return Ok(vec![BotEvent::LoginFailed { attempt, reason, retry_not_before, at }]);
        }
        // The platform asked the whole account to wait, the next login included.
        let (slow_down, until) = self.slow_down("LOGIN_SLOWED_DOWN".to_owned(), at);
        let retry_not_before = retry_not_before.max(until);
        Ok(vec![BotEvent::LoginFailed { attempt, reason, retry_not_before, at }, slow_down])
    }

    pub(super) fn require_two_factor(&self, attempt: u32, at: DateTime<Utc>) -> Decision {
        self.logging_in("RequireTwoFactor", attempt)?;
        Ok(vec![BotEvent::TwoFactorRequired { attempt, at }])
    }

    fn logging_in(&self, command: &'static str, attempt: u32) -> Result<(), BotError> {
        if self.state != BotState::LoggingIn {
            return self.refuse(command);
        }
        if attempt != self.login.attempt {
            return Err(BotError::StaleLoginAttempt { attempt, current: self.login.attempt });
        }
        Ok(())
    }

    pub(super) fn raise_challenge(&self, kind: String, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::NotInitialized => self.refuse("RaiseChallenge"),
            _ => Ok(vec![BotEvent::ChallengeRaised { kind: cut(kind, LONGEST_CODE), at }]),
        }
    }

    pub(super) fn resolve_challenge(&self, at: DateTime<Utc>) -> Decision {
        match (&self.login.challenge, self.state) {
            (Some(_), BotState::LoggedOut | BotState::Error) => Ok(vec![BotEvent::ChallengeResolved { at }]),
            (None, BotState::LoggedOut | BotState::Error) => Err(BotError::NoChallenge),
            _ => self.refuse("ResolveChallenge"),
        }
    }

    pub(super) fn while_logged_in(&self, command: &'static str, event: BotEvent) -> Decision {
        match self.state {
            BotState::LoggedIn | BotState::Running | BotState::Paused => Ok(vec![event]),
            _ => self.refuse(command),
        }
    }

    pub(super) fn logout(&self, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::LoggedIn | BotState::Running | BotState::Paused | BotState::Error => {
                Ok(vec![BotEvent::LoggedOut { at }])
            }
            _ => self.refuse("Logout"),
        }
    }
}
