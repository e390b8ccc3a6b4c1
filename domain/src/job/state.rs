//! Where a job stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bot::{UnknownName, named};

named!(
    /// Where a job stands.
    JobState {
        NotCreated = "NOT_CREATED",
        /// It has not begun.
        Pending = "PENDING",
        /// It runs, sleeps or waits; its journal says which.
        Running = "RUNNING",
        Paused = "PAUSED",
        /// Its cleanup runs.
        Cancelling = "CANCELLING",
        /// Today's code does not fit its history; nothing of it runs until a person acts.
        NeedsAttention = "NEEDS_ATTENTION",
        Completed = "COMPLETED",
        Failed = "FAILED",
        Cancelled = "CANCELLED",
        Terminated = "TERMINATED",
        /// Another job goes on in its place.
        Continued = "CONTINUED",
    }
);

impl JobState {
    /// Whether nothing more happens by itself, for ever.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Terminated | Self::Continued)
    }
}
