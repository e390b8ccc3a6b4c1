//! A user: a person with a login and a role. Password hashes are kept beside the events, never in them.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;
mod upcast;

pub use aggregate::{User, normal_username};
pub use command::UserCommand;
pub use error::UserError;
pub use event::{Role, UserEvent};
