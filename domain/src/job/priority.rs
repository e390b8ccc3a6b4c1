//! How urgent a job is among those of its bot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::Origin;
use crate::bot::{UnknownName, named};

named!(
    /// How urgent a job is among those of its bot; the later, the more.
    JobPriority {
        Low = "LOW",
        Normal = "NORMAL",
        High = "HIGH",
        Urgent = "URGENT",
    }
);

impl JobPriority {
    /// What a job has until somebody sets it: a person waits for what a person asked for.
    #[must_use]
    pub const fn of_origin(origin: &Origin) -> Self {
        match origin {
            Origin::Person | Origin::Forked { .. } => Self::High,
            Origin::Campaign { .. } | Origin::Parent { .. } | Origin::Continued { .. } => Self::Normal,
        }
    }
}
