//! Waits for what comes by itself, with a deadline.

use std::time::Duration;

use tokio::time::{sleep, timeout};

const LONGEST_WAIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until the answer is yes.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let asking = async {
        while !ask().await {
            sleep(PAUSE).await;
        }
    };
    assert!(timeout(LONGEST_WAIT, asking).await.is_ok(), "it did not happen in time: {what}");
}
