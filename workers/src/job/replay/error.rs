//! Why a history cannot be replayed at all. That code and history part is no error: it is a verdict.

/// Why a history cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("the history has no events")]
    Empty,
    #[error("the history is not one job's from its beginning: at sequence {sequence}, {problem}")]
    NotAHistory { sequence: i64, problem: &'static str },
    #[error("this version has no workflow {workflow:?}")]
    UnknownWorkflow { workflow: String },
    #[error("the workflow's code panicked after its request {index}: {message}")]
    Panicked { index: u32, message: String },
    #[error("the workflow's code waits for something outside of its context after its request {index}")]
    OutsideWait { index: u32 },
    /// For whoever limits the time of a replay.
    #[error("the workflow's code neither ended nor waited within {seconds} s")]
    TooLong { seconds: u64 },
}

impl ReplayError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "REPLAY_EMPTY",
            Self::NotAHistory { .. } => "REPLAY_NOT_A_HISTORY",
            Self::UnknownWorkflow { .. } => "REPLAY_UNKNOWN_WORKFLOW",
            Self::Panicked { .. } => "REPLAY_PANICKED",
            Self::OutsideWait { .. } => "REPLAY_OUTSIDE_WAIT",
            Self::TooLong { .. } => "REPLAY_TOO_LONG",
        }
    }
}
