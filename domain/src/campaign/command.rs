//! What may be asked of a campaign.

use chrono::{DateTime, Utc};

use super::draft::Draft;
use super::event::RunEnding;
use super::schedule::{BotStanding, ScheduleDraft};
use crate::bot::BotState;
use crate::ids::{BotId, CampaignId, JobId};
use crate::variants::variants;

/// What may be asked of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignCommand {
    Define {
        campaign_id: CampaignId,
        bot_id: BotId,
        draft: Draft,
        at: DateTime<Utc>,
    },
    Revise {
        draft: Draft,
        at: DateTime<Utc>,
    },
    Archive {
        at: DateTime<Utc>,
    },

    SetSchedule {
        draft: ScheduleDraft,
        bot: BotStanding,
        at: DateTime<Utc>,
    },
    ClearSchedule {
        bot: BotStanding,
        at: DateTime<Utc>,
    },
    PauseSchedule {
        reason: String,
        bot: BotStanding,
        at: DateTime<Utc>,
    },
    ResumeSchedule {
        bot: BotStanding,
        at: DateTime<Utc>,
    },
    /// Decide everything that was due until `at`.
    DecideDue {
        bot: BotStanding,
        at: DateTime<Utc>,
    },
    /// Run what was due from `from` on and before `until` and had no run.
    Backfill {
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        bot: BotStanding,
        at: DateTime<Utc>,
    },

    /// What became of the job of a run.
    RecordRunEnded {
        job_id: JobId,
        ending: RunEnding,
        bot: BotState,
        at: DateTime<Utc>,
    },
    /// Nothing will make its job any more.
    RecordRunNotStarted {
        job_id: JobId,
        bot: BotState,
        at: DateTime<Utc>,
    },
    RecordRunContinued {
        job_id: JobId,
        next: JobId,
        at: DateTime<Utc>,
    },
    RecordRunReopened {
        job_id: JobId,
        due_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
}

variants!(
    CampaignCommand,
    " The name that refusals and logs show.",
    [
        Define,
        Revise,
        Archive,
        SetSchedule,
        ClearSchedule,
        PauseSchedule,
        ResumeSchedule,
        DecideDue,
        Backfill,
        RecordRunEnded,
        RecordRunNotStarted,
        RecordRunContinued,
        RecordRunReopened,
    ]
);
