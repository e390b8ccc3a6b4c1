//! How often and how soon a failed step is tried again. Pure: the jitter is passed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often and how soon a failed step is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The wait after the first failure.
    pub first_delay: Duration,
    /// Each wait is this many times the one before; at least 1.
    pub factor: f64,
    /// No wait is longer.
    pub longest_delay: Duration,
    /// The part of a wait, in `[0, 1]`, that the jitter may take off.
    pub jitter: f64,
    /// All attempts, the first included; at least 1.
    pub attempts: u32,
    /// Codes of failures that are not tried again.
    pub never_retried: Vec<String>,
    /// Longest time of one attempt.
    pub timeout: Duration,
    /// An attempt that is silent for longer has failed; `None`: it need not speak.
    pub heartbeat: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(5),
            factor: 2.0,
            longest_delay: Duration::from_secs(600),
            jitter: 0.25,
            attempts: 5,
            never_retried: Vec::new(),
            timeout: Duration::from_secs(120),
            heartbeat: None,
        }
    }
}

impl RetryPolicy {
    /// Tried once.
    #[must_use]
    pub fn once() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// The wait after failed `attempt` (1 is the first) with `code`; `None` when it is not tried again. `roll` in
    /// `[0, 1)` is the jitter.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, code: &str, roll: f64) -> Option<Duration> {
        if attempt >= self.attempts || self.never_retried.iter().any(|never| never == code) {
            return None;
        }
        let doublings = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let longest = self.longest_delay.as_secs_f64();
        let grown = self.first_delay.as_secs_f64() * self.factor.max(1.0).powi(doublings);
        // An overflowing power is infinite and so the longest.
        let full = if grown.is_finite() { grown.min(longest) } else { longest };
        let kept = 1.0 - self.jitter.clamp(0.0, 1.0) * roll.clamp(0.0, 1.0);
        Some(Duration::try_from_secs_f64(full * kept).unwrap_or(self.longest_delay))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let policy = RetryPolicy { attempts: 100, ..RetryPolicy::default() };
        let waits: Vec<u64> =
            (1..=9).filter_map(|attempt| policy.delay_after(attempt, "X", 0.0)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn last_attempt_and_excluded_codes_are_not_retried() {
        let policy = RetryPolicy { attempts: 3, never_retried: vec!["BAD".to_owned()], ..RetryPolicy::default() };
        assert!(policy.delay_after(2, "X", 0.0).is_some());
        assert_eq!(policy.delay_after(3, "X", 0.0), None);
        assert_eq!(policy.delay_after(1, "BAD", 0.0), None);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(attempt in 1_u32..10_000, factor in 0.0_f64..1e9, roll in 0.0_f64..1.0) {
            let policy = RetryPolicy { attempts: u32::MAX, factor, ..RetryPolicy::default() };
            let wait = policy.delay_after(attempt, "X", roll);
            prop_assert!(wait.is_some_and(|wait| wait <= policy.longest_delay));
        }
    }
}
