//! The user's state, decisions and fold.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::command::UserCommand;
use super::error::UserError;
use super::event::{Role, UserEvent};
use super::upcast;
use crate::decide::Decide;
use crate::ids::{CredentialId, UserId};

/// A person with a login.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    registered: Option<Registered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Registered {
    user_id: UserId,
    username: String,
    role: Role,
    credential_id: CredentialId,
    must_change_password: bool,
    active: bool,
}

type Decision = Result<Vec<UserEvent>, UserError>;

impl User {
    /// The id, once registered.
    #[must_use]
    pub fn id(&self) -> Option<UserId> {
        self.registered.as_ref().map(|user| user.user_id)
    }

    /// The login name, in lower case.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.registered.as_ref().map(|user| user.username.as_str())
    }

    /// What the user may see and do.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.registered.as_ref().map(|user| user.role)
    }

    /// Names the hash of the current password.
    #[must_use]
    pub fn credential_id(&self) -> Option<CredentialId> {
        self.registered.as_ref().map(|user| user.credential_id)
    }

    /// Whether the user may do nothing but change the password.
    #[must_use]
    pub fn must_change_password(&self) -> bool {
        self.registered.as_ref().is_some_and(|user| user.must_change_password)
    }

    /// Whether the user may sign in.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.registered.as_ref().is_some_and(|user| user.active)
    }

    fn active(&self, command: &'static str) -> Result<&Registered, UserError> {
        match &self.registered {
            None => Err(UserError::NotAllowed { command, state: "not registered" }),
            Some(user) if !user.active => Err(UserError::NotAllowed { command, state: "deactivated" }),
            Some(user) => Ok(user),
        }
    }

    fn register(
        &self,
        user_id: UserId,
        username: &str,
        role: Role,
        credential_id: CredentialId,
        must_change_password: bool,
        at: DateTime<Utc>,
    ) -> Decision {
        if self.registered.is_some() {
            return Err(UserError::NotAllowed { command: "Register", state: "registered already" });
        }
        let username = normal_username(username)?;
        Ok(vec![UserEvent::UserRegistered { user_id, username, role, credential_id, must_change_password, at }])
    }
}

/// A user name in its stored form, or why it is none.
pub fn normal_username(given: &str) -> Result<String, UserError> {
    let name = given.trim().to_ascii_lowercase();
    let valid = (3..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if valid { Ok(name) } else { Err(UserError::InvalidUsername) }
}

impl Decide for User {
    const SHAPE: u32 = 1;

    fn decide(&self, command: UserCommand) -> Decision {
        match command {
            UserCommand::Register { user_id, username, role, credential_id, must_change_password, at } => {
                self.register(user_id, &username, role, credential_id, must_change_password, at)
            }
            UserCommand::ChangePassword { credential_id, must_change_password, at } => {
                self.active("ChangePassword")?;
                Ok(vec![UserEvent::PasswordChanged { credential_id, must_change_password, at }])
            }
            UserCommand::Deactivate { at } => {
                self.active("Deactivate")?;
                Ok(vec![UserEvent::UserDeactivated { at }])
            }
        }
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        upcast::upcasters()
    }
}

impl Aggregate for User {
    const TYPE: &'static str = "User";
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserError;
    type Services = ();

    async fn handle(&mut self, command: UserCommand, (): &(), sink: &EventSink<Self>) -> Result<(), UserError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: UserEvent) {
        match event {
            UserEvent::UserRegistered { user_id, username, role, credential_id, must_change_password, .. } => {
                self.registered =
                    Some(Registered { user_id, username, role, credential_id, must_change_password, active: true });
            }
            UserEvent::PasswordChanged { credential_id, must_change_password, .. } => {
                if let Some(user) = &mut self.registered {
                    user.credential_id = credential_id;
                    user.must_change_password = must_change_password;
                }
            }
            UserEvent::UserDeactivated { .. } => {
                if let Some(user) = &mut self.registered {
                    user.active = false;
                }
            }
        }
    }
}
