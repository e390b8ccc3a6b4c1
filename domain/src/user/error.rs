//! Why a user refuses a command.

use thiserror::Error;

use crate::variants::codes;

/// Why a user refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserError {
    #[error("{command} is not allowed: the user is {state}")]
    NotAllowed { command: &'static str, state: &'static str },
    #[error("a user name is 3 to 40 letters, digits, dots, dashes or underscores, and starts with a letter or digit")]
    InvalidUsername,
}

codes!(UserError {
    NotAllowed = "USER_COMMAND_NOT_ALLOWED",
    InvalidUsername = "USER_INVALID_USERNAME",
});
