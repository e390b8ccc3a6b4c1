//! The bot: one user's automation, its login, limits and every action that it reserved.
//!
//! The state machine is here and nowhere else; read models and workers only look.

mod account;
mod actions;
mod activity;
mod aggregate;
mod automation;
mod command;
mod consequences;
mod contact;
mod error;
mod event;
mod failure;
mod fold;
pub mod limits;
mod login;
pub mod login_backoff;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod upcast;
mod verdict;
pub mod what_if;
mod windows;
mod words;

pub use account::normal_account_name;
pub use activity::Activity;
pub use aggregate::{Account, Authorization, Bot, Enablement, Login, Reservation};
pub use command::{BotCommand, NewReservation, Outcome};
pub use contact::person_of;
pub use error::BotError;
pub use event::BotEvent;
pub use failure::FailureClass;
pub use limits::{Counter, Limits, WorkingHours};
pub(crate) use state::named;
pub use state::{ActionKind, BotState, LoginFailureReason, Mode, Settlement, SuppressReason, UnknownName, Window};
pub use verdict::{Verdict, Wait};
pub use words::{ALIKE_FOR, MOST_ALIKE, WordsId};
