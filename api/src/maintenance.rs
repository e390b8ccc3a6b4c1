//! What the API forgets in time: sessions that ended and idempotency keys that are old enough.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::auth::Sessions;
use crate::deps::ApiDeps;
use crate::idempotency::IdempotencyKeys;

const PAUSE: Duration = Duration::from_secs(3_600);

/// Forgets once an hour, until `stop`. Any number of processes may do so.
pub async fn maintain(deps: ApiDeps, stop: CancellationToken) {
    let sessions = Sessions::new(deps.pool.clone(), deps.settings.sessions);
    let keys = IdempotencyKeys::new(deps.pool, deps.vault, deps.entropy);
    let mut hours = interval(PAUSE);
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hours.tick() => forget(&sessions, &keys).await,
        }
    }
}

async fn forget(sessions: &Sessions, keys: &IdempotencyKeys) {
    match sessions.sweep().await {
        Ok(swept) => tracing::debug!(swept, "forgot sessions that had ended"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "sessions were not swept"),
    }
    match keys.sweep().await {
        Ok(swept) => tracing::debug!(swept, "forgot old idempotency keys"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "idempotency keys were not swept"),
    }
}
