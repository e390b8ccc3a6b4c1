//! How the process stops: one token that everything watches, and what was started closed in reverse order.
//!
//! The first SIGINT or SIGTERM asks for an orderly stop. The second ends the process at once.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell shows for a process ended by SIGINT.
const STATUS_OF_INTERRUPT: i32 = 130;

/// Makes the token that SIGINT and SIGTERM cancel.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    tokio::spawn(watch(interrupt, terminate, token.clone()));
    Ok(token)
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    next(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal ends the process at once");
    token.cancel();
    next(&mut interrupt, &mut terminate).await;
    tracing::warn!("ended by a second signal");
    quit();
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal asks for exactly this")]
fn quit() -> ! {
    std::process::exit(STATUS_OF_INTERRUPT)
}

/// One thing that was started and must be stopped.
struct Stage {
    name: &'static str,
    limit: Duration,
    stop: BoxFuture<'static, ()>,
}

/// Everything that was started, in the order in which it was.
#[derive(Default)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// Remembers how to stop what was just started. `stop` runs only in [`Stages::close`].
    pub fn started(&mut self, name: &'static str, limit: Duration, stop: impl Future<Output = ()> + Send + 'static) {
        self.0.push(Stage { name, limit, stop: Box::pin(stop) });
    }

    /// Stops everything, last first; what does not stop within its limit is left and told.
    pub async fn close(mut self) {
        while let Some(stage) = self.0.pop() {
            if tokio::time::timeout(stage.limit, stage.stop).await.is_err() {
                let limit_ms = u64::try_from(stage.limit.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(stage = stage.name, limit_ms, "did not stop in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn stages_close_last_first() {
        let closed = Arc::new(Mutex::new(Vec::new()));
        let mut stages = Stages::default();
        for name in ["database", "projections", "api"] {
            let closed = closed.clone();
            stages.started(name, SOON, async move {
                closed.lock().expect("no other holder panicked").push(name);
            });
        }
        stages.close().await;
        let order = closed.lock().expect("no other holder panicked").clone();
        assert_eq!(order, ["api", "projections", "database"]);
    }

    #[tokio::test]
    async fn stage_that_hangs_does_not_keep_the_others_open() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut stages = Stages::default();
        stages.started("database", SOON, async move {
            let _ = tell.send(());
        });
        stages.started("api", Duration::from_millis(1), std::future::pending());
        stages.close().await;
        assert!(told.await.is_ok());
    }
}
