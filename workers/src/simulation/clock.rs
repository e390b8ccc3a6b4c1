//! Virtual time: that of the paused runtime, with jumps on top. And numbers that follow from the seed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::splitmix::SplitMix64;
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// A Monday, 08:00 UTC.
const MORNING: i64 = 1_900_000_800 - 1_900_000_800 % 86_400 + 8 * 3_600;

/// The clock of one simulation.
pub(super) struct VirtualClock {
    origin: Instant,
    jumped: Mutex<TimeDelta>,
}

impl VirtualClock {
    /// To be made inside the paused runtime.
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), jumped: Mutex::new(TimeDelta::zero()) }
    }

    fn jumped(&self) -> MutexGuard<'_, TimeDelta> {
        self.jumped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine's clock is set forward.
    pub(super) fn jump(&self, length: TimeDelta) {
        *self.jumped() += length;
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.origin.elapsed()).unwrap_or_default();
        DateTime::from_timestamp(MORNING, 0).unwrap_or_default() + *self.jumped() + passed
    }
}

/// Ids and rolls that follow from the seed.
pub(super) struct Seeded(Mutex<SplitMix64>);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(SplitMix64::new(seed)))
    }

    fn rng(&self) -> MutexGuard<'_, SplitMix64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entropy for Seeded {
    fn uuid(&self) -> Uuid {
        let mut rng = self.rng();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&rng.draw().to_be_bytes());
        random[8..].copy_from_slice(&rng.draw().to_be_bytes()[..2]);
        Builder::from_unix_timestamp_millis(MORNING.unsigned_abs() * 1_000, &random).into_uuid()
    }

    fn unit(&self) -> f64 {
        self.rng().unit()
    }
}
