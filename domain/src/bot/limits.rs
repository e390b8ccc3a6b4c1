//! Limits: per kind, per hour, warm-up, ceilings and working hours.
//!
//! Caution, not permission. All numbers are over all campaigns of an account.

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::state::{ActionKind, UnknownName, named};

/// Days from the first live enable in which the warm-up limits hold; they hold for live actions and for reads.
pub const WARM_UP_DAYS: i64 = 7;

/// An hour gets at most this part of a day's allowance.
pub const HOURLY_SHARE: u32 = 6;

/// Least and most seconds between two writes of one account.
pub const PAUSE_SECONDS: (i64, i64) = (60, 180);

named!(
    /// What is counted against a limit.
    Counter {
        Follow = "FOLLOW",
        Unfollow = "UNFOLLOW",
        Like = "LIKE",
        Story = "STORY",
        Comment = "COMMENT",
        Dm = "DM",
        /// Calls of the gateway, of any kind.
        Request = "REQUEST",
    }
);

impl From<ActionKind> for Counter {
    fn from(kind: ActionKind) -> Self {
        match kind {
            ActionKind::Follow => Self::Follow,
            ActionKind::Unfollow => Self::Unfollow,
            ActionKind::Like => Self::Like,
            ActionKind::Story => Self::Story,
            ActionKind::Comment => Self::Comment,
            ActionKind::Dm => Self::Dm,
        }
    }
}

impl Counter {
    /// A day's limit in the first week of live automation.
    #[must_use]
    pub const fn warm_up(self) -> u32 {
        match self {
            Self::Follow | Self::Unfollow => 5,
            Self::Like => 10,
            Self::Story => 20,
            Self::Comment | Self::Dm => 0,
            Self::Request => 200,
        }
    }

    /// A day's limit unless the person chose another.
    #[must_use]
    pub const fn default_limit(self) -> u32 {
        match self {
            Self::Follow | Self::Unfollow => 15,
            Self::Like => 40,
            Self::Story => 60,
            Self::Comment => 3,
            Self::Dm => 5,
            Self::Request => 600,
        }
    }

    /// The limit that nobody can pass.
    #[must_use]
    pub const fn ceiling(self) -> u32 {
        match self {
            Self::Follow | Self::Unfollow => 40,
            Self::Like | Self::Story => 120,
            Self::Comment => 10,
            Self::Dm => 15,
            Self::Request => 1_200,
        }
    }
}

/// From which to which hour of the account's day automation may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingHours {
    /// First hour, 0 to 23.
    pub from: u8,
    /// The hour at which it ends, 1 to 24; after `from`.
    pub until: u8,
}

impl WorkingHours {
    /// Whether the hours make sense.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.from < self.until && self.until <= 24
    }

    /// `None` inside the hours; else when they next begin.
    #[must_use]
    pub fn opens_at(self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(&zone);
        if self.contains(local.hour()) {
            return None;
        }
        let opening = NaiveTime::from_hms_opt(u32::from(self.from), 0, 0).unwrap_or_default();
        // A change of clocks can skip the hours of a day, and even a whole day.
        let opens = local.date_naive().iter_days().take(4).find_map(|day| {
            first_instant(day.and_time(opening), now, zone)
                .filter(|opens| self.contains(opens.with_timezone(&zone).hour()))
        });
        Some(opens.unwrap_or(now + TimeDelta::hours(1)))
    }

    fn contains(self, hour: u32) -> bool {
        (u32::from(self.from)..u32::from(self.until)).contains(&hour)
    }
}

/// What the person allows a day, for each counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub follow: u32,
    pub unfollow: u32,
    pub like: u32,
    pub story: u32,
    pub comment: u32,
    pub dm: u32,
    pub request: u32,
    pub hours: WorkingHours,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            follow: Counter::Follow.default_limit(),
            unfollow: Counter::Unfollow.default_limit(),
            like: Counter::Like.default_limit(),
            story: Counter::Story.default_limit(),
            comment: Counter::Comment.default_limit(),
            dm: Counter::Dm.default_limit(),
            request: Counter::Request.default_limit(),
            hours: WorkingHours { from: 9, until: 21 },
        }
    }
}

impl Limits {
    /// The chosen limit of `counter`.
    #[must_use]
    pub const fn of(&self, counter: Counter) -> u32 {
        match counter {
            Counter::Follow => self.follow,
            Counter::Unfollow => self.unfollow,
            Counter::Like => self.like,
            Counter::Story => self.story,
            Counter::Comment => self.comment,
            Counter::Dm => self.dm,
            Counter::Request => self.request,
        }
    }

    fn set(&mut self, counter: Counter, value: u32) {
        match counter {
            Counter::Follow => self.follow = value,
            Counter::Unfollow => self.unfollow = value,
            Counter::Like => self.like = value,
            Counter::Story => self.story = value,
            Counter::Comment => self.comment = value,
            Counter::Dm => self.dm = value,
            Counter::Request => self.request = value,
        }
    }

    /// The part of `wanted` that holds at once: what is lower than now. Hours change at once.
    #[must_use]
    pub fn lowered_to(&self, wanted: &Self) -> Self {
        let mut lowered = wanted.clone();
        for counter in Counter::ALL {
            lowered.set(*counter, self.of(*counter).min(wanted.of(*counter)));
        }
        lowered
    }

    /// The first counter whose limit is above its ceiling.
    #[must_use]
    pub fn above_ceiling(&self) -> Option<Counter> {
        Counter::ALL.iter().copied().find(|counter| self.of(*counter) > counter.ceiling())
    }
}

/// What is fixed beside the limits that a person chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// An hour's limits that are not the usual share of a day's.
    pub hourly: BTreeMap<Counter, u32>,
    /// Least and most seconds between two writes.
    pub pause_seconds: (i64, i64),
    /// Whether the first days have lower limits.
    pub warm_up: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { hourly: BTreeMap::new(), pause_seconds: PAUSE_SECONDS, warm_up: true }
    }
}

/// The limit of an hour, given a day's: a sixth, but one where the day allows any.
#[must_use]
pub const fn hourly(per_day: u32) -> u32 {
    if per_day == 0 {
        0
    } else if per_day < HOURLY_SHARE {
        1
    } else {
        per_day / HOURLY_SHARE
    }
}

/// The start of the account's next day.
#[must_use]
pub fn next_local_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    let midnight = today.succ_opt().unwrap_or(today).and_time(NaiveTime::MIN);
    first_instant(midnight, now, zone).unwrap_or(now + TimeDelta::days(1))
}

/// The first instant after `now` that the zone's clocks show as `local`; where a change of clocks skips it, the first
/// that they show after it, within a day.
fn first_instant(local: NaiveDateTime, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    (0..=96).map(|quarter| local + TimeDelta::minutes(15 * quarter)).find_map(|local| {
        let shown = zone.from_local_datetime(&local);
        [shown.earliest(), shown.latest()].into_iter().flatten().map(|at| at.with_timezone(&Utc)).find(|at| *at > now)
    })
}
