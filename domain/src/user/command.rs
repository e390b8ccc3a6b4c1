//! What may be asked of a user.

use chrono::{DateTime, Utc};

use super::event::Role;
use crate::ids::{CredentialId, UserId};

/// What may be asked of a user.
#[derive(Debug, Clone, PartialEq)]
pub enum UserCommand {
    Register {
        user_id: UserId,
        username: String,
        role: Role,
        credential_id: CredentialId,
        must_change_password: bool,
        at: DateTime<Utc>,
    },
    ChangePassword {
        credential_id: CredentialId,
        must_change_password: bool,
        at: DateTime<Utc>,
    },
    Deactivate {
        at: DateTime<Utc>,
    },
}

impl UserCommand {
    /// The name that refusals and logs show.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "Register",
            Self::ChangePassword { .. } => "ChangePassword",
            Self::Deactivate { .. } => "Deactivate",
        }
    }
}
