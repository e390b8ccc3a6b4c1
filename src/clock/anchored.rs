//! A fast clock that several processes share without a word: it follows from the machine's clock alone.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;

use super::{FASTEST, SystemClock};

/// An instant, and the speed with which time has passed since; written as `2026-01-01T00:00:00Z*60`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    pub since: DateTime<Utc>,
    pub speed: f64,
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text
            .split_once('*')
            .and_then(|(since, speed)| Some(Self { since: since.parse().ok()?, speed: speed.parse().ok()? }));
        read.filter(|anchor| (1.0..=FASTEST).contains(&anchor.speed))
            .ok_or_else(|| format!("it is not an instant, a star and a speed from 1 to {FASTEST}"))
    }
}

/// Engine time that passes `speed` times as fast as the machine's since `since`.
#[derive(Debug)]
pub struct AnchoredClock {
    machine: SystemClock,
    anchor: Anchor,
}

impl AnchoredClock {
    pub fn new(anchor: Anchor) -> Self {
        Self { machine: SystemClock::default(), anchor }
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> DateTime<Utc> {
        let Anchor { since, speed } = self.anchor;
        let passed = (self.machine.now() - since).to_std().unwrap_or_default();
        let scaled = TimeDelta::from_std(passed.mul_f64(speed)).unwrap_or(TimeDelta::zero());
        since.checked_add_signed(scaled).unwrap_or(since)
    }

    fn speed(&self) -> f64 {
        self.anchor.speed
    }
}

#[cfg(test)]
mod tests {
    use super::super::wall;
    use super::*;

    #[test]
    fn anchor_is_an_instant_and_a_speed_of_at_least_one() {
        let anchor: Anchor = "2026-01-01T00:00:00Z*60".parse().expect("it reads");
        assert_eq!((anchor.since.timestamp(), anchor.speed), (1_767_225_600, 60.0));
        for wrong in ["", "60", "2026-01-01T00:00:00Z", "yesterday*60", "2026-01-01T00:00:00Z*0.5"] {
            assert!(wrong.parse::<Anchor>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn two_clocks_of_one_anchor_agree() {
        let since = wall() - TimeDelta::hours(1);
        let anchor = Anchor { since, speed: 60.0 };
        let (one, other) = (AnchoredClock::new(anchor), AnchoredClock::new(anchor));
        let (first, second) = (one.now(), other.now());
        assert!(first - since >= TimeDelta::hours(60));
        assert!(second >= first && second - first < TimeDelta::minutes(60));
    }
}
