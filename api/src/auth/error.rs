//! What can go wrong while somebody signs in or users are managed.

use domain::bot::BotError;
use domain::user::UserError;
use store::StoreError;
use store::command_bus::ExecuteError;
use thiserror::Error;

use super::password::PasswordError;
use super::session::SessionError;
use super::throttle::Throttled;

/// Why a user could not be signed in, registered or changed.
#[derive(Debug, Error)]
pub enum AuthError {
    #[error("the user name or the password is wrong")]
    InvalidCredentials,
    #[error("the current password is wrong")]
    WrongPassword,
    #[error("the new password is the current one")]
    SamePassword,
    #[error("too many tries; the next may come in {} seconds", .0.seconds())]
    Throttled(Throttled),
    #[error("the user name {username} is taken")]
    UsernameTaken { username: String },
    #[error("there is no such user")]
    UnknownUser,
    #[error("an administrator cannot deactivate themselves")]
    OwnDeactivation,
    #[error(transparent)]
    Refused(#[from] UserError),
    #[error(transparent)]
    Bot(#[from] BotError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database refused a statement")]
    Database(#[from] sqlx::Error),
}

impl AuthError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "AUTH_INVALID_CREDENTIALS",
            Self::WrongPassword => "AUTH_WRONG_PASSWORD",
            Self::SamePassword => "AUTH_SAME_PASSWORD",
            Self::Throttled(_) => "THROTTLED",
            Self::UsernameTaken { .. } => "USER_NAME_TAKEN",
            Self::UnknownUser => "NOT_FOUND",
            Self::OwnDeactivation => "USER_OWN_DEACTIVATION",
            Self::Refused(error) => error.code(),
            Self::Bot(error) => error.code(),
            Self::Password(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Database(_) => "UNAVAILABLE",
        }
    }

    /// Whether it is an answer for the one who asked; else something broke.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Password(error) => matches!(error, PasswordError::Weak { .. }),
            Self::Session(_) | Self::Store(_) | Self::Database(_) => false,
            _ => true,
        }
    }
}

impl From<ExecuteError<UserError>> for AuthError {
    fn from(error: ExecuteError<UserError>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Refused(refusal),
            ExecuteError::Store(fault) => Self::Store(fault),
        }
    }
}

impl From<ExecuteError<BotError>> for AuthError {
    fn from(error: ExecuteError<BotError>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Bot(refusal),
            ExecuteError::Store(fault) => Self::Store(fault),
        }
    }
}
