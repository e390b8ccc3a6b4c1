//! Time zones by name, and what instants a zone's clocks show a local time at.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};

use super::error::ScheduleError;

/// No zone's clocks were set back by more than this since 1970 (Antarctica/Vostok in 1994); a test holds the zone data to it.
pub(super) const WIDEST_SET_BACK: TimeDelta = TimeDelta::hours(7);

/// The longest name that an error repeats.
const LONGEST_SHOWN: usize = 64;

/// The zone of an IANA name, spelled exactly.
pub fn zone_named(name: &str) -> Result<Tz, ScheduleError> {
    Tz::from_str(name.trim()).map_err(|_| ScheduleError::UnknownZone {
        given: name.chars().take(LONGEST_SHOWN).collect(),
        suggestion: like(name.trim()).map(|zone| zone.name().to_owned()),
    })
}

/// The zone whose name differs in case alone, or ends in this place.
fn like(name: &str) -> Option<Tz> {
    let wanted = name.replace(' ', "_");
    let place = |zone: &Tz| zone.name().rsplit('/').next().is_some_and(|place| place.eq_ignore_ascii_case(&wanted));
    let same = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(&wanted));
    same.or_else(|| TZ_VARIANTS.iter().find(|zone| place(zone))).copied()
}

/// At which instants the clocks of a zone show a local time.
pub(super) enum Shown {
    Once(DateTime<Utc>),
    /// The clocks are set back over it: the first and the second time.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// The clocks are set forward over it, at this instant.
    Skipped(DateTime<Utc>),
}

/// The instant of `hour` when the zone's clocks run evenly through the hour that begins then, as nearly all do.
///
/// No zone's clocks were ever changed and changed back within an hour.
pub(super) fn even_hour(hour: &NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let begin = zone.from_local_datetime(hour).single()?;
    let end = zone.from_local_datetime(&(*hour + TimeDelta::minutes(59))).single()?;
    (begin.offset().fix() == end.offset().fix()).then(|| begin.to_utc())
}

/// `None` where the zone data cannot tell.
pub(super) fn shown(local: &NaiveDateTime, zone: Tz) -> Option<Shown> {
    match zone.from_local_datetime(local) {
        MappedLocalTime::Single(at) => Some(Shown::Once(at.to_utc())),
        MappedLocalTime::Ambiguous(first, second) => Some(Shown::Twice(first.to_utc(), second.to_utc())),
        MappedLocalTime::None => {
            let end = GapInfo::new(local, &zone).and_then(|gap| gap.end);
            end.map(|at| Shown::Skipped(at.to_utc()))
        }
    }
}
