//! A campaign: what a bot should do, to whom, from which source its targets come, and when it runs.

mod aggregate;
mod command;
mod definition;
pub mod direct;
mod draft;
mod error;
mod event;
pub mod filters;
mod person;
mod runs;
pub mod schedule;
mod scheduling;
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
pub use event::{CampaignEvent, RunEnding, Withdrawal};
pub use filters::{DraftFilters, DraftRange, DraftRatio, Facts, Filters, Met, Range};
pub use person::{Person, Post};
pub use runs::{OpenRun, Runs, Stage};
pub use scheduling::Scheduled;
pub use skip::{Judgement, Read, SkipReason};
pub use template::{Template, TemplateError};
