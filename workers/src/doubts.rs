//! Since when this process knows that an action's outcome is unknown, and how often it looked in vain.
//!
//! In memory on purpose: after a restart the wait begins again, so that it is never too short.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::ActionId;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
struct Doubt {
    since: Instant,
    vain_reads: u32,
    /// No look before this.
    look_at: Option<Instant>,
}

impl Doubt {
    const fn new(since: Instant) -> Self {
        Self { since, vain_reads: 0, look_at: None }
    }
}

/// Actions whose outcome this process is finding out.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<HashMap<ActionId, Doubt>>);

impl Doubts {
    /// The outcome is unknown from `now` on, whatever was known before: a call has just ended, or may still be under way.
    pub fn begin(&self, action: ActionId, now: Instant) {
        self.doubts().insert(action, Doubt::new(now));
    }

    /// How much of `settle_time` is left; it begins now unless it has begun before.
    pub fn remaining(&self, action: ActionId, settle_time: Duration, now: Instant) -> Duration {
        let mut doubts = self.doubts();
        let doubt = doubts.entry(action).or_insert(Doubt::new(now));
        settle_time.saturating_sub(now.saturating_duration_since(doubt.since))
    }

    /// How long to wait before the platform is asked about the action again, if at all.
    pub fn wait(&self, action: ActionId, now: Instant) -> Option<Duration> {
        let look_at = self.doubts().get(&action)?.look_at?;
        Some(look_at.saturating_duration_since(now)).filter(|wait| *wait > Duration::ZERO)
    }

    /// Nobody needs to ask about the action before `wait` has passed.
    pub fn look_again(&self, action: ActionId, wait: Duration, now: Instant) {
        let mut doubts = self.doubts();
        doubts.entry(action).or_insert(Doubt::new(now)).look_at = now.checked_add(wait);
    }

    /// Counts a read that told nothing.
    pub fn count_vain_read(&self, action: ActionId, now: Instant) -> u32 {
        let mut doubts = self.doubts();
        let doubt = doubts.entry(action).or_insert(Doubt::new(now));
        doubt.vain_reads = doubt.vain_reads.saturating_add(1);
        doubt.vain_reads
    }

    /// The outcome is recorded.
    pub fn forget(&self, action: ActionId) {
        self.doubts().remove(&action);
    }

    fn doubts(&self) -> MutexGuard<'_, HashMap<ActionId, Doubt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::derive;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(100);

    fn action() -> ActionId {
        ActionId::from_uuid(derive(&["action"]))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_begins_when_the_doubt_is_first_seen() {
        let (doubts, start) = (Doubts::default(), Instant::now());
        assert_eq!(doubts.remaining(action(), SETTLE, start), SETTLE);
        assert_eq!(doubts.remaining(action(), SETTLE, after(start, 30)), Duration::from_secs(70));
        assert_eq!(doubts.remaining(action(), SETTLE, after(start, 330)), Duration::ZERO);
    }

    #[test]
    fn another_call_begins_the_wait_anew() {
        let (doubts, start) = (Doubts::default(), Instant::now());
        doubts.begin(action(), start);
        doubts.begin(action(), after(start, 90));
        assert_eq!(doubts.remaining(action(), SETTLE, after(start, 90)), SETTLE);
    }

    #[test]
    fn nobody_needs_to_look_before_the_time() {
        let (doubts, start) = (Doubts::default(), Instant::now());
        assert_eq!(doubts.wait(action(), start), None);
        doubts.look_again(action(), SETTLE, start);
        assert_eq!(doubts.wait(action(), after(start, 40)), Some(Duration::from_secs(60)));
        assert_eq!(doubts.wait(action(), after(start, 100)), None);
    }

    #[test]
    fn vain_reads_are_counted_until_the_outcome_is_recorded() {
        let (doubts, now) = (Doubts::default(), Instant::now());
        assert_eq!(doubts.count_vain_read(action(), now), 1);
        assert_eq!(doubts.count_vain_read(action(), now), 2);
        doubts.forget(action());
        assert_eq!(doubts.count_vain_read(action(), now), 1);
    }
}
