//! Works off the durable commands of the bots: logins, connection tests, campaign runs, and actions on the platform, each
//! reserved before and recorded after. It decides nothing about a bot; that is the domain's.

mod account_lock;
mod acquaintances;
mod action;
mod answer;
mod backoff;
mod budget;
mod change_jobs;
mod config;
mod connection_test;
mod dispatch;
mod disposition;
mod doubts;
mod engine;
mod erase;
mod errand;
mod executor;
pub mod failpoint;
mod fault;
mod gate;
mod hands;
mod hold;
mod housekeeping;
pub mod job;
mod jobs;
mod link;
mod login;
mod look;
#[cfg(feature = "failpoints")]
mod mutation;
mod perform;
pub mod platform;
mod probe;
mod reconcile;
mod runs;
mod scheduler;
mod secrets;
#[cfg(feature = "failpoints")]
pub mod simulation;
mod supervisor;
mod takeover;
mod workflow;

pub use config::WorkerConfig;
pub use engine::WorkerParts;
pub use supervisor::{Supervisor, WorkerHandle};
pub use workflow::replayable;
