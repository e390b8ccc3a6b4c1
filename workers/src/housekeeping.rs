//! What the workers forget in time: commands that were settled long ago, in small batches, so that nothing waits for it.

use std::time::Duration;

use store::command_queue::CommandQueue;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is old enough.
const EVERY: Duration = Duration::from_secs(600);
const BATCH: i64 = 1_000;
/// The pause between two batches.
const PAUSE: Duration = Duration::from_millis(200);
/// Batches of one look; what is left is for the next.
const MOST_BATCHES: u32 = 1_000;

/// Forgets until `stop`. Any number of processes may do so.
pub(crate) async fn keep(queue: CommandQueue, retention: Duration, stop: CancellationToken) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = forget(&queue, retention) => {}
        }
    }
}

async fn forget(queue: &CommandQueue, retention: Duration) {
    let mut forgotten = 0;
    for _ in 0..MOST_BATCHES {
        match queue.forget_settled(retention, BATCH).await {
            Ok(batch) => {
                forgotten += batch;
                if batch < BATCH.unsigned_abs() {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "settled commands could not be forgotten; trying again");
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if forgotten > 0 {
        tracing::info!(commands = forgotten, "forgot commands that were settled long ago");
    }
}
