//! Why a user refuses a command.

use thiserror::Error;

/// Why a user refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserError {
    #[error("{command} is not allowed: the user is {state}")]
    NotAllowed { command: &'static str, state: &'static str },
    #[error("a user name is 3 to 40 letters, digits, dots, dashes or underscores, and starts with a letter or digit")]
    InvalidUsername,
}

impl UserError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "USER_COMMAND_NOT_ALLOWED",
            Self::InvalidUsername => "USER_INVALID_USERNAME",
        }
    }
}
