//! The gateway's client and the sandbox, over real HTTP.

mod client;
mod failures;
mod json_traps;
mod ledger;
mod login;
mod sandbox;
mod secrets;
pub mod support;
