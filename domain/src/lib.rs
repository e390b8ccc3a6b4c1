//! Decisions: the aggregates, their commands, events and refusals.
//!
//! Deliberately without I/O, clock, randomness or SQL: instants, ids and random rolls come in with the command.

pub mod any_event;
pub mod bot;
pub mod campaign;
pub mod clock;
pub mod decide;
pub mod engine;
pub mod entropy;
pub mod ids;
pub mod job;
pub mod metadata;
pub mod plan;
pub mod splitmix;
pub mod user;
mod variants;
