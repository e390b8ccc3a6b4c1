//! Tells readers of the log that a shard has a new head.
//!
//! Within the process by a watch, right after the commit. Between processes by one coalesced NOTIFY
//! from a connection of its own: never in the append's transaction, where NOTIFY makes commits wait
//! for each other. A wake-up may be lost or false; readers also poll, so only their delay depends on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::StoreError;
use crate::tap::{Commit, Taps, Told, Wanted};

const CHANNEL: &str = "reprise_log";

/// At most one NOTIFY in this time, whatever the rate of commits.
const NOTIFY_PAUSE: Duration = Duration::from_millis(20);

const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Heads of the shards as far as this process has heard. Cheap to clone.
#[derive(Clone)]
pub struct Wakeup {
    shared: Arc<Shared>,
    _tasks: Option<Arc<Stop>>,
}

struct Shared {
    heads: Mutex<HashMap<i32, watch::Sender<i64>>>,
    /// Heads of our own commits that other processes have not been told.
    untold: Mutex<HashMap<i32, i64>>,
    tell: Notify,
    listening: watch::Sender<bool>,
    taps: Taps,
}

struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Wakeup {
    /// A wake-up within this process only.
    #[must_use]
    pub fn in_process() -> Self {
        let shared = Shared {
            heads: Mutex::default(),
            untold: Mutex::default(),
            tell: Notify::new(),
            listening: watch::Sender::new(false),
            taps: Taps::default(),
        };
        Self { shared: Arc::new(shared), _tasks: None }
    }

    /// A wake-up that also tells, and hears from, the other processes on this database. It stops
    /// with `tasks` or with its last clone.
    #[must_use]
    pub fn start(pool: &PgPool, tasks: &TaskTracker) -> Self {
        let wakeup = Self::in_process();
        let stop = CancellationToken::new();
        let options = pool.connect_options();
        tasks.spawn(until(stop.clone(), tell(Arc::clone(&wakeup.shared), Arc::clone(&options))));
        tasks.spawn(until(stop.clone(), hear(Arc::clone(&wakeup.shared), options)));
        Self { shared: wakeup.shared, _tasks: Some(Arc::new(Stop(stop))) }
    }

    /// Says that `shard` has reached `head`, to this process now and to the others soon.
    pub fn publish(&self, shard: i32, head: i64) {
        self.shared.raise(shard, head);
        let mut untold = self.shared.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.insert(shard, head);
        drop(untold);
        self.shared.tell.notify_one();
    }

    /// Hears what this process commits from now on.
    #[must_use]
    pub fn tap(&self, wanted: Wanted) -> mpsc::Receiver<Commit> {
        self.shared.taps.open(wanted)
    }

    pub(crate) fn tell_taps<'a, I: Iterator<Item = Told<'a>>>(
        &self,
        shard: i32,
        positions: (i64, i64),
        events: impl Fn() -> I,
    ) {
        self.shared.taps.tell(shard, positions, events);
    }

    /// Follows the head of `shard`; 0 until something is heard.
    #[must_use]
    pub fn subscribe(&self, shard: i32) -> watch::Receiver<i64> {
        self.shared.sender(shard).subscribe()
    }

    /// Whether other processes' commits are heard now; if not, polling alone finds them.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        *self.shared.listening.borrow()
    }

    /// Waits until [`Wakeup::is_listening`].
    pub async fn listening(&self) {
        let mut listening = self.shared.listening.subscribe();
        // The sender lives in `self`.
        let _ = listening.wait_for(|now| *now).await;
    }
}

impl Shared {
    fn sender(&self, shard: i32) -> watch::Sender<i64> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.entry(shard).or_insert_with(|| watch::Sender::new(0)).clone()
    }

    fn raise(&self, shard: i32, head: i64) {
        self.sender(shard).send_if_modified(|known| {
            let higher = head > *known;
            *known = head.max(*known);
            higher
        });
    }

    fn take_untold(&self) -> Vec<(i32, i64)> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.drain().collect()
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Sends what is untold, from a connection whose commits wait for no disk.
async fn tell(shared: Arc<Shared>, options: Arc<PgConnectOptions>) {
    let mut connection: Option<PgConnection> = None;
    loop {
        shared.tell.notified().await;
        for (shard, head) in shared.take_untold() {
            if let Err(error) = notify(&mut connection, &options, shard, head).await {
                // The others poll; the next commit tries again.
                tracing::warn!(%error, "other processes were not told of a commit");
                connection = None;
            }
        }
        tokio::time::sleep(NOTIFY_PAUSE).await;
    }
}

async fn notify(
    slot: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    shard: i32,
    head: i64,
) -> Result<(), sqlx::Error> {
    let connection = if let Some(connection) = slot {
        connection
    } else {
        let mut connection = options.connect().await?;
        sqlx::query("SET synchronous_commit = off").execute(&mut connection).await?;
        slot.insert(connection)
    };
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(format!("{shard}:{head}")).execute(connection).await?;
    Ok(())
}

/// Listens for ever; while it cannot, readers poll.
async fn hear(shared: Arc<Shared>, options: Arc<PgConnectOptions>) {
    // A pool of one for the listener, which keeps its connection for ever.
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with((*options).clone());
    loop {
        if let Err(error) = listen(&shared, &pool).await {
            shared.listening.send_replace(false);
            tracing::warn!(%error, "commits of other processes are not heard; polling");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn listen(shared: &Shared, pool: &PgPool) -> Result<(), StoreError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    shared.listening.send_replace(true);
    loop {
        let notification = listener.recv().await?;
        if let Some((shard, head)) = parse(notification.payload()) {
            shared.raise(shard, head);
        }
    }
}

fn parse(payload: &str) -> Option<(i32, i64)> {
    let (shard, head) = payload.split_once(':')?;
    Some((shard.parse().ok()?, head.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_never_goes_back() {
        let wakeup = Wakeup::in_process();
        let heads = wakeup.subscribe(0);
        wakeup.publish(0, 7);
        wakeup.publish(0, 3);
        assert_eq!(*heads.borrow(), 7);
    }

    #[test]
    fn a_foreign_notification_is_ignored() {
        assert_eq!(parse("0:12"), Some((0, 12)));
        assert_eq!(parse("hello"), None);
        assert_eq!(parse("0:"), None);
    }
}
