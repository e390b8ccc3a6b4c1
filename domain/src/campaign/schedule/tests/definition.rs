//! What a schedule accepts, and how it is stored.

use super::*;

fn at() -> DateTime<Utc> {
    instant("2026-06-01T00:00:00Z")
}

fn weekday_mornings() -> ScheduleDraft {
    let timing = DraftTiming::Cron { expression: " 0  9 * * mon-fri".to_owned(), zone: "Europe/Istanbul".to_owned() };
    ScheduleDraft { timing, jitter_seconds: 600, overlap: Overlap::Queue, catch_up_minutes: 60 }
}

fn refusal(draft: ScheduleDraft) -> ScheduleError {
    Schedule::try_new(draft, at()).expect_err("it is refused")
}

#[test]
fn stored_form_is_readable_and_reads_back() {
    let mut schedule = Schedule::try_new(weekday_mornings(), at()).expect("a schedule");
    schedule.pause = Some(Pause::try_new(" holidays ", at()).expect("a reason"));
    let stored = serde_json::json!({
        "timing": { "kind": "CRON", "expression": "0 9 * * mon-fri", "zone": "Europe/Istanbul" },
        "jitter_seconds": 600,
        "overlap": "QUEUE",
        "catch_up_minutes": 60,
        "since": "2026-06-01T00:00:00Z",
        "pause": { "reason": "holidays", "paused_at": "2026-06-01T00:00:00Z" },
    });
    assert_eq!(serde_json::to_value(&schedule).expect("it is written"), stored);
    assert_eq!(serde_json::from_value::<Schedule>(stored).expect("it is read"), schedule);
}

#[test]
fn stored_expression_that_is_none_is_not_read() {
    for expression in ["61 9 * * *", "0 0 31 2 *"] {
        let stored = serde_json::json!({ "kind": "CRON", "expression": expression, "zone": "UTC" });
        assert!(serde_json::from_value::<Timing>(stored).is_err(), "{expression}");
    }
}

#[test]
fn unknown_zone_is_refused_with_the_one_that_was_meant() {
    for (given, suggestion) in [
        ("europe/istanbul", Some("Europe/Istanbul")),
        ("istanbul", Some("Asia/Istanbul")),
        ("New York", Some("America/New_York")),
        ("Mars/Olympus_Mons", None),
        ("", None),
    ] {
        let draft = ScheduleDraft {
            timing: DraftTiming::Cron { expression: "@daily".to_owned(), zone: given.to_owned() },
            ..weekday_mornings()
        };
        let refused = refusal(draft);
        let suggestion = suggestion.map(ToOwned::to_owned);
        assert_eq!(refused, ScheduleError::UnknownZone { given: given.to_owned(), suggestion });
        assert_eq!(refused.code(), "SCHEDULE_UNKNOWN_ZONE");
    }
}

#[test]
fn numbers_outside_their_bounds_are_refused() {
    let interval =
        |minutes| ScheduleDraft { timing: DraftTiming::Interval { minutes, anchored_at: at() }, ..weekday_mornings() };
    let jitter = |jitter_seconds| ScheduleDraft { jitter_seconds, ..weekday_mornings() };
    let catch_up = |catch_up_minutes| ScheduleDraft { catch_up_minutes, ..weekday_mornings() };
    for (draft, code) in [
        (interval(0), "SCHEDULE_INVALID_INTERVAL"),
        (interval(LONGEST_INTERVAL_MINUTES + 1), "SCHEDULE_INVALID_INTERVAL"),
        (jitter(LONGEST_JITTER_SECONDS + 1), "SCHEDULE_INVALID_JITTER"),
        (catch_up(0), "SCHEDULE_INVALID_CATCH_UP"),
        (catch_up(LONGEST_CATCH_UP_MINUTES + 1), "SCHEDULE_INVALID_CATCH_UP"),
    ] {
        assert_eq!(refusal(draft).code(), code);
    }
    for draft in [interval(1), interval(LONGEST_INTERVAL_MINUTES), jitter(0), jitter(LONGEST_JITTER_SECONDS)] {
        assert!(Schedule::try_new(draft, at()).is_ok());
    }
    for draft in [catch_up(1), catch_up(LONGEST_CATCH_UP_MINUTES)] {
        assert!(Schedule::try_new(draft, at()).is_ok());
    }
}

#[test]
fn single_run_has_to_lie_ahead() {
    let once = |due_at| ScheduleDraft { timing: DraftTiming::Once { due_at }, ..weekday_mornings() };
    assert_eq!(refusal(once(at())).code(), "SCHEDULE_NEVER_FIRES");
    assert_eq!(refusal(once(LATEST + minutes(1))).code(), "SCHEDULE_INVALID_INSTANT");
    let schedule = Schedule::try_new(once(at() + minutes(1)), at()).expect("a schedule");
    let next = schedule.next_due(campaign(), at(), 10);
    assert_eq!(next.iter().map(|time| time.due_at).collect::<Vec<_>>(), [at() + minutes(1)]);
}

#[test]
fn pause_needs_a_reason() {
    for (reason, length) in [("", 0), ("  \n", 0), (&*"é".repeat(501), 501)] {
        assert_eq!(Pause::try_new(reason, at()), Err(ScheduleError::InvalidReason { length }));
    }
    assert!(Pause::try_new(&"é".repeat(500), at()).is_ok());
}

#[test]
fn preview_shows_the_next_ten_starts_even_while_paused() {
    let mut schedule = Schedule::try_new(weekday_mornings(), at()).expect("a schedule");
    let preview = schedule.next_due(campaign(), at(), 10);
    let days: Vec<_> = preview.iter().map(|time| time.due_at.format("%a %d %R").to_string()).collect();
    assert_eq!(
        days,
        ["Mon 01 06:00", "Tue 02 06:00", "Wed 03 06:00", "Thu 04 06:00", "Fri 05 06:00"]
            .into_iter()
            .chain(["Mon 08 06:00", "Tue 09 06:00", "Wed 10 06:00", "Thu 11 06:00", "Fri 12 06:00"])
            .collect::<Vec<_>>()
    );
    schedule.pause = Some(Pause::try_new("holidays", at()).expect("a reason"));
    assert_eq!(schedule.next_due(campaign(), at(), 10), preview);
    assert_eq!(schedule.next_due(campaign(), preview[3].start_at, 2), preview[4..6]);
}

#[test]
fn time_before_and_after_all_schedules_is_answered_too() {
    let schedule = Schedule::try_new(weekday_mornings(), at()).expect("a schedule");
    let first = schedule.next_due(campaign(), at(), 1);
    assert_eq!(schedule.next_due(campaign(), DateTime::<Utc>::MIN_UTC, 1), first);
    assert!(schedule.next_due(campaign(), DateTime::<Utc>::MAX_UTC, 1).is_empty());
    let ancient = cron_in("0 9 * * *", "Asia/Manila");
    assert_eq!(ancient.times_after(DateTime::<Utc>::MIN_UTC).next(), Some(instant("1970-01-01T01:00:00Z")));
    let last = ancient.times_after(LATEST - TimeDelta::days(1));
    assert_eq!(last.collect::<Vec<_>>(), [instant("9999-12-31T01:00:00Z")]);
}
