//! The workflows that this version ships: async functions over a job's context.

mod acting;
pub(crate) mod campaign_run;
mod candidate;
mod examine;
mod handless;
mod listing;
mod reading;
mod steps;

use std::sync::Arc;

use crate::hands::Hands;
use crate::job::Registry;

pub use handless::replayable;

/// Every workflow that this version ships, acting through `hands`.
pub(crate) fn registry(hands: &Arc<Hands>) -> Registry {
    let registry = Registry::default().with(campaign_run::workflow(Arc::clone(hands)));
    #[cfg(feature = "failpoints")]
    let registry = registry.with(acting::single_action(Arc::clone(hands)));
    registry
}
