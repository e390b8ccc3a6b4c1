//! A job: one durable run of a workflow. Its stream is the journal that a replay reads from the top.
//!
//! This is the pure half: what happened, what may be asked, and what a replay finds next. Running the
//! workflow's code, keeping time and calling anything is the worker's.

mod aggregate;
mod change;
mod command;
mod error;
mod event;
mod inheritance;
mod journal;
mod priority;
pub mod retry_policy;
mod state;
#[cfg(test)]
mod tests;
mod upcast;

pub use aggregate::Job;
pub use change::JobChange;
pub use command::JobCommand;
pub use error::JobError;
pub use event::{JobEvent, Origin, Outcome};
pub use inheritance::{Inheritance, LARGEST_INHERITANCE};
pub use journal::{Divergence, Entry, Journal, Next, StepFailure, Wake};
pub use priority::JobPriority;
pub use retry_policy::RetryPolicy;
pub use state::JobState;

/// Largest result of one step and largest input of a job, in bytes of JSON.
pub const LARGEST_VALUE: usize = 256 * 1024;

/// A history longer than this continues as a new job by itself.
pub const LONGEST_HISTORY: u32 = 10_000;
