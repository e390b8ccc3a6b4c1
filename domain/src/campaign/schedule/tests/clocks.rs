//! Due times where the clocks change.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// The due times of `expression` in `zone` between two local days, each with its offset.
fn shown(expression: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    let tz = zone_named(zone).expect("a zone");
    let midnight = |day: &str| {
        let local = format!("{day}T00:00:00").parse::<NaiveDateTime>().expect("a day");
        tz.from_local_datetime(&local).earliest().expect("a midnight").to_utc()
    };
    let timing = cron_in(expression, zone);
    let times = timing.times_after(midnight(from) - minutes(1)).take_while(|at| *at < midnight(until));
    times.map(|at| at.with_timezone(&tz).format("%d %R%:z").to_string()).collect()
}

#[test]
fn skipped_time_is_due_once_at_the_change() {
    let new_york = ["07 02:30-05:00", "08 03:00-04:00", "09 02:30-04:00"];
    assert_eq!(shown("30 2 * * *", "America/New_York", "2026-03-07", "2026-03-10"), new_york);
    let london = ["28 01:30+00:00", "29 02:00+01:00", "30 01:30+01:00"];
    assert_eq!(shown("30 1 * * *", "Europe/London", "2026-03-28", "2026-03-31"), london);
    let istanbul = ["26 03:30+02:00", "27 04:00+03:00", "28 03:30+03:00"];
    assert_eq!(shown("30 3 * * *", "Europe/Istanbul", "2016-03-26", "2016-03-29"), istanbul);
    let lord_howe = ["03 02:15+10:30", "04 02:30+11:00", "05 02:15+11:00"];
    assert_eq!(shown("15 2 * * *", "Australia/Lord_Howe", "2026-10-03", "2026-10-06"), lord_howe);
    let apia = ["25 03:30+13:00", "26 03:30+13:00", "27 04:00+14:00", "28 03:30+14:00"];
    assert_eq!(shown("30 3 * * *", "Pacific/Apia", "2020-09-25", "2020-09-29"), apia);
}

#[test]
fn skipped_times_that_meet_are_due_once() {
    assert_eq!(shown("*/10 2 * * *", "America/New_York", "2026-03-08", "2026-03-09"), ["08 03:00-04:00"]);
    assert_eq!(shown("0 2,3 * * *", "America/New_York", "2026-03-08", "2026-03-09"), ["08 03:00-04:00"]);
}

#[test]
fn skipped_midnight_is_due_when_the_day_begins() {
    let cairo = ["23 00:00+02:00", "24 01:00+03:00", "25 00:00+03:00"];
    let timing = cron_in("@daily", "Africa/Cairo");
    let times = timing.times_after(instant("2026-04-22T12:00:00Z")).take(3);
    let zone = zone_named("Africa/Cairo").expect("a zone");
    assert_eq!(times.map(|at| at.with_timezone(&zone).format("%d %R%:z").to_string()).collect::<Vec<_>>(), cairo);
}

#[test]
fn skipped_day_is_due_at_the_start_of_the_next() {
    let apia = ["29 09:00-10:00", "31 00:00+14:00", "31 09:00+14:00"];
    assert_eq!(shown("0 9 * * *", "Pacific/Apia", "2011-12-29", "2012-01-01"), apia);
    assert_eq!(shown("0 9 30 12 *", "Pacific/Apia", "2011-12-29", "2012-01-01"), ["31 00:00+14:00"]);
}

#[test]
fn repeated_time_is_due_once_at_the_first() {
    let new_york = ["31 01:30-04:00", "01 01:30-04:00", "02 01:30-05:00"];
    assert_eq!(shown("30 1 * * *", "America/New_York", "2026-10-31", "2026-11-03"), new_york);
    let london = ["24 01:30+01:00", "25 01:30+01:00", "26 01:30+00:00"];
    assert_eq!(shown("30 1 * * *", "Europe/London", "2026-10-24", "2026-10-27"), london);
    let istanbul = ["07 03:30+03:00", "08 03:30+03:00", "09 03:30+02:00"];
    assert_eq!(shown("30 3 * * *", "Europe/Istanbul", "2015-11-07", "2015-11-10"), istanbul);
    let lord_howe = ["04 01:45+11:00", "05 01:45+11:00", "06 01:45+10:30"];
    assert_eq!(shown("45 1 * * *", "Australia/Lord_Howe", "2026-04-04", "2026-04-07"), lord_howe);
    let apia = ["03 03:30+14:00", "04 03:30+14:00", "05 03:30+13:00"];
    assert_eq!(shown("30 3 * * *", "Pacific/Apia", "2021-04-03", "2021-04-06"), apia);
}

#[test]
fn zone_that_gave_up_changing_its_clocks_keeps_one_offset() {
    for (from, until) in [("2026-03-28", "2026-03-30"), ("2026-10-24", "2026-10-26")] {
        let shown = shown("30 3 * * *", "Europe/Istanbul", from, until);
        assert!(shown.len() == 2 && shown.iter().all(|at| at.ends_with("03:30+03:00")), "{shown:?}");
    }
}

#[test]
fn every_quarter_of_an_hour_goes_on_through_both_changes() {
    for (day, next, quarters) in [("2026-03-08", "2026-03-09", 92), ("2026-11-01", "2026-11-02", 100)] {
        for expression in ["*/15 * * * *", "0,15,30,45 0-23 * * *"] {
            assert_eq!(shown(expression, "America/New_York", day, next).len(), quarters, "{expression} on {day}");
        }
    }
}

#[test]
fn every_hour_follows_the_clock_through_a_change_of_half_an_hour() {
    let forward = shown("15 * * * *", "Australia/Lord_Howe", "2026-10-04", "2026-10-05");
    assert_eq!(forward[..3], ["04 00:15+10:30", "04 01:15+10:30", "04 03:15+11:00"]);
    let back = shown("45 * * * *", "Australia/Lord_Howe", "2026-04-05", "2026-04-06");
    assert_eq!(back[..4], ["05 00:45+11:00", "05 01:45+11:00", "05 01:45+10:30", "05 02:45+10:30"]);
}

#[test]
fn interval_takes_no_notice_of_clocks() {
    let anchored_at = instant("2026-11-01T04:00:00Z");
    let timing = Timing::Interval { minutes: 90.try_into().expect("not zero"), anchored_at };
    let times: Vec<_> = timing.times_after(instant("2026-01-01T00:00:00Z")).take(40).collect();
    assert_eq!(times[0], anchored_at);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == minutes(90)));
    assert_eq!(timing.times_after(times[7]).next(), Some(times[8]));
}

#[test]
fn no_zone_is_set_back_by_more_than_is_assumed() {
    let days = |zone: Tz| {
        let offset = move |day: i64| {
            let at = EARLIEST + TimeDelta::days(day);
            i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
        };
        (0..75 * 365).step_by(5).map(move |day| offset(day) - offset(day + 5)).max()
    };
    let widest = TZ_VARIANTS.iter().filter_map(|zone| days(*zone)).max().map(TimeDelta::seconds);
    assert!(widest.is_some_and(|widest| widest <= super::super::zone::WIDEST_SET_BACK), "{widest:?}");
}

/// What a cron expression asks for, without an expression.
#[derive(Debug, Clone)]
struct Wanted {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Option<Vec<u32>>,
    weekdays: Option<Vec<u32>>,
}

impl Wanted {
    fn expression(&self) -> String {
        let list = |numbers: &[u32]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let day = |numbers: &Option<Vec<u32>>| numbers.as_deref().map_or("*".to_owned(), list);
        format!("{} {} {} * {}", list(&self.minutes), list(&self.hours), day(&self.days), day(&self.weekdays))
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let weekday = local.weekday().num_days_from_sunday();
        let day = match (&self.days, &self.weekdays) {
            (None, None) => true,
            (Some(days), None) => days.contains(&local.day()),
            (None, Some(weekdays)) => weekdays.contains(&weekday),
            (Some(days), Some(weekdays)) => days.contains(&local.day()) || weekdays.contains(&weekday),
        };
        day && self.minutes.contains(&local.minute()) && self.hours.contains(&local.hour())
    }

    /// Watches the clock on the wall, minute by minute.
    fn watched(&self, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let clock = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
        let mut due = BTreeSet::new();
        let mut at = from - TimeDelta::days(2);
        let mut latest = clock(at);
        while at < until {
            at += minutes(1);
            let now = clock(at);
            if self.hours.len() == 24 {
                due.extend(self.matches(now).then_some(at));
                continue;
            }
            // The minutes that the clock shows for the first time, or passes without showing them.
            while latest < now {
                latest += minutes(1);
                due.extend(self.matches(latest).then_some(at));
            }
        }
        due.split_off(&(from + TimeDelta::nanoseconds(1)))
    }
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let minutes = subsequence(vec![0, 1, 15, 29, 30, 45, 59], 1..=4);
    let hours = prop_oneof![
        3 => subsequence(vec![0, 1, 2, 3, 4, 9, 22, 23], 1..=4),
        1 => Just((0..24).collect::<Vec<u32>>()),
    ];
    let days = prop::option::of(subsequence((1..=31).collect::<Vec<u32>>(), 1..=20));
    let weekdays = prop::option::of(subsequence((0..=6).collect::<Vec<u32>>(), 1..=4));
    (minutes, hours, days, weekdays).prop_map(|(minutes, hours, days, weekdays)| Wanted {
        minutes,
        hours,
        days,
        weekdays,
    })
}

/// A day on which the zone's clocks change, or none do.
fn any_change() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(vec![
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Europe/London", "2026-03-29"),
        ("Europe/London", "2026-10-25"),
        ("Europe/Istanbul", "2015-11-08"),
        ("Europe/Istanbul", "2016-03-27"),
        ("Europe/Istanbul", "2026-03-29"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Pacific/Apia", "2011-12-30"),
        ("Pacific/Apia", "2020-09-27"),
        ("Pacific/Apia", "2021-04-04"),
        ("Africa/Cairo", "2026-04-24"),
        ("Africa/Cairo", "2026-10-30"),
        ("America/St_Johns", "2010-11-07"),
        ("America/Havana", "2026-11-01"),
        ("Antarctica/Troll", "2026-10-25"),
        ("Antarctica/Casey", "2010-03-05"),
        ("Antarctica/Vostok", "1994-02-01"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn due_times_are_those_of_a_clock_that_is_watched(
        wanted in any_wanted(),
        (zone, day) in any_change(),
        from in -2_100_i64..1_500,
    ) {
        let from = instant(&format!("{day}T00:00:00Z")) + minutes(from);
        let until = from + TimeDelta::hours(40);
        let timing = cron_in(&wanted.expression(), zone);
        let found: Vec<_> = timing.times_after(from).take_while(|at| *at <= until).collect();
        let tz = zone_named(zone).expect("a zone");
        let watched: Vec<_> = wanted.watched(tz, from, until).into_iter().collect();
        prop_assert_eq!(found, watched, "{} in {}", wanted.expression(), zone);
    }
}
