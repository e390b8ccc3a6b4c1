//! Why a schedule, a pause or a backfill is refused.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::policy::{
    LONGEST_CATCH_UP_MINUTES, LONGEST_INTERVAL_MINUTES, LONGEST_JITTER_SECONDS, LONGEST_REASON, MOST_BACKFILLED,
};
use super::timing::{EARLIEST, LATEST};
use crate::bot::BotState;
use crate::variants::codes;

/// Why a schedule is refused. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// `column` is the first character that is wrong, from 1; one past the end when something is missing there.
    #[error("cron expression {expression:?}, character {column}: {problem}")]
    InvalidCron { expression: String, column: usize, problem: String },
    #[error("{given} never fires: {why}")]
    NeverFires { given: String, why: String },
    #[error("{given:?} is no time zone; {}", zone_hint(suggestion.as_deref()))]
    UnknownZone { given: String, suggestion: Option<String> },
    #[error("an interval is 1 to {LONGEST_INTERVAL_MINUTES} minutes; {minutes} is outside")]
    InvalidInterval { minutes: u32 },
    #[error("{what} lies between {EARLIEST} and {LATEST}; {given} is outside")]
    InvalidInstant { what: &'static str, given: DateTime<Utc> },
    #[error("the jitter is 0 to {LONGEST_JITTER_SECONDS} seconds; {seconds} is outside")]
    InvalidJitter { seconds: u32 },
    #[error("the catch-up window is 1 to {LONGEST_CATCH_UP_MINUTES} minutes; {minutes} is outside")]
    InvalidCatchUp { minutes: u32 },
    #[error("the reason of a pause is 1 to {LONGEST_REASON} characters long; this one has {length}")]
    InvalidReason { length: usize },
    #[error("a backfill goes from an instant to a later one that is not in the future; {from} to {until} does not")]
    InvalidRange { from: DateTime<Utc>, until: DateTime<Utc> },
    #[error(
        "more than {MOST_BACKFILLED} runs were due between {from} and {until}; at most so many are backfilled at once"
    )]
    BackfillTooLarge { from: DateTime<Utc>, until: DateTime<Utc> },
    #[error("runs are backfilled only while the bot is RUNNING; it is {state}")]
    BotNotRunning { state: BotState },
    #[error(
        "runs are backfilled only while the bot runs a plan with this campaign; authorize and enable automation again"
    )]
    NotInPlan,
}

codes!(ScheduleError {
    InvalidCron = "SCHEDULE_INVALID_CRON",
    NeverFires = "SCHEDULE_NEVER_FIRES",
    UnknownZone = "SCHEDULE_UNKNOWN_ZONE",
    InvalidInterval = "SCHEDULE_INVALID_INTERVAL",
    InvalidInstant = "SCHEDULE_INVALID_INSTANT",
    InvalidJitter = "SCHEDULE_INVALID_JITTER",
    InvalidCatchUp = "SCHEDULE_INVALID_CATCH_UP",
    InvalidReason = "SCHEDULE_INVALID_REASON",
    InvalidRange = "SCHEDULE_INVALID_RANGE",
    BackfillTooLarge = "SCHEDULE_BACKFILL_TOO_LARGE",
    BotNotRunning = "SCHEDULE_BOT_NOT_RUNNING",
    NotInPlan = "SCHEDULE_NOT_IN_PLAN",
});

impl ScheduleError {
    /// Where in an input it is wrong, from the outermost field in.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self {
            Self::InvalidCron { .. } => "schedule.timing.cron.expression",
            Self::UnknownZone { .. } => "schedule.timing.cron.time_zone",
            Self::InvalidInterval { .. } => "schedule.timing.interval.every_minutes",
            Self::NeverFires { .. } | Self::InvalidInstant { .. } => "schedule.timing",
            Self::InvalidJitter { .. } => "schedule.jitter_seconds",
            Self::InvalidCatchUp { .. } => "schedule.catch_up_minutes",
            Self::InvalidReason { .. } => "reason",
            Self::InvalidRange { .. } => "from",
            Self::BackfillTooLarge { .. } => "until",
            Self::BotNotRunning { .. } | Self::NotInPlan => "campaign_id",
        }
    }

    /// The expression with a mark under the character that is wrong, in two lines, where there is one.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            // A tab stays a tab, so that the mark stands under its character.
            Self::InvalidCron { expression, column, .. } => {
                let before = expression.chars().chain(std::iter::repeat(' ')).take(column.saturating_sub(1));
                let blank: String = before.map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
                Some(format!("{expression}\n{blank}^"))
            }
            _ => None,
        }
    }
}

fn zone_hint(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("did you mean {name}?"),
        None => "give an IANA name such as Europe/Istanbul".to_owned(),
    }
}
