//! The engine's time in tests: runs from a fixed morning at a speed that can be changed.

use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use uuid::{Builder, Uuid};

/// A Monday, 08:00 UTC.
pub fn morning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_900_000_800 - 1_900_000_800 % 86_400 + 8 * 3_600, 0).expect("a valid instant")
}

struct Pace {
    base: DateTime<Utc>,
    since: Instant,
    speed: f64,
}

impl Pace {
    fn now(&self) -> DateTime<Utc> {
        let engine = self.since.elapsed().mul_f64(self.speed);
        self.base + TimeDelta::from_std(engine).expect("a short test")
    }
}

/// The clock of a scene; every process and the sandbox have the same.
pub struct TestClock(Mutex<Pace>);

impl TestClock {
    pub fn starting_at(base: DateTime<Utc>, speed: f64) -> Self {
        Self(Mutex::new(Pace { base, since: Instant::now(), speed }))
    }

    pub fn set_speed(&self, speed: f64) {
        let mut pace = self.0.lock().expect("no panic");
        *pace = Pace { base: pace.now(), since: Instant::now(), speed };
    }

    /// Lets time pass at once.
    pub fn advance(&self, length: TimeDelta) {
        let mut pace = self.0.lock().expect("no panic");
        *pace = Pace { base: pace.now() + length, since: Instant::now(), speed: pace.speed };
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().expect("no panic").now()
    }

    fn speed(&self) -> f64 {
        self.0.lock().expect("no panic").speed
    }
}

/// New ids and numbers from the system.
pub struct TestEntropy;

impl Entropy for TestEntropy {
    fn uuid(&self) -> Uuid {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the system has randomness");
        Builder::from_unix_timestamp_millis(1_900_000_000_000, &random).into_uuid()
    }

    fn unit(&self) -> f64 {
        f64::from(getrandom::u32().expect("the system has randomness")) / (f64::from(u32::MAX) + 1.0)
    }
}
