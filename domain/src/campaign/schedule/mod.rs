//! When a campaign runs: its timing, how much chance spreads its starts, and what happens when runs meet or are late.
//!
//! Pure: an instant and what is known of the campaign's jobs come in, due times and decisions come out. Keeping time,
//! appending and enqueueing are the scheduler's.

mod cron;
mod due;
mod error;
mod policy;
#[cfg(test)]
mod tests;
mod timing;
mod zone;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use cron::Cron;
pub use due::{
    BotStanding, DueDecision, DueSpan, DueTime, PlannedRun, SkipReason, Standing, backfill, due, due_of_bot,
    next_decision_at,
};
pub use error::ScheduleError;
pub use policy::{
    DEFAULT_CATCH_UP_MINUTES, LONGEST_CATCH_UP_MINUTES, LONGEST_INTERVAL_MINUTES, LONGEST_JITTER_SECONDS,
    LONGEST_QUEUE, LONGEST_REASON, MOST_BACKFILLED, MOST_PREVIEWED, Overlap, Pause, job_id,
};
pub use timing::{EARLIEST, LATEST, Times, Timing};
pub use zone::zone_named;

use policy::{checked_catch_up, checked_instant, checked_interval, checked_jitter};

/// A schedule as a person gave it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleDraft {
    pub timing: DraftTiming,
    pub jitter_seconds: u32,
    pub overlap: Overlap,
    pub catch_up_minutes: u32,
}

/// A timing as a person gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftTiming {
    /// Five fields or an alias such as `@daily`, and the IANA name of a time zone.
    Cron { expression: String, zone: String },
    /// Every so many minutes, counted from an instant.
    Interval { minutes: u32, anchored_at: DateTime<Utc> },
    /// One run.
    Once { due_at: DateTime<Utc> },
}

/// When a campaign runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub timing: Timing,
    /// A run starts up to this much after its due time, and always before the next one.
    pub jitter_seconds: u32,
    pub overlap: Overlap,
    /// A run that could not be decided within this time of its start is missed.
    pub catch_up_minutes: u32,
    /// Only due times after this exist: when the schedule was set or last changed.
    pub since: DateTime<Utc>,
    /// While it is there nothing starts. Decide up to the instant of a resume before taking it away, so that what was
    /// due during the pause counts as paused and is not caught up with.
    pub pause: Option<Pause>,
}

impl Schedule {
    /// Checks a draft that was given at `at` and brings it into its stored form.
    pub fn try_new(draft: ScheduleDraft, at: DateTime<Utc>) -> Result<Self, ScheduleError> {
        let timing = match draft.timing {
            DraftTiming::Cron { expression, zone } => {
                Timing::Cron { expression: Cron::try_new(&expression)?, zone: zone_named(&zone)? }
            }
            DraftTiming::Interval { minutes, anchored_at } => Timing::Interval {
                minutes: checked_interval(minutes)?,
                anchored_at: checked_instant("the start of an interval", anchored_at)?,
            },
            DraftTiming::Once { due_at } => {
                Timing::Once { due_at: checked_instant("the time of a single run", due_at)? }
            }
        };
        if timing.times_after(at).next().is_none() {
            let given = timing.to_string();
            return Err(ScheduleError::NeverFires { given, why: "all of it is in the past".to_owned() });
        }
        Ok(Self {
            timing,
            jitter_seconds: checked_jitter(draft.jitter_seconds)?,
            overlap: draft.overlap,
            catch_up_minutes: checked_catch_up(draft.catch_up_minutes)?,
            since: at,
            pause: None,
        })
    }

    /// The next `n` due times that start after `after`, at most [`MOST_PREVIEWED`]. A pause does not hide them.
    #[must_use]
    pub fn next_due(&self, campaign_id: crate::ids::CampaignId, after: DateTime<Utc>, n: usize) -> Vec<DueTime> {
        self.due_times(campaign_id, after).take(n.min(MOST_PREVIEWED)).collect()
    }

    fn jitter(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.jitter_seconds))
    }

    fn catch_up(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.catch_up_minutes))
    }
}
