//! What people see and what workers are asked to do: folds of the event log. Nothing is decided here, and nothing here
//! is a source of truth: every row of a read model can be built again.

pub mod actions;
pub mod audit_trail;
mod batch;
pub mod bot_counters;
pub mod bot_status;
pub mod campaign_runs;
pub mod campaign_schedules;
pub mod campaigns;
pub mod catalogue;
pub mod checkpoint;
mod columns;
pub mod engine_settings;
pub mod error;
pub mod events;
pub mod follower;
pub mod instagram_accounts;
pub mod jobs;
pub mod page;
pub mod parked;
pub mod projection;
pub mod reactor;
pub mod rebuild;
pub mod runner;
pub mod users;

pub use error::ProjectionError;
pub use follower::{Projections, RunnerStatus};
pub use page::{Order, Page, PageRequest};
pub use projection::{Kind, LogEvent, Projection};
pub use rebuild::{Progress, Rebuild, Report};
pub use runner::{Log, Runner, RunnerState};
