//! How long to wait after a failure of our own making: doubling, with a cap and jitter.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
const MOST_DOUBLINGS: u32 = 16;

/// The wait after `failures` failures (1 is the first). `roll` in `[0, 1)` shortens it by up to a half.
#[must_use]
pub fn delay(failures: u32, roll: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    full.mul_f64(1.0 - 0.5 * roll.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_a_second_and_stops_at_ten_minutes() {
        assert_eq!(delay(1, 0.0), FIRST);
        assert_eq!(delay(4, 0.0), Duration::from_secs(8));
        assert_eq!(delay(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn jitter_only_shortens_and_by_a_half_at_most() {
        for failures in 1..20 {
            assert!(delay(failures, 0.999) >= delay(failures, 0.0) / 2);
            assert!(delay(failures, 0.5) < delay(failures, 0.0));
        }
    }
}
