//! A fast clock that several processes share without a word: it follows from the machine's clock alone.

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;

use super::SystemClock;

/// Engine time that passes `speed` times as fast as the machine's since `since`.
#[derive(Debug)]
pub struct AnchoredClock {
    machine: SystemClock,
    since: DateTime<Utc>,
    speed: f64,
}

impl AnchoredClock {
    pub fn new(since: DateTime<Utc>, speed: f64) -> Self {
        Self { machine: SystemClock::default(), since, speed }
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = (self.machine.now() - self.since).to_std().unwrap_or_default();
        let scaled = TimeDelta::from_std(passed.mul_f64(self.speed)).unwrap_or(TimeDelta::zero());
        self.since.checked_add_signed(scaled).unwrap_or(self.since)
    }

    fn speed(&self) -> f64 {
        self.speed
    }
}

#[cfg(test)]
mod tests {
    use super::super::wall;
    use super::*;

    #[test]
    fn two_clocks_of_one_anchor_agree() {
        let since = wall() - TimeDelta::hours(1);
        let (one, other) = (AnchoredClock::new(since, 60.0), AnchoredClock::new(since, 60.0));
        let (first, second) = (one.now(), other.now());
        assert!(first - since >= TimeDelta::hours(60));
        assert!(second >= first && second - first < TimeDelta::minutes(60));
    }
}
