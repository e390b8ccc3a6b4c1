//! Due times as instants, in order: of a cron expression in a time zone, of an interval, of a single run.
//!
//! Where the clocks change, a cron expression means this. With named hours, every local time that matches is due once:
//! one that the clocks skip at the instant of the change, one that they show twice at the first. With every hour of the
//! day (`*`), it is due whenever the clocks show a time that matches: twice in a repeated hour, never in a skipped one,
//! so that "every 15 minutes" stays every 15 minutes.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::zone::{Shown, WIDEST_SET_BACK, even_hour, shown};

/// Nothing is due before.
pub const EARLIEST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Nothing is due after: the end of the year 9999.
pub const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(at) => at,
    None => DateTime::<Utc>::MAX_UTC,
};

/// When runs are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Timing {
    Cron {
        expression: Cron,
        zone: Tz,
    },
    /// At `anchored_at` and every so many minutes after it, whatever clocks do.
    Interval {
        minutes: NonZeroU32,
        anchored_at: DateTime<Utc>,
    },
    Once {
        due_at: DateTime<Utc>,
    },
}

impl Timing {
    /// The due times after `after`, in order, each once.
    #[must_use]
    pub fn times_after(&self, after: DateTime<Utc>) -> Times<'_> {
        let after = after.max(EARLIEST - TimeDelta::nanoseconds(1));
        if after >= LATEST {
            return Times(Kind::Listed { next: None, every: None });
        }
        Times(match self {
            Self::Cron { expression, zone } => Kind::Cron(CronTimes::new(expression, *zone, after)),
            Self::Interval { minutes, anchored_at } => {
                let every = TimeDelta::minutes(i64::from(minutes.get()));
                Kind::Listed { next: next_of_interval(*anchored_at, every, after), every: Some(every) }
            }
            Self::Once { due_at } => Kind::Listed { next: Some(*due_at).filter(|due| *due > after), every: None },
        })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { expression, zone } => write!(f, "cron expression {:?} in {}", expression.as_str(), zone),
            Self::Interval { minutes, anchored_at } => write!(f, "every {minutes} minutes from {anchored_at}"),
            Self::Once { due_at } => write!(f, "a single run at {due_at}"),
        }
    }
}

/// Due times in order, each once.
pub struct Times<'a>(Kind<'a>);

enum Kind<'a> {
    Cron(CronTimes<'a>),
    Listed { next: Option<DateTime<Utc>>, every: Option<TimeDelta> },
}

impl Iterator for Times<'_> {
    type Item = DateTime<Utc>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match &mut self.0 {
            Kind::Cron(times) => times.next(),
            Kind::Listed { next, every } => {
                let found = next.take();
                *next = found.zip(*every).and_then(|(found, every)| found.checked_add_signed(every));
                found
            }
        };
        found.filter(|found| (EARLIEST..=LATEST).contains(found))
    }
}

/// The first of `anchor`, `anchor + every`, ... after `after`.
fn next_of_interval(anchor: DateTime<Utc>, every: TimeDelta, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let passed = (after - anchor).num_milliseconds() / every.num_milliseconds().max(1);
    let passed = TimeDelta::try_milliseconds(passed.max(0).checked_mul(every.num_milliseconds())?)?;
    let at_or_before = anchor.checked_add_signed(passed)?;
    if at_or_before > after { Some(at_or_before) } else { at_or_before.checked_add_signed(every) }
}

/// Turns the local hours that match into instants, one hour after another.
struct CronTimes<'a> {
    cron: &'a Cron,
    zone: Tz,
    after: DateTime<Utc>,
    /// Instants of hours that were turned already.
    found: BTreeSet<DateTime<Utc>>,
    /// The local hour from which on hours have still to be turned; `None` at the end of time.
    turned_until: Option<NaiveDateTime>,
}

impl<'a> CronTimes<'a> {
    fn new(cron: &'a Cron, zone: Tz, after: DateTime<Utc>) -> Self {
        // Local times before this cannot be shown after `after` any more.
        let from = after.with_timezone(&zone).naive_local() - WIDEST_SET_BACK;
        let hour = from.date().and_hms_opt(from.hour(), 0, 0);
        Self { cron, zone, after, found: BTreeSet::new(), turned_until: hour }
    }

    fn turn(&mut self, hour: NaiveDateTime) {
        let after = self.after;
        if let Some(begin) = even_hour(&hour, self.zone) {
            let instants = self.cron.minutes().map(|minute| begin + TimeDelta::minutes(i64::from(minute)));
            self.found.extend(instants.filter(|at| *at > after));
            return;
        }
        let every_hour = self.cron.is_every_hour();
        for minute in self.cron.minutes() {
            let local = hour + TimeDelta::minutes(i64::from(minute));
            let (first, second) = match shown(&local, self.zone) {
                Some(Shown::Once(at)) => (Some(at), None),
                Some(Shown::Twice(first, second)) => (Some(first), Some(second).filter(|_| every_hour)),
                Some(Shown::Skipped(change)) => (Some(change).filter(|_| !every_hour), None),
                None => (None, None),
            };
            self.found.extend([first, second].into_iter().flatten().filter(|at| *at > after));
        }
    }
}

impl Iterator for CronTimes<'_> {
    type Item = DateTime<Utc>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(hour) = self.turned_until.and_then(|from| self.cron.next_hour(from)) {
            // Clocks that are set back later can show an earlier time, but not one before `hour`.
            let settled = |at: &DateTime<Utc>| at.with_timezone(&self.zone).naive_local() + WIDEST_SET_BACK < hour;
            if self.found.first().is_some_and(settled) {
                return self.found.pop_first();
            }
            self.turn(hour);
            self.turned_until = hour.checked_add_signed(TimeDelta::hours(1));
        }
        self.turned_until = None;
        self.found.pop_first()
    }
}
