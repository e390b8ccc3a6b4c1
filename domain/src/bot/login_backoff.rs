//! How long to wait after a failed login: 30 s, doubling, to 6 h, with jitter.

use chrono::TimeDelta;

const FIRST_SECONDS: f64 = 30.0;
const LONGEST_SECONDS: f64 = 6.0 * 3_600.0;

/// The wait after `failures` failed logins in a row (1 is the first). `roll` in `[0, 1)` shortens it by up to a
/// quarter, so that many accounts do not come back at once.
#[must_use]
pub fn delay(failures: u32, roll: f64) -> TimeDelta {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (FIRST_SECONDS * f64::from(1_u32 << doublings)).min(LONGEST_SECONDS);
    let roll = if roll.is_nan() { 0.0 } else { roll.clamp(0.0, 1.0) };
    let jittered = full * (1.0 - 0.25 * roll);
    #[expect(clippy::cast_possible_truncation, reason = "at most 21,600,000")]
    TimeDelta::milliseconds((jittered * 1_000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_thirty_seconds_and_stops_at_six_hours() {
        assert_eq!(delay(1, 0.0).num_seconds(), 30);
        assert_eq!(delay(2, 0.0).num_seconds(), 60);
        assert_eq!(delay(5, 0.0).num_seconds(), 480);
        assert_eq!(delay(40, 0.0).num_seconds(), 21_600);
    }

    #[test]
    fn jitter_only_shortens_and_by_a_quarter_at_most() {
        for failures in 1..20 {
            assert!(delay(failures, 0.999) >= delay(failures, 0.0) * 3 / 4);
            assert!(delay(failures, 0.5) <= delay(failures, 0.0));
        }
    }
}
