//! Facts about one user. Names are stored: a variant is added, never renamed.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::bot::UnknownName;
use crate::bot::named;
use crate::ids::{CredentialId, UserId};
use crate::variants::variants;

named!(
    /// What a user may see and do.
    Role {
        User = "USER",
        Admin = "ADMIN",
    }
);

/// Facts about one user. `credential_id` names the password hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum UserEvent {
    UserRegistered {
        user_id: UserId,
        username: String,
        role: Role,
        credential_id: CredentialId,
        /// The password is a first one that somebody else knows.
        must_change_password: bool,
        at: DateTime<Utc>,
    },
    PasswordChanged {
        credential_id: CredentialId,
        must_change_password: bool,
        at: DateTime<Utc>,
    },
    UserDeactivated {
        at: DateTime<Utc>,
    },
}

variants!(UserEvent, " The stored name.", [UserRegistered, PasswordChanged, UserDeactivated,]);

impl DomainEvent for UserEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
