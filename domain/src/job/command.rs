//! What may be asked of a job. Instants, ids and random rolls come in with the command.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::event::{JobEvent, Origin, Outcome};
use super::journal::Divergence;
use super::priority::JobPriority;
use crate::ids::{BotId, JobId};

/// What may be asked of a job. The first half is the worker's that runs it, the second half anybody's.
#[derive(Debug, Clone, PartialEq)]
pub enum JobCommand {
    Create {
        job_id: JobId,
        bot_id: BotId,
        workflow: String,
        input: Value,
        origin: Origin,
        at: DateTime<Utc>,
    },
    Start {
        at: DateTime<Utc>,
    },
    StartStep {
        index: u32,
        name: String,
        at: DateTime<Utc>,
    },
    CompleteStep {
        index: u32,
        name: String,
        result: Value,
        at: DateTime<Utc>,
    },
    /// `retry_at` is `None` when it is not tried again.
    FailStep {
        index: u32,
        name: String,
        code: String,
        message: String,
        retry_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    SetTimer {
        index: u32,
        fires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    FireTimer {
        index: u32,
        at: DateTime<Utc>,
    },
    AwaitSignal {
        index: u32,
        name: String,
        until: Option<DateTime<Utc>>,
        in_cleanup: bool,
        at: DateTime<Utc>,
    },
    TimeOutSignal {
        index: u32,
        at: DateTime<Utc>,
    },
    StartChild {
        index: u32,
        child: JobId,
        workflow: String,
        at: DateTime<Utc>,
    },
    FinishChild {
        index: u32,
        outcome: Outcome,
        at: DateTime<Utc>,
    },
    MarkPatch {
        index: u32,
        patch: String,
        at: DateTime<Utc>,
    },
    Complete {
        result: Value,
        at: DateTime<Utc>,
    },
    Fail {
        code: String,
        message: String,
        at: DateTime<Utc>,
    },
    Diverge {
        divergence: Divergence,
        at: DateTime<Utc>,
    },
    /// The cleanup after a requested cancellation is done.
    FinishCancel {
        at: DateTime<Utc>,
    },
    ContinueAsNew {
        next: JobId,
        input: Value,
        at: DateTime<Utc>,
    },

    Signal {
        name: String,
        payload: Value,
        at: DateTime<Utc>,
    },
    Pause {
        reason: String,
        at: DateTime<Utc>,
    },
    Resume {
        at: DateTime<Utc>,
    },
    RequestCancel {
        reason: String,
        at: DateTime<Utc>,
    },
    Terminate {
        reason: String,
        at: DateTime<Utc>,
    },
    /// How urgent it is among the jobs of its bot from now on.
    Prioritize {
        priority: JobPriority,
        at: DateTime<Utc>,
    },
    /// Runs again from `index`; what is recorded from there on counts no more.
    Reset {
        index: u32,
        reason: String,
        at: DateTime<Utc>,
    },
    /// Makes this new stream a fork of `from`, with the part of its history before `index`.
    Fork {
        job_id: JobId,
        bot_id: BotId,
        workflow: String,
        input: Value,
        from: JobId,
        index: u32,
        history: Vec<JobEvent>,
        /// `None`: as any fork.
        priority: Option<JobPriority>,
        at: DateTime<Utc>,
    },
}

impl JobCommand {
    /// The name that refusals and logs show.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "Create",
            Self::Start { .. } => "Start",
            Self::StartStep { .. } => "StartStep",
            Self::CompleteStep { .. } => "CompleteStep",
            Self::FailStep { .. } => "FailStep",
            Self::SetTimer { .. } => "SetTimer",
            Self::FireTimer { .. } => "FireTimer",
            Self::AwaitSignal { .. } => "AwaitSignal",
            Self::TimeOutSignal { .. } => "TimeOutSignal",
            Self::StartChild { .. } => "StartChild",
            Self::FinishChild { .. } => "FinishChild",
            Self::MarkPatch { .. } => "MarkPatch",
            Self::Complete { .. } => "Complete",
            Self::Fail { .. } => "Fail",
            Self::Diverge { .. } => "Diverge",
            Self::FinishCancel { .. } => "FinishCancel",
            Self::ContinueAsNew { .. } => "ContinueAsNew",
            Self::Signal { .. } => "Signal",
            Self::Pause { .. } => "Pause",
            Self::Resume { .. } => "Resume",
            Self::RequestCancel { .. } => "RequestCancel",
            Self::Terminate { .. } => "Terminate",
            Self::Prioritize { .. } => "Prioritize",
            Self::Reset { .. } => "Reset",
            Self::Fork { .. } => "Fork",
        }
    }
}
