//! Loads aggregates: a snapshot if there is one, then the events after it.
//!
//! It keeps nothing in memory; that is the command bus's part.

use std::sync::Arc;

use domain::decide::Decide;

use crate::decode::Decoder;
use crate::error::StoreError;
use crate::event::RawEvent;
use crate::repository::EventRepository;
use crate::snapshot::Snapshots;

/// Most streams, and most of what is new in one, fit into the first page.
const FIRST_PAGE: i64 = 200;
const PAGE: i64 = 10_000;

/// An aggregate as its stream says.
#[derive(Debug)]
pub struct Loaded<A> {
    pub state: Arc<A>,
    /// 0 when it has no events.
    pub sequence: i64,
}

impl<A> Clone for Loaded<A> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), sequence: self.sequence }
    }
}

/// Reads aggregates from a repository and its snapshots.
pub struct Loader {
    repository: Arc<dyn EventRepository>,
    snapshots: Option<Snapshots>,
}

impl Loader {
    /// A loader; without snapshots it folds every stream from its beginning.
    #[must_use]
    pub fn new(repository: Arc<dyn EventRepository>, snapshots: Option<Snapshots>) -> Self {
        Self { repository, snapshots }
    }

    /// The repository that it reads from.
    #[must_use]
    pub fn repository(&self) -> &Arc<dyn EventRepository> {
        &self.repository
    }

    /// The aggregate as its stream says now.
    pub async fn load<A: Decide>(&self, aggregate_id: &str) -> Result<Loaded<A>, StoreError> {
        let Some(snapshots) = &self.snapshots else {
            return self.fold_all(aggregate_id).await;
        };
        // Most streams are short, and have no snapshot to ask for.
        let page = self.repository.raw_stream(A::TYPE, aggregate_id, 0, snapshots.every()).await?;
        if i64::try_from(page.len()).unwrap_or(i64::MAX) < snapshots.every() {
            let mut loaded = Loaded { state: Arc::new(A::default()), sequence: 0 };
            apply(&Decoder::default(), &page, &mut loaded)?;
            return Ok(loaded);
        }
        let (state, sequence) = match snapshots.load::<A>(aggregate_id).await {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return self.fold_all(aggregate_id).await,
            Err(error) => {
                tracing::warn!(aggregate.kind = A::TYPE, aggregate.id = aggregate_id, %error,
                    "a snapshot was not readable; the events are used");
                return self.fold_all(aggregate_id).await;
            }
        };
        let last = self.repository.raw_stream(A::TYPE, aggregate_id, sequence - 1, 1).await?;
        if last.is_empty() {
            tracing::error!(
                aggregate.kind = A::TYPE,
                aggregate.id = aggregate_id,
                "a snapshot is further than its stream; the events are used and the snapshot is deleted"
            );
            snapshots.discard::<A>(aggregate_id).await?;
            return self.fold_all(aggregate_id).await;
        }
        let mut loaded = Loaded { state: Arc::new(state), sequence };
        self.catch_up(aggregate_id, &mut loaded).await?;
        if snapshots.is_check_due() {
            return self.checked(snapshots, aggregate_id, loaded).await;
        }
        Ok(loaded)
    }

    /// Folds what the stream has after `known`; says whether there was something.
    pub async fn catch_up<A: Decide>(&self, aggregate_id: &str, known: &mut Loaded<A>) -> Result<bool, StoreError> {
        let decoder = Decoder::<A>::default();
        let before = known.sequence;
        let mut limit = FIRST_PAGE;
        loop {
            let page = self.repository.raw_stream(A::TYPE, aggregate_id, known.sequence, limit).await?;
            apply(&decoder, &page, known)?;
            if i64::try_from(page.len()).unwrap_or(i64::MAX) < limit {
                return Ok(known.sequence > before);
            }
            limit = PAGE;
        }
    }

    /// Offers a snapshot of `current`, which was at the sequence `before`.
    pub fn offer_snapshot<A: Decide>(&self, aggregate_id: &str, current: &Loaded<A>, before: i64) {
        if let Some(snapshots) = &self.snapshots {
            snapshots.offer(aggregate_id, &current.state, before, current.sequence);
        }
    }

    /// Folds the whole stream beside a state that came from a snapshot, and returns the fold.
    async fn checked<A: Decide>(
        &self,
        snapshots: &Snapshots,
        aggregate_id: &str,
        mut from_snapshot: Loaded<A>,
    ) -> Result<Loaded<A>, StoreError> {
        let folded = self.fold_all::<A>(aggregate_id).await?;
        self.catch_up(aggregate_id, &mut from_snapshot).await?;
        // When the stream moved on between the two, this load says nothing about the snapshot.
        let is_comparable = from_snapshot.sequence == folded.sequence;
        if is_comparable && !snapshots.is_true(aggregate_id, &*from_snapshot.state, &*folded.state) {
            snapshots.discard::<A>(aggregate_id).await?;
        }
        Ok(folded)
    }

    async fn fold_all<A: Decide>(&self, aggregate_id: &str) -> Result<Loaded<A>, StoreError> {
        let mut loaded = Loaded { state: Arc::new(A::default()), sequence: 0 };
        self.catch_up(aggregate_id, &mut loaded).await?;
        Ok(loaded)
    }
}

/// Folds `page` into `known`, or leaves it as it is.
fn apply<A: Decide>(decoder: &Decoder<A>, page: &[RawEvent], known: &mut Loaded<A>) -> Result<(), StoreError> {
    let Some(last) = page.last() else { return Ok(()) };
    let events = page.iter().map(|raw| decoder.decode(raw)).collect::<Result<Vec<_>, _>>()?;
    let state = Arc::make_mut(&mut known.state);
    for event in events {
        state.apply(event);
    }
    known.sequence = last.sequence;
    Ok(())
}
