//! Which partitions the desk works for: gives up at once what this process does not hold any more.
//!
//! What comes is taken up by the follower, in the order of the log.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;

/// Work stops so long before the lease surely ends, so that nothing of it is still being done when another begins.
const MARGIN: Duration = Duration::from_millis(500);
/// A lease that is nearly over is looked at no more often.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

impl Shared {
    pub(super) async fn watch_tenures(self: Arc<Self>) {
        let mut lease = self.parts.writer.subscribe();
        loop {
            // A change after this look is seen by the wait.
            lease.borrow_and_update();
            self.give_up_lost();
            let left = self.parts.leases.remaining().saturating_sub(MARGIN);
            let pause = left.clamp(SHORTEST_LOOK, self.config.tenure_pause);
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                // The writer lives in the parts, so the channel stays open.
                _ = lease.changed() => {}
            }
        }
    }

    fn give_up_lost(&self) {
        let leases = &self.parts.leases;
        let epoch = self.parts.writer.lease().unbroken_since;
        let is_over = leases.remaining() <= MARGIN;
        let mut agenda = self.agenda();
        let lost = agenda.lost(epoch, |partition| !is_over && leases.holds(partition));
        if !lost.is_empty() {
            agenda.drop_partitions(&lost);
            drop(agenda);
            tracing::info!(partitions = lost.len(), "the jobs of partitions that are not held any more are left alone");
            self.ended.notify_waiters();
        }
    }

    /// Partitions that are held and not worked for, with their epoch; those that were closed for a release that did not come
    /// about go on.
    pub(super) fn new_tenures(&self) -> (i64, Vec<i32>) {
        let epoch = self.parts.writer.lease().unbroken_since;
        let claimable = self.parts.leases.claimable();
        let mut agenda = self.agenda();
        let (known, new): (Vec<i32>, Vec<i32>) = claimable.into_iter().partition(|partition| agenda.holds(*partition));
        for partition in known {
            agenda.reopen(partition);
        }
        (epoch, new)
    }
}
