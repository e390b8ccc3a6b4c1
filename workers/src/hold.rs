//! How long this process may go on with the work of a partition: as long as it holds it and its lease is not about to end.

use std::sync::Arc;
use std::time::Duration;

use store::lease::PartitionLeases;
use store::writer::Writer;

/// Work stops so long before the lease surely ends, so that nothing of it is still being done when another begins.
const MARGIN: Duration = Duration::from_millis(500);
/// A partition can be lost without a change of the lease; that is looked at this often.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// The partitions of this process, and its lease.
#[derive(Clone)]
pub(crate) struct Hold {
    pub(crate) leases: Arc<PartitionLeases>,
    pub(crate) writer: Writer,
}

impl Hold {
    /// Waits until the work of `partition` has to stop.
    pub(crate) async fn ends(&self, partition: i32) {
        let mut lease = self.writer.subscribe();
        loop {
            let left = self.leases.remaining().saturating_sub(MARGIN);
            if left.is_zero() || !self.leases.holds(partition) {
                return;
            }
            // A renewal moves the end; the writer lives in `self`, so the channel stays open.
            let _ = tokio::time::timeout(left.min(LONGEST_LOOK), lease.changed()).await;
        }
    }
}
