//! Waiting for what happens soon, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer.
pub async fn until<T, Asking>(what: &str, mut ask: impl FnMut() -> Asking) -> T
where
    Asking: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(PAUSE).await;
    }
}
