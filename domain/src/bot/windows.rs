//! What was reserved in the last 24 hours, so that rolling limits need no clock but the command's.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::state::Window;

/// How much longer than the longest window a reservation is kept.
const SPARE: TimeDelta = TimeDelta::hours(1);

impl Window {
    /// How long the window is.
    #[must_use]
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::hours(24),
        }
    }
}

/// Reservations of one counter, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reserved(VecDeque<(DateTime<Utc>, u32)>);

impl Reserved {
    /// Adds `count` at `at` and forgets what no window can see any more, with an hour to spare for clocks that differ.
    pub fn add(&mut self, at: DateTime<Utc>, count: u32) {
        if count == 0 {
            return;
        }
        while self.0.front().is_some_and(|(oldest, _)| *oldest <= at - Window::Day.length() - SPARE) {
            self.0.pop_front();
        }
        // Nearly always at the end; a clock that is behind another's puts it before.
        let place = self.0.iter().rposition(|(earlier, _)| *earlier <= at).map_or(0, |index| index + 1);
        self.0.insert(place, (at, count));
    }

    /// How many reservations are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How much lies in the window that ends at `now`.
    #[must_use]
    pub fn used(&self, window: Window, now: DateTime<Utc>) -> u32 {
        let since = now - window.length();
        self.0.iter().filter(|(at, _)| *at > since).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// When `count` more fit into the window under `limit`; `None` when they never do.
    #[must_use]
    pub fn frees_at(&self, window: Window, now: DateTime<Utc>, count: u32, limit: u32) -> Option<DateTime<Utc>> {
        if count > limit {
            return None;
        }
        let mut used = self.used(window, now);
        let since = now - window.length();
        for (at, old) in self.0.iter().filter(|(at, _)| *at > since) {
            if used.saturating_add(count) <= limit {
                break;
            }
            used = used.saturating_sub(*old);
            if used.saturating_add(count) <= limit {
                return Some(*at + window.length());
            }
        }
        Some(now)
    }
}
