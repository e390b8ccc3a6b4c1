//! The repository in memory, for tests of what stands on it. It keeps no hashes and fences nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::RequestId;

use super::{AppendRequest, Appended, DEFAULT_SHARD, EventRepository, RecordedRequest, StoreError};
use crate::event::{RawEvent, event_id, metadata_text};
use crate::tap::Told;
use crate::wakeup::Wakeup;

/// Events in memory, under the same promises.
pub struct MemoryRepository {
    log: Mutex<Log>,
    wakeup: Wakeup,
}

#[derive(Default)]
struct Log {
    events: Vec<RawEvent>,
    /// Indices into `events`, in order.
    streams: HashMap<(String, String), Vec<usize>>,
    requests: HashMap<RequestId, RecordedRequest>,
}

impl Default for MemoryRepository {
    fn default() -> Self {
        Self::new(Wakeup::in_process())
    }
}

impl MemoryRepository {
    /// An empty repository that wakes readers through `wakeup`.
    #[must_use]
    pub fn new(wakeup: Wakeup) -> Self {
        Self { log: Mutex::default(), wakeup }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn append(&mut self, request: AppendRequest) -> Result<Appended, StoreError> {
        if let Some(first) = self.requests.get(&request.request_id) {
            return request.answer((&first.aggregate_type, &first.aggregate_id), first.appended);
        }
        let metadata = metadata_text(&request.metadata)?;
        let key = (request.aggregate_type.clone(), request.aggregate_id.clone());
        let stream = self.streams.entry(key).or_default();
        if number(stream.len()) != request.expected_sequence {
            return Err(request.conflict());
        }
        let before = number(self.events.len());
        let count = number(request.events.len());
        let appended = Appended {
            first_sequence: request.expected_sequence + 1,
            last_sequence: request.expected_sequence + count,
            first_position: before + 1,
            last_position: before + count,
            repeated: false,
        };
        for (index, event) in (0..).zip(&request.events) {
            stream.push(self.events.len());
            self.events.push(RawEvent {
                shard: DEFAULT_SHARD,
                position: number(self.events.len()) + 1,
                event_id: event_id(request.request_id, index),
                aggregate_type: request.aggregate_type.clone(),
                aggregate_id: request.aggregate_id.clone(),
                sequence: number(stream.len()),
                event_type: event.event_type.clone(),
                event_version: event.event_version.clone(),
                payload: event.payload().to_owned(),
                metadata: metadata.clone(),
                recorded_at: request.metadata.recorded_at,
            });
        }
        let recorded =
            RecordedRequest { aggregate_type: request.aggregate_type, aggregate_id: request.aggregate_id, appended };
        self.requests.insert(request.request_id, recorded);
        Ok(appended)
    }
}

/// No vector here is as long as an `i64` counts.
fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn skip(after: i64) -> usize {
    usize::try_from(after).unwrap_or(0)
}

#[async_trait]
impl EventRepository for MemoryRepository {
    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError> {
        request.check()?;
        let (aggregate_type, aggregate_id) = (request.aggregate_type.clone(), request.aggregate_id.clone());
        let (events, correlation_id, request_id) =
            (request.events.clone(), request.metadata.correlation_id, request.request_id);
        let appended = {
            let mut log = self.log();
            let appended = log.append(request)?;
            if !appended.repeated {
                // Still under the lock, so that listeners hear commits in their order.
                self.wakeup.tell_taps(DEFAULT_SHARD, (appended.first_position, appended.last_position), || {
                    (appended.first_sequence..).zip((0..).zip(&events)).map(|(sequence, (index, event))| Told {
                        aggregate_type: &aggregate_type,
                        aggregate_id: &aggregate_id,
                        event_type: &event.event_type,
                        sequence,
                        request_id,
                        index,
                        correlation_id,
                        payload: event.payload(),
                    })
                });
            }
            appended
        };
        self.wakeup.publish(DEFAULT_SHARD, appended.last_position);
        Ok(appended)
    }

    async fn raw_stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<RawEvent>, StoreError> {
        let log = self.log();
        let key = (aggregate_type.to_owned(), aggregate_id.to_owned());
        let stream = log.streams.get(&key).map(Vec::as_slice).unwrap_or_default();
        let indices = stream.iter().skip(skip(after_sequence)).take(skip(limit));
        Ok(indices.filter_map(|&index| log.events.get(index).cloned()).collect())
    }

    async fn raw_last(&self, aggregate_type: &str, aggregate_id: &str) -> Result<Option<RawEvent>, StoreError> {
        let log = self.log();
        let key = (aggregate_type.to_owned(), aggregate_id.to_owned());
        let last = log.streams.get(&key).and_then(|stream| stream.last());
        Ok(last.and_then(|&index| log.events.get(index).cloned()))
    }

    async fn raw_read(&self, shard: i32, after_position: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        if shard != DEFAULT_SHARD {
            return Ok(Vec::new());
        }
        let log = self.log();
        Ok(log.events.iter().skip(skip(after_position)).take(skip(limit)).cloned().collect())
    }

    async fn head(&self, shard: i32) -> Result<i64, StoreError> {
        Ok(if shard == DEFAULT_SHARD { number(self.log().events.len()) } else { 0 })
    }

    async fn request(&self, request_id: RequestId) -> Result<Option<RecordedRequest>, StoreError> {
        Ok(self.log().requests.get(&request_id).cloned())
    }
}
