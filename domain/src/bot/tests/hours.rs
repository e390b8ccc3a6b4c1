//! Working hours and local days across changes of clocks.

use chrono::{DateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use crate::bot::WorkingHours;
use crate::bot::limits::next_local_midnight;

/// Whole, half and quarter hours; clocks that change by an hour or a half, at night, at midnight or never.
pub const ZONES: [Tz; 12] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Havana,
    Tz::America__St_Johns,
    Tz::Africa__Cairo,
    Tz::Asia__Beirut,
    Tz::Asia__Kolkata,
    Tz::Asia__Kathmandu,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Chatham,
    Tz::Pacific__Apia,
];

const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn opens(from: u8, until: u8, now: &str, zone: Tz) -> Option<DateTime<Utc>> {
    WorkingHours { from, until }.opens_at(utc(now), zone)
}

#[test]
fn hours_open_with_the_first_and_close_before_the_last() {
    let zone = Tz::Europe__Berlin;
    assert_eq!(opens(9, 21, "2026-01-15T07:59:59.999Z", zone), Some(utc("2026-01-15T08:00:00Z")));
    assert_eq!(opens(9, 21, "2026-01-15T08:00:00Z", zone), None);
    assert_eq!(opens(9, 21, "2026-01-15T19:59:59.999Z", zone), None);
    assert_eq!(opens(9, 21, "2026-01-15T20:00:00Z", zone), Some(utc("2026-01-16T08:00:00Z")));
}

#[test]
fn the_whole_day_never_closes() {
    for zone in ZONES {
        for hour in 0..24 {
            let now = Utc.with_ymd_and_hms(2026, 3, 29, hour, 30, 0).unwrap();
            assert_eq!(WorkingHours { from: 0, until: 24 }.opens_at(now, zone), None);
        }
    }
}

#[test]
fn an_opening_that_summer_time_skips_is_the_moment_after_the_gap() {
    // Berlin goes from 02:00 to 03:00, Lord Howe from 02:00 to 02:30.
    assert_eq!(opens(2, 5, "2026-03-28T22:00:00Z", Tz::Europe__Berlin), Some(utc("2026-03-29T01:00:00Z")));
    assert_eq!(opens(2, 5, "2026-10-03T12:00:00Z", Tz::Australia__Lord_Howe), Some(utc("2026-10-03T15:30:00Z")));
}

#[test]
fn hours_that_summer_time_skips_altogether_open_the_next_day() {
    assert_eq!(opens(2, 3, "2026-03-28T22:00:00Z", Tz::Europe__Berlin), Some(utc("2026-03-30T00:00:00Z")));
}

#[test]
fn an_hour_that_winter_time_repeats_is_open_twice() {
    let zone = Tz::America__New_York;
    for now in ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"] {
        assert_eq!(opens(1, 2, now, zone), None);
    }
    assert_eq!(opens(1, 2, "2026-11-01T07:00:00Z", zone), Some(utc("2026-11-02T06:00:00Z")));
}

#[test]
fn a_day_that_was_skipped_has_neither_hours_nor_a_midnight() {
    // Samoa went from the end of 29 December 2011 to the start of the 31st.
    let zone = Tz::Pacific__Apia;
    assert_eq!(opens(9, 21, "2011-12-30T08:00:00Z", zone), Some(utc("2011-12-30T19:00:00Z")));
    assert_eq!(next_local_midnight(utc("2011-12-30T08:00:00Z"), zone), utc("2011-12-30T10:00:00Z"));
}

#[test]
fn a_day_begins_at_local_midnight() {
    assert_eq!(next_local_midnight(utc("2026-07-01T21:59:59Z"), Tz::Europe__Berlin), utc("2026-07-01T22:00:00Z"));
    assert_eq!(next_local_midnight(utc("2026-07-01T22:00:00Z"), Tz::Europe__Berlin), utc("2026-07-02T22:00:00Z"));
    assert_eq!(next_local_midnight(utc("2026-07-01T12:00:00Z"), Tz::Asia__Kathmandu), utc("2026-07-01T18:15:00Z"));
}

#[test]
fn a_day_whose_midnight_is_skipped_begins_after_the_gap() {
    // Cairo goes from 00:00 to 01:00.
    assert_eq!(next_local_midnight(utc("2026-04-23T12:00:00Z"), Tz::Africa__Cairo), utc("2026-04-23T22:00:00Z"));
}

#[test]
fn a_day_whose_midnight_comes_twice_begins_with_the_first() {
    // Havana goes from 01:00 back to 00:00.
    assert_eq!(next_local_midnight(utc("2026-10-31T12:00:00Z"), Tz::America__Havana), utc("2026-11-01T04:00:00Z"));
    assert_eq!(next_local_midnight(utc("2026-11-01T05:30:00Z"), Tz::America__Havana), utc("2026-11-02T05:00:00Z"));
}

/// Any instant of 2025 to 2027, more often one near a change of clocks.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    let start = Utc.with_ymd_and_hms(2025, 1, 1, 0, 0, 0).unwrap();
    let any = (0_i64..3 * 365 * 86_400).prop_map(move |seconds| start + TimeDelta::seconds(seconds));
    let changes = ["2026-03-08T07:00:00Z", "2026-03-29T01:00:00Z", "2026-04-04T15:00:00Z", "2026-04-23T22:00:00Z"]
        .into_iter()
        .chain(["2026-10-03T15:30:00Z", "2026-10-24T21:00:00Z", "2026-10-29T21:00:00Z", "2026-11-01T05:00:00Z"])
        .map(utc)
        .collect::<Vec<_>>();
    let near = (prop::sample::select(changes), -48 * 3_600_i64..24 * 3_600)
        .prop_map(|(change, seconds)| change + TimeDelta::seconds(seconds));
    prop_oneof![any, near]
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(ZONES.to_vec())
}

proptest! {
    #[test]
    fn hours_open_at_the_first_open_moment(
        now in instants(), zone in zones(), from in 0_u8..24, length in 1_u8..=24,
    ) {
        let hours = WorkingHours { from, until: from.saturating_add(length).min(24) };
        let open = |at: DateTime<Utc>| {
            let hour = at.with_timezone(&zone).hour();
            u32::from(hours.from) <= hour && hour < u32::from(hours.until)
        };
        match hours.opens_at(now, zone) {
            None => prop_assert!(open(now)),
            Some(opens) => {
                prop_assert!(opens > now && opens - now <= TimeDelta::hours(49));
                prop_assert!(open(opens) && !open(opens - MOMENT));
                let mut closed = now;
                while closed < opens {
                    prop_assert!(!open(closed), "open at {closed} already");
                    closed += TimeDelta::minutes(5);
                }
            }
        }
    }

    #[test]
    fn a_local_day_begins_at_its_first_moment(now in instants(), zone in zones()) {
        let midnight = next_local_midnight(now, zone);
        let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        prop_assert!(midnight > now && midnight - now <= TimeDelta::hours(25));
        prop_assert_eq!(day(midnight), day(now).succ_opt().unwrap());
        prop_assert_eq!(day(midnight - MOMENT), day(now));
    }
}
