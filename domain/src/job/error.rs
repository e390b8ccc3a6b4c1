//! Why a job refuses a command.

use thiserror::Error;

use super::state::JobState;

/// Why a job refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    #[error("{command} is not allowed while the job is {state}")]
    NotAllowed { command: &'static str, state: JobState },
    #[error("{what} is {size} bytes of JSON; at most {most} are kept: store it elsewhere and keep its name")]
    TooLarge { what: &'static str, size: usize, most: usize },
    #[error("{command} does not fit what the journal has at {index}: {found}")]
    OutOfStep { command: &'static str, index: u32, found: String },
    #[error("{field} is {length} characters long; at most {most} are allowed")]
    TooLong { field: &'static str, length: usize, most: usize },
    #[error("the job has no step {index} to go back to")]
    NoSuchStep { index: u32 },
    #[error("{entry} at {index} is still under way; fork from {index} or before, or wait for its end")]
    UnderWay { index: u32, entry: String },
}

impl JobError {
    /// Every code.
    pub const CODES: &'static [&'static str] = &[
        "JOB_COMMAND_NOT_ALLOWED",
        "JOB_VALUE_TOO_LARGE",
        "JOB_OUT_OF_STEP",
        "JOB_TEXT_TOO_LONG",
        "JOB_NO_SUCH_STEP",
        "JOB_UNDER_WAY",
    ];

    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "JOB_COMMAND_NOT_ALLOWED",
            Self::TooLarge { .. } => "JOB_VALUE_TOO_LARGE",
            Self::OutOfStep { .. } => "JOB_OUT_OF_STEP",
            Self::TooLong { .. } => "JOB_TEXT_TOO_LONG",
            Self::NoSuchStep { .. } => "JOB_NO_SUCH_STEP",
            Self::UnderWay { .. } => "JOB_UNDER_WAY",
        }
    }
}
