//! How steps, workflows and the engine fail.

use domain::job::JobError;
use serde_json::Value;
use store::error::StoreError;

/// How a step ends that does not succeed, as the workflow sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It failed for good; the message is for people and holds no secret.
    #[error("{code}: {message}")]
    Failed { code: String, message: String },
    /// The job is being cancelled: only cleanup steps run now.
    #[error("the job is being cancelled")]
    Cancelled,
}

impl StepError {
    /// A failure with a stable code.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed { code: code.into(), message: message.into() }
    }
}

/// How a workflow ends that does not return a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WorkflowError {
    #[error("{code}: {message}")]
    Failed { code: String, message: String },
    #[error("the job was cancelled")]
    Cancelled,
    /// A new job with this input goes on in its place.
    #[error("the job continues as new")]
    ContinueAsNew(Value),
}

impl From<StepError> for WorkflowError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Failed { code, message } => Self::Failed { code, message },
            StepError::Cancelled => Self::Cancelled,
        }
    }
}

/// Why a job could not be run now. The job itself is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the job's stream could not be read or written")]
    Store(#[from] StoreError),
    /// The engine asked its own journal for something that does not fit: a fault of ours.
    #[error("the journal refused what the engine recorded")]
    Journal(#[from] JobError),
    #[error("there is no job {job_id}")]
    NoSuchJob { job_id: domain::ids::JobId },
    #[error("this version has no workflow {workflow:?}; a worker that knows it has to run the job")]
    UnknownWorkflow { workflow: String },
    /// The workflow's code does what it must not; the job cannot go on.
    #[error("{message}")]
    Broken { code: &'static str, message: String },
}

impl EngineError {
    /// Every code.
    pub const CODES: &'static [&'static str] = &[
        "ENGINE_STORE",
        "ENGINE_JOURNAL",
        "ENGINE_NO_SUCH_JOB",
        "ENGINE_UNKNOWN_WORKFLOW",
        "WORKFLOW_STALLED",
        "WORKFLOW_PANICKED",
        "JOB_HISTORY_TOO_LONG",
    ];

    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "ENGINE_STORE",
            Self::Journal(_) => "ENGINE_JOURNAL",
            Self::NoSuchJob { .. } => "ENGINE_NO_SUCH_JOB",
            Self::UnknownWorkflow { .. } => "ENGINE_UNKNOWN_WORKFLOW",
            Self::Broken { code, .. } => code,
        }
    }
}
