//! Durable jobs: a workflow is an async function over a [`Context`]; its journal is the job's stream.
//!
//! Running means replaying: the function starts from the top, what is recorded is returned at once, and what is not is
//! done, recorded durably, and returned. When jobs run, and where, is not decided here.

#[cfg(test)]
mod ahead_tests;
mod context;
pub mod desk;
mod error;
mod family;
#[cfg(test)]
mod family_tests;
pub mod replay;
mod runner;
mod stream;
#[cfg(test)]
mod tests;
mod workflow;

pub use context::{Cleanup, Context, StepContext};
pub use error::{EngineError, StepError, WorkflowError};
pub(crate) use runner::continuation_of;
pub use runner::{Activation, Assignment, NewJob, Ran, Runner};
pub use stream::{JobStream, Provenance};
pub use workflow::{Registry, Workflow};
