//! What may be asked of a user.

use chrono::{DateTime, Utc};

use super::event::Role;
use crate::ids::{CredentialId, UserId};
use crate::variants::variants;

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

variants!(UserCommand, " The name that refusals and logs show.", [Register, ChangePassword, Deactivate,]);
