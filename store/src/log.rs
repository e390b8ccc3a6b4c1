//! Reads committed events in order, after a position, and waits for more.
//!
//! Positions have no gaps, so a reader that misses one knows it and stops instead of going on. It
//! keeps no checkpoint; that is for whoever applies the events, in the same transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::StoreError;
use crate::event::{RawEvent, StoredEvent};
use crate::repository::EventRepository;
use crate::wakeup::Wakeup;

/// Polling starts at this pause after events and doubles while there are none.
const SHORTEST_POLL: Duration = Duration::from_millis(20);

/// The longest pause while nobody tells of other processes' commits, and while somebody does.
const LONGEST_POLL: Duration = Duration::from_millis(500);
const LONGEST_POLL_WHEN_TOLD: Duration = Duration::from_secs(5);

/// A reader of one shard.
pub struct LogReader {
    repository: Arc<dyn EventRepository>,
    wakeup: Wakeup,
    heads: watch::Receiver<i64>,
    shard: i32,
    position: i64,
    poll: Duration,
}

impl LogReader {
    /// A reader of what `shard` has after `position`; 0 is the beginning.
    #[must_use]
    pub fn new(repository: Arc<dyn EventRepository>, wakeup: &Wakeup, shard: i32, position: i64) -> Self {
        let heads = wakeup.subscribe(shard);
        Self { repository, wakeup: wakeup.clone(), heads, shard, position, poll: SHORTEST_POLL }
    }

    /// The last position that was given out.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Up to `limit` next events, or none when there are none yet. After one that does not parse, [`Self::read_raw`] goes on.
    pub async fn read(&mut self, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let before = self.position;
        let events = self.read_raw(limit).await?;
        let parsed: Result<Vec<_>, _> = events.into_iter().map(StoredEvent::try_from).collect();
        if parsed.is_err() {
            self.position = before;
        }
        parsed
    }

    /// The same, as they are stored: whoever needs only some of them parses only those.
    pub async fn read_raw(&mut self, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        let events = self.repository.raw_read(self.shard, self.position, limit).await?;
        for (expected, event) in (self.position + 1..).zip(&events) {
            if event.position != expected {
                return Err(StoreError::Corrupt {
                    shard: self.shard,
                    position: expected,
                    reason: "it is missing from the log".to_owned(),
                });
            }
        }
        if let Some(last) = events.last() {
            self.position = last.position;
        }
        Ok(events)
    }

    /// Up to `limit` next events; waits until there is one. Can be dropped at any time.
    pub async fn next(&mut self, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        loop {
            let events = self.read(limit).await?;
            if !events.is_empty() {
                self.poll = SHORTEST_POLL;
                return Ok(events);
            }
            self.wait().await;
        }
    }

    /// [`Self::next`], as they are stored. Can be dropped at any time.
    pub async fn next_raw(&mut self, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        loop {
            let events = self.read_raw(limit).await?;
            if !events.is_empty() {
                self.poll = SHORTEST_POLL;
                return Ok(events);
            }
            self.wait().await;
        }
    }

    /// Waits for a wake-up, or for the time to look without one.
    async fn wait(&mut self) {
        let position = self.position;
        let told = self.heads.wait_for(|head| *head > position);
        if timeout(self.poll, told).await.is_err() {
            let longest = if self.wakeup.is_listening() { LONGEST_POLL_WHEN_TOLD } else { LONGEST_POLL };
            self.poll = (self.poll * 2).min(longest);
        }
    }
}
