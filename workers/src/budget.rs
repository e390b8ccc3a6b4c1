//! How many requests this process makes of the gateway: a bucket that fills steadily, shared by all bots, changed while it
//! is in use. The limits of accounts are the domain's; this one spares the gateway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::engine::EngineSettings;
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests that may be made at once after a quiet time, as a part of a minute's.
const BURST: f64 = 1.0 / 12.0;
/// A changed limit is seen at the latest after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The bucket.
pub(crate) struct Budget {
    settings: watch::Receiver<Arc<EngineSettings>>,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Negative: as many wait.
    tokens: f64,
    at: Instant,
}

impl Default for Budget {
    /// Without a limit.
    fn default() -> Self {
        Self::new(watch::channel(Arc::default()).1)
    }
}

impl Budget {
    pub(crate) fn new(settings: watch::Receiver<Arc<EngineSettings>>) -> Self {
        Self { settings, bucket: Mutex::new(Bucket { tokens: 0.0, at: Instant::now() }) }
    }

    /// Waits until one more request may be made.
    pub(crate) async fn take(&self) {
        loop {
            let limit = self.settings.borrow().requests_per_minute;
            let Some(limit) = limit else { return };
            let Some(pause) = self.try_take(f64::from(limit.max(1)), Instant::now()) else { return };
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// Takes a token, or says how long it is until there may be one.
    fn try_take(&self, per_minute: f64, now: Instant) -> Option<Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = now.saturating_duration_since(bucket.at).as_secs_f64() * per_minute / 60.0;
        let most = (per_minute * BURST).max(1.0);
        bucket.tokens = (bucket.tokens + filled).min(most);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64((1.0 - bucket.tokens) * 60.0 / per_minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_at_the_rate_that_is_set() {
        let budget = Budget::default();
        let mut now = Instant::now();
        let mut passed = Duration::ZERO;
        for _ in 0..60 {
            while let Some(pause) = budget.try_take(60.0, now) {
                now += pause;
                passed += pause;
            }
        }
        assert!((59.0..=61.0).contains(&passed.as_secs_f64()), "{passed:?}");
    }

    #[test]
    fn quiet_time_is_saved_up_for_a_few_seconds_only() {
        let budget = Budget::default();
        let later = Instant::now() + Duration::from_secs(3_600);
        let at_once = (0..100).take_while(|_| budget.try_take(60.0, later).is_none()).count();
        assert_eq!(at_once, 5);
    }
}
