//! Any repository of ours as cqrs-es's `PersistedEventRepository`.
//!
//! It refuses snapshots: cqrs-es's snapshot and aggregate stores apply events twice, so only
//! `PersistedEventStore::new_event_store` works on it. Commands must bring our metadata.

use std::error::Error;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot};
use domain::metadata::Metadata;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::{AppendRequest, DEFAULT_SHARD, EventRepository};
use crate::error::StoreError;
use crate::event::{NewEvent, StoredEvent};

/// Most streams fit into the first page.
const FIRST_PAGE: i64 = 200;
const PAGE: i64 = 1_000;
const REPLAY_QUEUE: usize = 256;

/// The adapter. Cheap to clone.
#[derive(Clone)]
pub struct CqrsRepository {
    repository: Arc<dyn EventRepository>,
    replays: TaskTracker,
}

impl CqrsRepository {
    /// Shows `repository` to cqrs-es.
    #[must_use]
    pub fn new(repository: Arc<dyn EventRepository>) -> Self {
        Self { repository, replays: TaskTracker::new() }
    }

    async fn events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        mut after: i64,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let mut events = Vec::new();
        let mut limit = FIRST_PAGE;
        loop {
            let page = self.repository.stream(A::TYPE, aggregate_id, after, limit).await?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < limit;
            limit = PAGE;
            after = page.last().map_or(after, |event| event.sequence);
            events.extend(page.into_iter().map(SerializedEvent::from));
            if is_last {
                return Ok(events);
            }
        }
    }

    /// Feeds a replay from pages of the log, until the reader goes away.
    fn replay<Pages, Page>(&self, pages: Pages) -> ReplayStream
    where
        Pages: Fn(Arc<dyn EventRepository>, i64) -> Page + Send + 'static,
        Page: Future<Output = Result<(Vec<StoredEvent>, i64), StoreError>> + Send,
    {
        let (mut feed, stream) = ReplayStream::new(REPLAY_QUEUE);
        let repository = Arc::clone(&self.repository);
        self.replays.spawn(async move {
            let mut after = 0;
            loop {
                let (page, next) = match pages(Arc::clone(&repository), after).await {
                    Ok(page) => page,
                    Err(error) => {
                        let _ = feed.push(Err(error.into())).await;
                        return;
                    }
                };
                for event in page {
                    if feed.push(Ok(event.into())).await.is_err() {
                        return;
                    }
                }
                if next == after {
                    return;
                }
                after = next;
            }
        });
        stream
    }
}

impl PersistedEventRepository for CqrsRepository {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.events::<A>(aggregate_id, 0).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let after = i64::try_from(last_sequence).unwrap_or(i64::MAX);
        self.events::<A>(aggregate_id, after).await
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(PersistenceError::UnknownError(SNAPSHOTS_REFUSED.into()));
        }
        let Some(first) = events.first() else { return Ok(()) };
        let map = first.metadata.as_object().cloned().unwrap_or_default();
        let metadata = Metadata::from_map(&map).map_err(|error| PersistenceError::UnknownError(error.into()))?;
        let request = AppendRequest {
            request_id: metadata.request_id,
            aggregate_type: first.aggregate_type.clone(),
            aggregate_id: first.aggregate_id.clone(),
            expected_sequence: i64::try_from(first.sequence).unwrap_or(i64::MAX) - 1,
            events: events.iter().map(new_event).collect::<Result<_, _>>()?,
            metadata,
            held_epoch: None,
        };
        self.repository.append(request).await?;
        Ok(())
    }

    async fn stream_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<ReplayStream, PersistenceError> {
        let aggregate_id = aggregate_id.to_owned();
        Ok(self.replay(move |repository, after| {
            let aggregate_id = aggregate_id.clone();
            async move {
                let page = repository.stream(A::TYPE, &aggregate_id, after, PAGE).await?;
                let next = page.last().map_or(after, |event| event.sequence);
                Ok((page, next))
            }
        }))
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Ok(self.replay(|repository, after| async move {
            let mut page = repository.read(DEFAULT_SHARD, after, PAGE).await?;
            let next = page.last().map_or(after, |event| event.position);
            page.retain(|event| event.aggregate_type == A::TYPE);
            Ok((page, next))
        }))
    }
}

const SNAPSHOTS_REFUSED: &str = "cqrs-es's snapshot and aggregate stores apply events twice; use new_event_store";

fn new_event(event: &SerializedEvent) -> Result<NewEvent, StoreError> {
    NewEvent::try_new(event.event_type.clone(), event.event_version.clone(), &event.payload)
}

impl From<StoredEvent> for SerializedEvent {
    fn from(event: StoredEvent) -> Self {
        Self {
            aggregate_id: event.aggregate_id,
            sequence: usize::try_from(event.sequence).unwrap_or(0),
            aggregate_type: event.aggregate_type,
            event_type: event.event_type,
            event_version: event.event_version,
            payload: event.payload,
            metadata: event.metadata,
        }
    }
}

impl From<StoreError> for PersistenceError {
    fn from(error: StoreError) -> Self {
        let boxed: Box<dyn Error + Send + Sync> = Box::new(error.clone());
        match error {
            StoreError::Conflict { .. } => Self::OptimisticLockError,
            StoreError::Unavailable { .. } => Self::ConnectionError(boxed),
            StoreError::Corrupt { .. } => Self::DeserializationError(boxed),
            _ => Self::UnknownError(boxed),
        }
    }
}
