//! A campaign: what a bot should do, to whom, and from which source its targets come.

mod aggregate;
mod command;
mod definition;
pub mod direct;
mod draft;
mod error;
mod event;
pub mod filters;
mod person;
pub mod schedule;
mod skip;
pub mod template;
#[cfg(test)]
mod tests;
pub mod unfollow;
mod upcast;

pub use aggregate::Campaign;
pub use command::CampaignCommand;
pub use definition::{Definition, HashtagTab, Module, Source, TargetKind};
pub use draft::{Draft, DraftSource, LARGEST_UPLOAD, MOST_UPLOADED};
pub use error::CampaignError;
pub use event::CampaignEvent;
pub use filters::{DraftFilters, DraftRange, DraftRatio, Facts, Filters, Met, Range};
pub use person::{Person, Post};
pub use skip::{Judgement, Read, SkipReason};
pub use template::{Template, TemplateError};
