//! What was reserved in the last 24 hours, so that rolling limits need no clock but the command's.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::state::Window;

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
    /// Adds `count` at `at` and forgets what no window can see any more.
    pub fn add(&mut self, at: DateTime<Utc>, count: u32) {
        if count == 0 {
            return;
        }
        while self.0.front().is_some_and(|(oldest, _)| *oldest <= at - Window::Day.length()) {
            self.0.pop_front();
        }
        self.0.push_back((at, count));
    }

    /// How much lies in the window that ends at `now`.
    #[must_use]
    pub fn used(&self, window: Window, now: DateTime<Utc>) -> u32 {
        let since = now - window.length();
        self.0.iter().filter(|(at, _)| *at > since).map(|(_, count)| count).sum()
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
            if used + count <= limit {
                break;
            }
            used -= old;
            if used + count <= limit {
                return Some(*at + window.length());
            }
        }
        Some(now)
    }
}
