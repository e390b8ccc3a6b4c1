//! What expressions mean, and what is said about those that mean nothing.

use proptest::prelude::*;

use super::*;

/// The first due times after `after` in UTC.
fn first_of(expression: &str, after: &str, n: usize) -> Vec<String> {
    let times = cron_in(expression, "UTC");
    times.times_after(instant(after)).take(n).map(|at| at.format("%a %F %R").to_string()).collect()
}

fn refusal(expression: &str) -> String {
    Cron::try_new(expression).expect_err(expression).to_string()
}

#[test]
fn minutes_hours_steps_ranges_and_lists_match() {
    assert_eq!(
        first_of("5,50-59/5 8-9 * * *", "2026-06-01T08:30:00Z", 5),
        [
            "Mon 2026-06-01 08:50",
            "Mon 2026-06-01 08:55",
            "Mon 2026-06-01 09:05",
            "Mon 2026-06-01 09:50",
            "Mon 2026-06-01 09:55"
        ]
    );
    assert_eq!(first_of("*/25 12 * * *", "2026-06-01T12:00:00Z", 2), ["Mon 2026-06-01 12:25", "Mon 2026-06-01 12:50"]);
}

#[test]
fn due_time_lies_after_the_instant_that_is_asked_about() {
    assert_eq!(first_of("0 9 * * *", "2026-06-01T09:00:00Z", 1), ["Tue 2026-06-02 09:00"]);
    assert_eq!(first_of("0 9 * * *", "2026-06-01T08:59:59.999Z", 1), ["Mon 2026-06-01 09:00"]);
}

#[test]
fn names_match_in_any_case_and_sunday_has_two_numbers() {
    let sundays = ["Sun 2026-06-07 00:00", "Sun 2026-06-14 00:00"];
    for weekday in ["0", "7", "sun", "Sun", "7-7"] {
        assert_eq!(first_of(&format!("0 0 * jun {weekday}"), "2026-06-01T00:00:00Z", 2), sundays, "{weekday}");
    }
    for weekend in ["FRI-SUN", "5-7", "5-0", "0,5,6"] {
        let days = ["Fri 2026-06-05 00:00", "Sat 2026-06-06 00:00", "Sun 2026-06-07 00:00", "Fri 2026-06-12 00:00"];
        assert_eq!(first_of(&format!("0 0 * * {weekend}"), "2026-06-01T00:00:00Z", 4), days, "{weekend}");
    }
}

#[test]
fn either_day_field_is_enough_when_both_are_named() {
    let days = ["Fri 2026-06-05 00:00", "Fri 2026-06-12 00:00", "Sat 2026-06-13 00:00", "Fri 2026-06-19 00:00"];
    assert_eq!(first_of("0 0 13 * FRI", "2026-06-01T00:00:00Z", 4), days);
}

#[test]
fn both_day_fields_are_needed_when_one_starts_with_a_star() {
    assert_eq!(first_of("0 0 */7 * MON", "2026-06-02T00:00:00Z", 2), ["Mon 2026-06-08 00:00", "Mon 2026-06-15 00:00"]);
    assert_eq!(first_of("0 0 13 * *", "2026-06-01T00:00:00Z", 1), ["Sat 2026-06-13 00:00"]);
}

#[test]
fn last_day_follows_the_length_of_the_month() {
    assert_eq!(
        first_of("0 0 L * *", "2028-01-15T00:00:00Z", 3),
        ["Mon 2028-01-31 00:00", "Tue 2028-02-29 00:00", "Fri 2028-03-31 00:00"]
    );
    assert_eq!(first_of("0 0 1,l 2 *", "2026-01-15T00:00:00Z", 2), ["Sun 2026-02-01 00:00", "Sat 2026-02-28 00:00"]);
}

#[test]
fn aliases_mean_what_they_say() {
    for (alias, meaning) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(first_of(alias, "2026-06-01T00:00:00Z", 5), first_of(meaning, "2026-06-01T00:00:00Z", 5), "{alias}");
    }
}

#[test]
fn rare_dates_are_found_however_far() {
    assert_eq!(first_of("0 0 29 2 *", "2026-01-01T00:00:00Z", 2), ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]);
    // A weekday with a step and a day: both have to match, across the year 2100 that has no 29 February.
    assert_eq!(first_of("0 0 29 2 */6", "2088-03-01T00:00:00Z", 2), ["Sat 2116-02-29 00:00", "Sun 2128-02-29 00:00"]);
}

#[test]
fn expression_that_never_fires_is_refused_with_the_reason() {
    for (expression, why) in [
        ("0 0 31 2 *", "FEB has no day 31"),
        ("0 0 30,31 2 *", "FEB has no day 30"),
        ("0 0 31 2,4,6,9,11 *", "FEB, APR, JUN, SEP, NOV has no day 31"),
        ("0 0 31 feb */2", "FEB has no day 31"),
    ] {
        let refused = Cron::try_new(expression).expect_err(expression);
        assert_eq!(refused.code(), "SCHEDULE_NEVER_FIRES");
        assert!(refused.to_string().ends_with(&format!(" never fires: {why}")), "{refused}");
    }
    for expression in ["0 0 31 2 MON", "0 0 29 2 *", "0 0 31,L 2 *", "0 0 31 2,3 *"] {
        assert!(Cron::try_new(expression).is_ok(), "{expression} fires");
    }
}

#[test]
fn refusal_points_at_the_first_wrong_character_and_says_what_to_write() {
    for (expression, column, problem) in [
        ("", 1, "missing: minute, hour, day of the month, month, weekday"),
        ("0 9 * * ", 8, "missing: weekday"),
        (
            "0 0 9 * * *",
            11,
            "five fields are enough: minute, hour, day of the month, month, weekday (no seconds, no year)",
        ),
        ("60 9 * * *", 1, "the minute is 0 to 59; \"60\" is not"),
        ("0  24 * * *", 4, "the hour is 0 to 23; \"24\" is not"),
        ("0 9 0 * *", 5, "the day of the month is 1 to 31; \"0\" is not"),
        ("0 9 * 1,13 *", 9, "the month is 1 to 12 or JAN to DEC; \"13\" is not"),
        ("0 9 * * mon,tuesday", 13, "the weekday is 0 to 7 or SUN to SAT; \"tuesday\" is not"),
        ("0 9 * * é,8", 9, "the weekday is 0 to 7 or SUN to SAT; \"é\" is not"),
        ("0,99999999999 9 * * *", 3, "the minute is 0 to 59; \"99999999999\" is not"),
        ("0 -5 * * *", 3, "a value is missing here"),
        ("0 1, * * *", 5, "a value is missing here"),
        ("0 22-2 * * *", 3, "22-2 runs backwards: write 22-23,0-2"),
        ("0 0 * * FRI-MON", 9, "FRI-MON runs backwards: write FRI-SAT,SUN-MON"),
        ("5/15 * * * *", 2, "a step needs a range: write 5-59/15"),
        ("*/0 * * * *", 3, "a step of the minute is 1 to 60; \"0\" is not"),
        ("* */25 * * *", 5, "a step of the hour is 1 to 24; \"25\" is not"),
        ("0-30/x * * * *", 6, "a step of the minute is 1 to 60; \"x\" is not"),
        ("0 9 ? * MON", 5, "? belongs to another scheduler's dialect: write *"),
        ("0 9 * * MON#1", 9, "the n-th weekday of a month cannot be given"),
        ("0 9 15W * *", 5, "the nearest working day cannot be given"),
        ("0 9 * * 5L", 9, "L is the last day of the month, and stands alone in the third field"),
        ("0 9 L-3 * *", 5, "L is the last day of the month, and stands alone in the third field"),
        (
            "H 9 * * *",
            1,
            "H belongs to another scheduler's dialect: give a number, and let the jitter spread the starts",
        ),
        ("@reboot", 1, "@reboot has no due time; a start of the service runs nothing by itself"),
        (" @dayly", 2, "\"@dayly\" is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"),
        ("TZ=Asia/Tokyo 0 9 * * *", 1, "the time zone is given beside the expression, not in it"),
    ] {
        let expected =
            ScheduleError::InvalidCron { expression: expression.to_owned(), column, problem: problem.to_owned() };
        assert_eq!(Cron::try_new(expression), Err(expected));
    }
}

#[test]
fn pointer_stands_under_the_wrong_character() {
    let refused = Cron::try_new("0 \t25 * * *").expect_err("no such hour");
    assert_eq!(refused.pointer().as_deref(), Some("0 \t25 * * *\n  \t^"));
    assert_eq!(refused.code(), "SCHEDULE_INVALID_CRON");
    assert_eq!(
        refused.to_string(),
        "cron expression \"0 \\t25 * * *\", character 4: the hour is 0 to 23; \"25\" is not"
    );
}

#[test]
fn endless_expression_is_refused_without_repeating_it() {
    assert!(refusal(&"1,".repeat(100_000)).len() < 400);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_one_of_its_characters(text in "[ -~é\t]{0,40}|([0-9*,/-]{1,6} ){4}[0-9A-Z,*/-]{1,6}") {
        match Cron::try_new(&text) {
            Err(ScheduleError::InvalidCron { column, .. }) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&column));
            }
            Err(other) => prop_assert_eq!(other.code(), "SCHEDULE_NEVER_FIRES"),
            Ok(cron) => {
                prop_assert_eq!(&Cron::try_new(cron.as_str()), &Ok(cron.clone()));
                let timing = Timing::Cron { expression: cron, zone: chrono_tz::UTC };
                prop_assert!(timing.times_after(instant("2026-01-01T00:00:00Z")).next().is_some());
            }
        }
    }
}
