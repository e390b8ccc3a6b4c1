//! How a schedule behaves around its due times: overlap, jitter, pause, the ids of jobs, and the bounds of all numbers.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::error::ScheduleError;
use super::timing::{EARLIEST, LATEST};
use crate::bot::UnknownName;
use crate::bot::named;
use crate::ids::{CampaignId, JobId, derive};

/// A leap year.
pub const LONGEST_INTERVAL_MINUTES: u32 = 366 * 24 * 60;
/// Half a day.
pub const LONGEST_JITTER_SECONDS: u32 = 12 * 60 * 60;
/// A week.
pub const LONGEST_CATCH_UP_MINUTES: u32 = 7 * 24 * 60;
/// An hour.
pub const DEFAULT_CATCH_UP_MINUTES: u32 = 60;
/// Longest reason of a pause, in characters.
pub const LONGEST_REASON: usize = 500;
/// Most jobs of a campaign that wait behind the one that runs.
pub const LONGEST_QUEUE: usize = 10;
/// Most runs of one backfill.
pub const MOST_BACKFILLED: usize = 100;
/// Most due times of one preview.
pub const MOST_PREVIEWED: usize = 1_000;

named!(
    /// What becomes of a run that is due while a job of its campaign is not over.
    Overlap {
        /// It is skipped.
        Skip = "SKIP",
        /// It starts when those before it are over.
        Queue = "QUEUE",
        /// It starts, and those before it are cancelled.
        CancelPrevious = "CANCEL_PREVIOUS",
    }
);

/// Why and since when a schedule starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub reason: String,
    pub paused_at: DateTime<Utc>,
}

impl Pause {
    /// A pause with a reason that people can read.
    pub fn try_new(reason: &str, paused_at: DateTime<Utc>) -> Result<Self, ScheduleError> {
        let reason = reason.trim();
        let length = reason.chars().count();
        if (1..=LONGEST_REASON).contains(&length) {
            Ok(Self { reason: reason.to_owned(), paused_at })
        } else {
            Err(ScheduleError::InvalidReason { length })
        }
    }
}

/// The job of a campaign's run that is due at `due_at`: always the same, so that a run decided twice is one job.
#[must_use]
pub fn job_id(campaign_id: CampaignId, due_at: DateTime<Utc>) -> JobId {
    JobId::from_uuid(derive(&["campaign job", &campaign_id.to_string(), &written(due_at)]))
}

/// How much after `due_at` its run starts: at most `bound`, and less than what lies before the due time after it, so
/// that runs start in the order in which they are due. Always the same for the same campaign and due time.
pub(super) fn jitter(
    campaign_id: CampaignId,
    due_at: DateTime<Utc>,
    next_due_at: Option<DateTime<Utc>>,
    bound: TimeDelta,
) -> TimeDelta {
    let room = next_due_at.map_or(bound, |next| bound.min(next - due_at - TimeDelta::seconds(1)));
    let choices = u64::try_from(room.num_seconds()).unwrap_or(0) + 1;
    if choices == 1 {
        return TimeDelta::zero();
    }
    let derived = derive(&["campaign jitter", &campaign_id.to_string(), &written(due_at)]);
    // The low half has two fixed bits at its top and 62 that are as good as random.
    let (_, roll) = derived.as_u64_pair();
    TimeDelta::seconds(i64::try_from((roll & (u64::MAX >> 2)) % choices).unwrap_or(0))
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

pub(super) fn checked_interval(minutes: u32) -> Result<NonZeroU32, ScheduleError> {
    NonZeroU32::new(minutes)
        .filter(|minutes| minutes.get() <= LONGEST_INTERVAL_MINUTES)
        .ok_or(ScheduleError::InvalidInterval { minutes })
}

pub(super) fn checked_jitter(seconds: u32) -> Result<u32, ScheduleError> {
    if seconds <= LONGEST_JITTER_SECONDS { Ok(seconds) } else { Err(ScheduleError::InvalidJitter { seconds }) }
}

pub(super) fn checked_catch_up(minutes: u32) -> Result<u32, ScheduleError> {
    if (1..=LONGEST_CATCH_UP_MINUTES).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(ScheduleError::InvalidCatchUp { minutes })
    }
}

pub(super) fn checked_instant(what: &'static str, given: DateTime<Utc>) -> Result<DateTime<Utc>, ScheduleError> {
    if (EARLIEST..=LATEST).contains(&given) { Ok(given) } else { Err(ScheduleError::InvalidInstant { what, given }) }
}
