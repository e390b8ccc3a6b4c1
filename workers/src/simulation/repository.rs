//! The memory store with the faults of a real one: appends that never arrive, appends whose answer is lost, holders that
//! are fenced off, and a pause before and after everything, at which others come in and crashes happen.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::RequestId;
use domain::splitmix::SplitMix64;
use store::StoreError;
use store::event::RawEvent;
use store::repository::{AppendRequest, Appended, EventRepository, MemoryRepository, RecordedRequest};
use tokio::task::yield_now;

/// One append in so many goes wrong.
const ONE_IN: u64 = 60;

/// The store of one simulation.
pub(super) struct FaultyRepository {
    inner: MemoryRepository,
    rng: Mutex<SplitMix64>,
    /// Whoever holds an older one is fenced off.
    epoch: AtomicI64,
    is_calm: AtomicBool,
}

impl FaultyRepository {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let rng = Mutex::new(SplitMix64::new(seed));
        let inner = MemoryRepository::default();
        Arc::new(Self { inner, rng, epoch: AtomicI64::new(1), is_calm: AtomicBool::new(true) })
    }

    /// The present epoch.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Fences off every holder so far.
    pub(super) fn next_epoch(&self) -> i64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether nothing goes wrong here from now on.
    pub(super) fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Release);
    }

    fn goes_wrong(&self) -> Option<bool> {
        if self.is_calm.load(Ordering::Acquire) {
            return None;
        }
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.one_in(ONE_IN).then(|| rng.one_in(2))
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { reason: "the simulation cut the connection", source: None }
}

#[async_trait]
impl EventRepository for FaultyRepository {
    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError> {
        yield_now().await;
        let wrong = self.goes_wrong();
        if wrong == Some(true) {
            return Err(unavailable());
        }
        if request.held_epoch.is_some_and(|held| held != self.epoch()) {
            return Err(StoreError::Fenced);
        }
        let appended = self.inner.append(request).await;
        yield_now().await;
        if wrong == Some(false) { Err(unavailable()) } else { appended }
    }

    async fn raw_stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<RawEvent>, StoreError> {
        yield_now().await;
        self.inner.raw_stream(aggregate_type, aggregate_id, after_sequence, limit).await
    }

    async fn raw_last(&self, aggregate_type: &str, aggregate_id: &str) -> Result<Option<RawEvent>, StoreError> {
        yield_now().await;
        self.inner.raw_last(aggregate_type, aggregate_id).await
    }

    async fn raw_read(&self, shard: i32, after_position: i64, limit: i64) -> Result<Vec<RawEvent>, StoreError> {
        self.inner.raw_read(shard, after_position, limit).await
    }

    async fn head(&self, shard: i32) -> Result<i64, StoreError> {
        self.inner.head(shard).await
    }

    async fn request(&self, request_id: RequestId) -> Result<Option<RecordedRequest>, StoreError> {
        yield_now().await;
        self.inner.request(request_id).await
    }
}
