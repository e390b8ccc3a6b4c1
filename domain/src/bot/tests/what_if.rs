//! The same commands under other limits.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::random::{World, histories};
use super::story::{Story, performed, record, reserve};
use crate::bot::what_if::{Asked, Decided, Hourly, OtherLimits, WhatIf, what_if};
use crate::bot::{ActionKind, BotError, BotEvent, Counter, SuppressReason, Window};

fn asked(events: &[BotEvent], other: &OtherLimits) -> WhatIf {
    what_if((1..).zip(events), other).expect("the limits are possible")
}

/// Likes at ten o'clock, one every three minutes.
fn likes(count: u128) -> Story {
    (0..count).fold(Story::warmed_up(), |story, number| {
        let story = story.later(TimeDelta::minutes(3)).does(|at| reserve(number, ActionKind::Like, at));
        if story.bot.open_reservation().is_some() { story.does(|at| record(number, performed(), at)) } else { story }
    })
}

#[test]
fn lower_limit_suppresses_what_was_allowed_and_says_until_when() {
    let story = likes(6);
    let other =
        OtherLimits { like: Some(4), hourly: Hourly { like: Some(4), ..Hourly::default() }, ..Default::default() };
    let found = asked(&story.events, &other);
    assert_eq!(found.differences.len(), 2);
    let Decided::Suppressed { reason, counter, window, frees_at } = &found.differences[0].would_be else {
        panic!("it is suppressed")
    };
    assert_eq!((*reason, *counter, *window), (SuppressReason::DayLimit, Some(Counter::Like), Some(Window::Day)));
    assert!(frees_at.is_some_and(|frees_at| frees_at > found.differences[0].at + TimeDelta::hours(23)));
    let totals = found.totals[&Counter::Like];
    assert_eq!((totals.asked, totals.was_allowed, totals.would_be_allowed), (6, 6, 4));
    assert_eq!((totals.allowed_then_suppressed, totals.suppressed_then_allowed), (2, 0));
}

#[test]
fn higher_limit_allows_what_was_suppressed_and_does_not_ask_it_again() {
    // 40 a day are 6 an hour: the seventh waits, and is asked again an hour later.
    let story = likes(7).later(TimeDelta::hours(1)).does(|at| reserve(6, ActionKind::Like, at));
    let other = OtherLimits { like: Some(120), ..Default::default() };
    let found = asked(&story.events, &other);
    assert_eq!(found.differences.len(), 1);
    let difference = &found.differences[0];
    assert!(matches!(difference.asked, Asked::Action { kind: ActionKind::Like, .. }));
    assert!(matches!(difference.was, Decided::Suppressed { reason: SuppressReason::HourLimit, .. }));
    assert_eq!(difference.would_be, Decided::Allowed);
    let totals = found.totals[&Counter::Like];
    assert_eq!((totals.asked, totals.was_allowed, totals.would_be_allowed), (8, 7, 7));
    assert_eq!((totals.suppressed_then_allowed, totals.settled_before), (1, 1));
}

#[test]
fn longer_pauses_are_in_the_place_of_the_ones_that_were() {
    let other = OtherLimits { pause_seconds: Some((300, 600)), ..Default::default() };
    let found = asked(&likes(3).events, &other);
    // Every second one comes three minutes after one whose pause is five.
    assert_eq!(found.differences.len(), 1);
    let Decided::Suppressed { reason: SuppressReason::Pacing, frees_at, .. } = found.differences[0].would_be else {
        panic!("it waits")
    };
    assert_eq!(frees_at, Some(found.differences[0].at + TimeDelta::minutes(2)));
}

#[test]
fn limits_above_the_ceiling_are_refused() {
    let other = OtherLimits { like: Some(121), ..Default::default() };
    assert!(matches!(what_if([], &other), Err(BotError::LimitAboveCeiling { counter: Counter::Like, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A suppressed action does not say how many calls it would have cost, so those are the exception.
    #[test]
    fn the_same_limits_decide_the_same(steps in histories()) {
        let world = World::after(&steps);
        let found = asked(&world.events, &OtherLimits::default());
        let guessed = |decided: &Decided| matches!(decided, Decided::Suppressed { counter: Some(Counter::Request), .. });
        let first = found.differences.first();
        prop_assert!(first.is_none_or(|first| guessed(&first.was)), "{first:?}");
    }
}
