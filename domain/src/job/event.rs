//! Facts about one job. Names are stored: a variant is added, never renamed.
//!
//! An `index` numbers what the workflow's code asks of its context, in order, from 0.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::priority::JobPriority;
use crate::ids::{BotId, CampaignId, JobId};
use crate::variants::variants;

/// Why a job is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    /// A campaign was due.
    Campaign { campaign_id: CampaignId, due_at: DateTime<Utc> },
    /// A person asked.
    Person,
    /// Another job started it at `index` of its journal.
    Parent { job_id: JobId, index: u32 },
    /// It goes on where another stopped because its history was long.
    Continued { job_id: JobId },
    /// It repeats another up to `index` of its journal and goes on differently.
    Forked { job_id: JobId, index: u32 },
}

/// How a child ended, as its parent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    Completed { result: Value },
    Failed { code: String, message: String },
    Cancelled,
}

/// Facts about one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum JobEvent {
    JobCreated {
        job_id: JobId,
        bot_id: BotId,
        workflow: String,
        input: Value,
        origin: Origin,
        at: DateTime<Utc>,
    },
    JobStarted {
        at: DateTime<Utc>,
    },
    /// Only for steps with side effects: whoever finds it without an end must look before it repeats.
    StepStarted {
        index: u32,
        name: String,
        attempt: u32,
        at: DateTime<Utc>,
    },
    StepCompleted {
        index: u32,
        name: String,
        attempt: u32,
        result: Value,
        at: DateTime<Utc>,
    },
    /// `retry_at` is `None` when it is not tried again.
    StepFailed {
        index: u32,
        name: String,
        attempt: u32,
        code: String,
        message: String,
        retry_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    TimerSet {
        index: u32,
        fires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    TimerFired {
        index: u32,
        at: DateTime<Utc>,
    },
    /// The workflow, or its cleanup, waits for a signal, at most until `until`.
    SignalAwaited {
        index: u32,
        name: String,
        until: Option<DateTime<Utc>>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        in_cleanup: bool,
        at: DateTime<Utc>,
    },
    SignalTimedOut {
        index: u32,
        at: DateTime<Utc>,
    },
    SignalReceived {
        name: String,
        payload: Value,
        at: DateTime<Utc>,
    },
    ChildStarted {
        index: u32,
        child: JobId,
        workflow: String,
        at: DateTime<Utc>,
    },
    ChildFinished {
        index: u32,
        child: JobId,
        outcome: Outcome,
        at: DateTime<Utc>,
    },
    /// The code asked whether it may take a changed path, and it may.
    PatchMarked {
        index: u32,
        patch: String,
        at: DateTime<Utc>,
    },
    JobPaused {
        reason: String,
        at: DateTime<Utc>,
    },
    /// Timers that had not fired are later by the length of the pause.
    JobResumed {
        at: DateTime<Utc>,
    },
    /// Somebody set how urgent it is among the jobs of its bot.
    JobPrioritized {
        priority: JobPriority,
        at: DateTime<Utc>,
    },
    JobCancelRequested {
        reason: String,
        at: DateTime<Utc>,
    },
    JobCancelled {
        at: DateTime<Utc>,
    },
    JobTerminated {
        reason: String,
        at: DateTime<Utc>,
    },
    JobCompleted {
        result: Value,
        at: DateTime<Utc>,
    },
    JobFailed {
        code: String,
        message: String,
        at: DateTime<Utc>,
    },
    /// Today's code asks for something else than the history has.
    JobDiverged {
        index: u32,
        recorded: String,
        attempted: String,
        at: DateTime<Utc>,
    },
    /// The journal from `index` on counts no more; the job runs again from there.
    JobReset {
        index: u32,
        reason: String,
        at: DateTime<Utc>,
    },
    /// The journal that a forked job starts with, as events of the original.
    JobForked {
        from: JobId,
        index: u32,
        history: Vec<JobEvent>,
        at: DateTime<Utc>,
    },
    JobContinuedAsNew {
        next: JobId,
        input: Value,
        at: DateTime<Utc>,
    },
}

variants!(
    JobEvent,
    " The stored name.",
    [
        JobCreated,
        JobStarted,
        StepStarted,
        StepCompleted,
        StepFailed,
        TimerSet,
        TimerFired,
        SignalAwaited,
        SignalTimedOut,
        SignalReceived,
        ChildStarted,
        ChildFinished,
        PatchMarked,
        JobPaused,
        JobResumed,
        JobPrioritized,
        JobCancelRequested,
        JobCancelled,
        JobTerminated,
        JobCompleted,
        JobFailed,
        JobDiverged,
        JobReset,
        JobForked,
        JobContinuedAsNew,
    ]
);

impl DomainEvent for JobEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl JobEvent {
    /// What of the code's requests it records.
    #[must_use]
    pub const fn index(&self) -> Option<u32> {
        match self {
            Self::StepStarted { index, .. }
            | Self::StepCompleted { index, .. }
            | Self::StepFailed { index, .. }
            | Self::TimerSet { index, .. }
            | Self::TimerFired { index, .. }
            | Self::SignalAwaited { index, .. }
            | Self::SignalTimedOut { index, .. }
            | Self::ChildStarted { index, .. }
            | Self::ChildFinished { index, .. }
            | Self::PatchMarked { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// When it happened, in engine time.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        match self {
            Self::JobCreated { at, .. }
            | Self::JobStarted { at }
            | Self::StepStarted { at, .. }
            | Self::StepCompleted { at, .. }
            | Self::StepFailed { at, .. }
            | Self::TimerSet { at, .. }
            | Self::TimerFired { at, .. }
            | Self::SignalAwaited { at, .. }
            | Self::SignalTimedOut { at, .. }
            | Self::SignalReceived { at, .. }
            | Self::ChildStarted { at, .. }
            | Self::ChildFinished { at, .. }
            | Self::PatchMarked { at, .. }
            | Self::JobPaused { at, .. }
            | Self::JobResumed { at }
            | Self::JobPrioritized { at, .. }
            | Self::JobCancelRequested { at, .. }
            | Self::JobCancelled { at }
            | Self::JobTerminated { at, .. }
            | Self::JobCompleted { at, .. }
            | Self::JobFailed { at, .. }
            | Self::JobDiverged { at, .. }
            | Self::JobReset { at, .. }
            | Self::JobForked { at, .. }
            | Self::JobContinuedAsNew { at, .. } => *at,
        }
    }
}
