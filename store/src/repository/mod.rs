//! The repository of events: what every implementation promises, and what an append is.
//!
//! A repository knows streams, positions and request ids. It does not know what events mean, and it
//! keeps no snapshots.

pub mod adapter;
mod batch;
mod memo;
pub mod memory;
pub mod postgres;
mod sequencer;
mod session;
mod statement;
mod stream_reader;

use async_trait::async_trait;
use domain::ids::RequestId;
use domain::metadata::Metadata;

use crate::error::StoreError;
use crate::event::{NewEvent, RawEvent, StoredEvent};

pub use adapter::CqrsRepository;
pub use memory::MemoryRepository;
pub use postgres::{PostgresRepository, RepositoryConfig};

/// The shard of everything, until there are more. All streams of one bot share theirs.
pub const DEFAULT_SHARD: i32 = 0;

/// The most events of one request.
pub const MAX_EVENTS_OF_A_REQUEST: usize = 1_000;

/// The most bytes of one request.
pub const MAX_BYTES_OF_A_REQUEST: usize = 16 * 1024 * 1024;

/// The most bytes of a stream's type or id, or of an event's type or version.
pub const MAX_BYTES_OF_A_NAME: usize = 255;

/// Events of one stream that are to be stored together or not at all.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// Repeated, it is answered with its first result. One request id is one append.
    pub request_id: RequestId,
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// The stream's last sequence as the caller knows it; 0 for a new stream.
    pub expected_sequence: i64,
    pub events: Vec<NewEvent>,
    pub metadata: Metadata,
    /// The writer's epoch that the caller's own leases depend on. When it has been lost since, the
    /// request is fenced. Without it, only losing the lease while the request waits does that.
    pub held_epoch: Option<i64>,
}

/// Where a request's events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub first_sequence: i64,
    pub last_sequence: i64,
    pub first_position: i64,
    pub last_position: i64,
    /// This is the first result of a request that was made before.
    pub repeated: bool,
}

/// The first result of a request, and the stream that it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub appended: Appended,
}

/// Where events are kept.
#[async_trait]
pub trait EventRepository: Send + Sync {
    /// Stores the events of `request` durably, or nothing of it.
    ///
    /// Dropping the future does not stop the append; repeating the request tells what became of it.
    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError>;

    /// Up to `limit` events of a stream after a sequence, in order.
    async fn raw_stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<RawEvent>, StoreError>;

    /// The last event of a stream; `None` when it has none.
    async fn raw_last(&self, aggregate_type: &str, aggregate_id: &str) -> Result<Option<RawEvent>, StoreError>;

    /// Up to `limit` events of a shard after a position, in order.
    async fn raw_read(&self, shard: i32, after_position: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError>;

    /// The last committed position of a shard; 0 when it is empty.
    async fn head(&self, shard: i32) -> Result<i64, StoreError>;

    /// The first result of a request, if it has one.
    async fn request(&self, request_id: RequestId) -> Result<Option<RecordedRequest>, StoreError>;

    /// [`EventRepository::raw_stream`], parsed.
    async fn stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        parsed(self.raw_stream(aggregate_type, aggregate_id, after_sequence, limit).await?)
    }

    /// [`EventRepository::raw_read`], parsed.
    async fn read(&self, shard: i32, after_position: i64, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        parsed(self.raw_read(shard, after_position, limit).await?)
    }
}

fn parsed(events: Vec<RawEvent>) -> Result<Vec<StoredEvent>, StoreError> {
    events.into_iter().map(StoredEvent::try_from).collect()
}

impl AppendRequest {
    /// Refuses what could not be stored, or would break the batch that it is in.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |reason| Err(StoreError::InvalidRequest { reason });
        if self.events.is_empty() {
            return invalid("it has no events");
        }
        if self.events.len() > MAX_EVENTS_OF_A_REQUEST {
            return invalid("it has more than 1,000 events");
        }
        if self.size() > MAX_BYTES_OF_A_REQUEST {
            return invalid("it is larger than 16 MiB");
        }
        if self.expected_sequence < 0 {
            return invalid("its expected sequence is negative");
        }
        let names = [&self.aggregate_type, &self.aggregate_id].into_iter();
        let of_events = self.events.iter().flat_map(|e| [&e.event_type, &e.event_version]);
        for name in names.chain(of_events) {
            if name.is_empty() || name.len() > MAX_BYTES_OF_A_NAME || name.contains('\0') {
                return invalid("a type, id or version is empty, too long or has a zero byte");
            }
        }
        Ok(())
    }

    pub(crate) fn size(&self) -> usize {
        self.events.iter().map(|event| event.payload().len() + event.event_type.len()).sum()
    }

    pub(crate) fn conflict(&self) -> StoreError {
        StoreError::Conflict {
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: self.aggregate_id.clone(),
            expected_sequence: self.expected_sequence,
        }
    }

    /// The answer to this request when its id was seen before, for `first_stream`.
    pub(crate) fn answer(&self, first_stream: (&str, &str), first: Appended) -> Result<Appended, StoreError> {
        if first_stream == (self.aggregate_type.as_str(), self.aggregate_id.as_str()) {
            return Ok(Appended { repeated: true, ..first });
        }
        Err(StoreError::RequestReused {
            request_id: self.request_id.uuid(),
            aggregate_type: first_stream.0.to_owned(),
            aggregate_id: first_stream.1.to_owned(),
        })
    }
}
