//! A campaign: what a bot should do, to whom, and from which source its targets come.

mod aggregate;
mod command;
mod error;
mod event;
pub mod schedule;
#[cfg(test)]
mod tests;
mod upcast;

pub use aggregate::Campaign;
pub use command::{CampaignCommand, Draft, DraftSource};
pub use error::CampaignError;
pub use event::{CampaignEvent, Definition, HashtagTab, Module, Source};
