//! The rolling windows: what they count, and when more fits.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::story::start;
use crate::bot::Window;
use crate::bot::windows::Reserved;

const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

/// Independent of the windows: every reservation is kept and counted anew.
fn counted(all: &[(DateTime<Utc>, u32)], window: Window, now: DateTime<Utc>) -> u32 {
    let hours = if window == Window::Hour { 1 } else { 24 };
    all.iter().filter(|(at, _)| now - *at < TimeDelta::hours(hours)).map(|(_, count)| count).sum()
}

type Entries = Vec<(DateTime<Utc>, u32)>;

fn filled(steps: &[(i64, u32)]) -> (Reserved, Entries, DateTime<Utc>) {
    let (mut reserved, mut all, mut now) = (Reserved::default(), Vec::new(), start());
    for (seconds, count) in steps {
        now += TimeDelta::seconds(*seconds);
        reserved.add(now, *count);
        all.push((now, *count));
    }
    (reserved, all, now)
}

#[test]
fn a_reservation_leaves_the_window_exactly_at_its_end() {
    let mut reserved = Reserved::default();
    reserved.add(start(), 3);
    for window in [Window::Hour, Window::Day] {
        let end = start() + window.length();
        assert_eq!(reserved.used(window, end - MOMENT), 3);
        assert_eq!(reserved.used(window, end), 0);
    }
}

#[test]
fn what_never_fits_frees_at_no_time() {
    assert_eq!(Reserved::default().frees_at(Window::Hour, start(), 4, 3), None);
    assert_eq!(Reserved::default().frees_at(Window::Hour, start(), 3, 3), Some(start()));
}

#[test]
fn a_limit_that_was_lowered_frees_when_enough_has_left() {
    let (reserved, _, now) = filled(&[(0, 2), (60, 2), (60, 2)]);
    assert_eq!(reserved.frees_at(Window::Hour, now, 1, 3), Some(start() + TimeDelta::minutes(61)));
}

#[test]
fn counts_never_overflow() {
    let (reserved, _, now) = filled(&[(0, u32::MAX), (1, u32::MAX)]);
    assert_eq!(reserved.used(Window::Hour, now), u32::MAX);
    assert!(reserved.frees_at(Window::Hour, now, u32::MAX, u32::MAX).is_some());
}

#[test]
fn a_clock_that_is_behind_anothers_loses_no_reservation() {
    let mut reserved = Reserved::default();
    reserved.add(start(), 1);
    reserved.add(start() + TimeDelta::hours(24), 1);
    let behind = start() + TimeDelta::hours(24) - TimeDelta::minutes(1);
    reserved.add(behind, 1);
    assert_eq!(reserved.used(Window::Day, behind), 3);
    assert_eq!(reserved.frees_at(Window::Day, behind, 1, 3), Some(start() + TimeDelta::hours(24)));
    assert_eq!(reserved.frees_at(Window::Day, behind, 2, 3), Some(behind + TimeDelta::hours(24)));
}

proptest! {
    #[test]
    fn windows_count_what_an_independent_count_counts(
        steps in prop::collection::vec((0_i64..9_000, 0_u32..4), 0..200), later in 0_i64..100_000,
    ) {
        let (reserved, all, last) = filled(&steps);
        let now = last + TimeDelta::seconds(later);
        for window in [Window::Hour, Window::Day] {
            prop_assert_eq!(reserved.used(window, now), counted(&all, window, now));
        }
    }

    #[test]
    fn at_frees_at_it_fits_and_a_moment_before_it_does_not(
        steps in prop::collection::vec((0_i64..4_000, 1_u32..4), 1..60), count in 1_u32..6, limit in 1_u32..40,
    ) {
        let (reserved, all, now) = filled(&steps);
        for window in [Window::Hour, Window::Day] {
            let fits = |at| counted(&all, window, at) + count <= limit;
            match reserved.frees_at(window, now, count, limit) {
                None => prop_assert!(count > limit),
                Some(at) if at == now => prop_assert!(fits(now)),
                Some(at) => prop_assert!(at > now && fits(at) && !fits(at - MOMENT)),
            }
        }
    }
}
