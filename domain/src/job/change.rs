//! What a person may ask of many jobs at once, and which command that is for each.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::aggregate::Job;
use super::command::JobCommand;
use super::error::JobError;
use super::priority::JobPriority;
use super::state::JobState;
use crate::bot::{UnknownName, named};

named!(
    /// What is asked of many jobs at once.
    JobChange {
        Pause = "PAUSE",
        Resume = "RESUME",
        Cancel = "CANCEL",
        Terminate = "TERMINATE",
        /// Runs again from the step that failed, or from where history and code part.
        Retry = "RETRY",
        /// Be more or less urgent among the jobs of its bot.
        Prioritize = "PRIORITIZE",
    }
);

impl JobChange {
    /// In which states a job may take it.
    #[must_use]
    pub const fn states(self) -> &'static [JobState] {
        match self {
            Self::Pause => &[JobState::Pending, JobState::Running],
            Self::Resume => &[JobState::Paused],
            Self::Cancel => &[JobState::Pending, JobState::Running, JobState::Paused],
            Self::Terminate | Self::Prioritize => &[
                JobState::Pending,
                JobState::Running,
                JobState::Paused,
                JobState::Cancelling,
                JobState::NeedsAttention,
            ],
            Self::Retry => &[JobState::Failed, JobState::NeedsAttention],
        }
    }

    /// The command for `job`; a priority that is not given stays as it is.
    pub fn command(
        self,
        job: &Job,
        reason: String,
        priority: Option<JobPriority>,
        at: DateTime<Utc>,
    ) -> Result<JobCommand, JobError> {
        Ok(match self {
            Self::Pause => JobCommand::Pause { reason, at },
            Self::Resume => JobCommand::Resume { at },
            Self::Cancel => JobCommand::RequestCancel { reason, at },
            Self::Terminate => JobCommand::Terminate { reason, at },
            Self::Prioritize => JobCommand::Prioritize { priority: priority.unwrap_or(job.priority()), at },
            Self::Retry => {
                let edge = job.journal().edge();
                let index = job.retry_index().ok_or(JobError::NoSuchStep { index: edge })?;
                JobCommand::Reset { index, reason, at }
            }
        })
    }
}
