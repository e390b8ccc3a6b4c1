//! Decisions about the login, its session and its challenges.

use chrono::{DateTime, Utc};

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::login_backoff;
use super::state::{BotState, LoginFailureReason};
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
        let answers_two_factor = self.login.two_factor_pending && verification_code.is_some();
        if let Some(until) = self.login.retry_not_before.filter(|until| at < *until)
            && !answers_two_factor
        {
            return Err(BotError::LoginBackoff { retry_not_before: until });
        }
        if self.login.two_factor_pending && verification_code.is_none() {
            return Err(BotError::TwoFactorCodeRequired);
        }
        let attempt = self.login.attempt + 1;
        Ok(vec![BotEvent::LoginRequested { attempt, password: account.password, verification_code, at }])
    }

    pub(super) fn record_login(&self, command: &'static str, attempt: u32, event: BotEvent) -> Decision {
        if self.state != BotState::LoggingIn {
            return self.refuse(command);
        }
        if attempt != self.login.attempt {
            return Err(BotError::StaleLoginAttempt { attempt, current: self.login.attempt });
        }
        Ok(vec![event])
    }

    pub(super) fn record_login_failure(
        &self,
        attempt: u32,
        reason: LoginFailureReason,
        roll: f64,
        at: DateTime<Utc>,
    ) -> Decision {
        let retry_not_before = at + login_backoff::delay(self.login.failures + 1, roll);
        let event = BotEvent::LoginFailed { attempt, reason, retry_not_before, at };
        self.record_login("RecordLoginFailure", attempt, event)
    }

    pub(super) fn raise_challenge(&self, kind: String, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::NotInitialized => self.refuse("RaiseChallenge"),
            _ => Ok(vec![BotEvent::ChallengeRaised { kind, at }]),
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
