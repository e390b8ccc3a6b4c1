//! The clocks of the process: the machine's, and the sandbox's, which can run faster.
//!
//! Engine time is what the domain sees. Leases and deadlines of calls keep real time and are no business of this module.

mod anchored;
mod mark;
mod scaled;

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use domain::clock::Clock;

pub use anchored::{Anchor, AnchoredClock};
pub use scaled::{ClockError, FASTEST, ScaledClock};

/// The machine's time. Only this module asks for it.
#[expect(clippy::disallowed_methods, reason = "this is the owner of the machine's clock")]
pub fn wall() -> DateTime<Utc> {
    Utc::now()
}

/// The machine's time, held still while the machine's clock is set back.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_micros: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        self.not_before_the_last(wall())
    }
}

impl SystemClock {
    fn not_before_the_last(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let micros = instant.timestamp_micros();
        let latest = self.latest_micros.fetch_max(micros, Ordering::AcqRel).max(micros);
        DateTime::from_timestamp_micros(latest).unwrap_or(instant)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn time_stands_still_while_the_machine_is_set_back() {
        let clock = SystemClock::default();
        let first = clock.not_before_the_last(wall());
        let second = clock.not_before_the_last(first - TimeDelta::hours(1));
        assert_eq!(second, first);
    }
}
