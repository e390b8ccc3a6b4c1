//! Facts about one campaign. Names are stored: a variant is added, never renamed.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::schedule::{DueSpan, PlannedRun, Schedule, SkipReason};
use crate::bot::{BotState, UnknownName, named};
use crate::ids::{BotId, CampaignId, JobId};
use crate::variants::variants;

named!(
    /// How the job of a run ended.
    RunEnding {
        Completed = "COMPLETED",
        Failed = "FAILED",
        Cancelled = "CANCELLED",
        Terminated = "TERMINATED",
    }
);

/// Why a run that waited behind another was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Withdrawal {
    /// A later run takes its place.
    Superseded {
        by_due_at: DateTime<Utc>,
    },
    /// The bot left automation before it could start.
    BotNotRunning {
        state: BotState,
    },
    ScheduleCleared,
    CampaignArchived,
    /// Automation ended, or something broke, before its job was made.
    NotStarted,
}

/// Facts about one campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CampaignEvent {
    CampaignDefined {
        campaign_id: CampaignId,
        bot_id: BotId,
        definition: Definition,
        at: DateTime<Utc>,
    },
    CampaignRevised {
        revision: u32,
        definition: Definition,
        at: DateTime<Utc>,
    },
    CampaignArchived {
        at: DateTime<Utc>,
    },

    /// In its checked form, with the pause of the one before. Everything until `at` is decided.
    ScheduleSet {
        schedule: Schedule,
        at: DateTime<Utc>,
    },
    ScheduleCleared {
        at: DateTime<Utc>,
    },
    SchedulePaused {
        reason: String,
        at: DateTime<Utc>,
    },
    /// Everything until `at` is decided.
    ScheduleResumed {
        at: DateTime<Utc>,
    },

    /// A due time gets a run; its job starts at once, or when those before it are over (`waits`). Unless a person asked
    /// for it (`backfill`), everything until `at` is decided by this and the decisions beside it.
    RunPlanned {
        bot_id: BotId,
        run: PlannedRun,
        backfill: bool,
        waits: bool,
        revision: u32,
        at: DateTime<Utc>,
    },
    /// Due times that get no run. Everything until `at` is decided.
    RunsSkipped {
        span: DueSpan,
        reason: SkipReason,
        at: DateTime<Utc>,
    },
    /// Due times that nobody decided in time. Everything until `at` is decided.
    RunsMissed {
        span: DueSpan,
        at: DateTime<Utc>,
    },
    /// Nothing is before a run any more that waited: its job starts.
    RunReleased {
        bot_id: BotId,
        run: PlannedRun,
        at: DateTime<Utc>,
    },
    /// The job of a run is to end, as the next is due.
    RunCancelRequested {
        bot_id: BotId,
        job_id: JobId,
        due_at: DateTime<Utc>,
        by_due_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    /// A run is taken back that never had a job.
    RunWithdrawn {
        job_id: JobId,
        due_at: DateTime<Utc>,
        reason: Withdrawal,
        at: DateTime<Utc>,
    },
    RunEnded {
        job_id: JobId,
        due_at: DateTime<Utc>,
        ending: RunEnding,
        at: DateTime<Utc>,
    },
    /// The run goes on as another job.
    RunContinued {
        job_id: JobId,
        due_at: DateTime<Utc>,
        next: JobId,
        at: DateTime<Utc>,
    },
    /// The job of a run that was over goes on from one of its steps.
    RunReopened {
        run: PlannedRun,
        at: DateTime<Utc>,
    },
}

variants!(
    CampaignEvent,
    " The stored name.",
    [
        CampaignDefined,
        CampaignRevised,
        CampaignArchived,
        ScheduleSet,
        ScheduleCleared,
        SchedulePaused,
        ScheduleResumed,
        RunPlanned,
        RunsSkipped,
        RunsMissed,
        RunReleased,
        RunCancelRequested,
        RunWithdrawn,
        RunEnded,
        RunContinued,
        RunReopened,
    ]
);

impl DomainEvent for CampaignEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            // v2 added filters, texts and stop words.
            Self::CampaignDefined { .. } | Self::CampaignRevised { .. } => "2".to_owned(),
            _ => "1".to_owned(),
        }
    }
}
