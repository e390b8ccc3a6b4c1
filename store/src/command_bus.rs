//! Executes commands: load, decide, append, with what is known of hot aggregates kept in memory.
//!
//! A state in memory may be old; the append's sequence check finds that, and a refusal is only given
//! after looking at the stream. Commands of one aggregate wait for each other within this process.
//! Retrying after a fault is the caller's, with the same request id.

use std::any::{Any, TypeId};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::decide::Decide;
use domain::metadata::Metadata;
use lru::LruCache;
use tokio::sync::Mutex as AsyncMutex;

use crate::decode::Decoder;
use crate::error::StoreError;
use crate::event::NewEvent;
use crate::loader::{Loaded, Loader};
use crate::repository::{AppendRequest, Appended, EventRepository};
use crate::snapshot::Snapshots;

/// How often a command is decided again after a conflict.
const MAX_ATTEMPTS: u32 = 16;

/// The pause before another try after this process lost its lease, while it registers again.
const FENCED_PAUSE: Duration = Duration::from_millis(100);

const CACHED_AGGREGATES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// The way in for commands. Cheap to clone.
#[derive(Clone)]
pub struct CommandBus {
    shared: Arc<Shared>,
    held_epoch: Option<i64>,
}

struct Shared {
    loader: Loader,
    cache: Mutex<LruCache<Key, Arc<dyn Any + Send + Sync>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    aggregate: TypeId,
    id: String,
}

/// What is known of one aggregate; its lock lets commands of one aggregate wait for each other.
type Slot<A> = AsyncMutex<Option<Loaded<A>>>;

/// What a command led to.
#[derive(Debug)]
pub struct Executed<A: Decide> {
    /// The state after it; for a repeated request, the state now.
    pub state: Arc<A>,
    pub sequence: i64,
    pub events: Vec<A::Event>,
    /// The last position of its events; 0 if it has none.
    pub position: i64,
    /// The request was made before; `events` are what it led to then.
    pub repeated: bool,
}

/// Why a command led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E: std::error::Error + 'static> {
    /// The domain said no.
    #[error("the command is refused")]
    Refused(#[source] E),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandBus {
    /// A bus on `repository`, with snapshots if there is a place for them.
    #[must_use]
    pub fn new(repository: Arc<dyn EventRepository>, snapshots: Option<Snapshots>) -> Self {
        let cache = Mutex::new(LruCache::new(CACHED_AGGREGATES));
        let loader = Loader::new(repository, snapshots);
        Self { shared: Arc::new(Shared { loader, cache }), held_epoch: None }
    }

    /// The same bus for work that depends on leases held under a writer's `epoch`: once that is
    /// lost, nothing of it is written.
    #[must_use]
    pub fn under(&self, epoch: i64) -> Self {
        Self { shared: Arc::clone(&self.shared), held_epoch: Some(epoch) }
    }

    /// The repository under the bus.
    #[must_use]
    pub fn repository(&self) -> &Arc<dyn EventRepository> {
        self.shared.loader.repository()
    }

    /// Decides `command` and stores what it leads to.
    pub async fn execute<A>(
        &self,
        aggregate_id: &str,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<A::Error>>
    where
        A: Decide,
        A::Command: Clone,
    {
        let slot = self.slot::<A>(aggregate_id);
        let mut known = slot.lock().await;
        let mut last_error = StoreError::unavailable("the command was not decided");
        for _ in 0..MAX_ATTEMPTS {
            // Taken out, so that a caller who goes away in the middle leaves nothing half true.
            let (mut current, is_fresh) = match known.take() {
                Some(cached) => (cached, false),
                None => (self.shared.loader.load::<A>(aggregate_id).await?, true),
            };
            let decided = current.state.decide(command.clone());
            let events = match decided {
                Ok(events) if !events.is_empty() => events,
                undecided => {
                    if !is_fresh && self.shared.loader.catch_up(aggregate_id, &mut current).await? {
                        *known = Some(current);
                        continue;
                    }
                    *known = Some(current.clone());
                    return self.without_events(aggregate_id, undecided, current, metadata).await;
                }
            };
            match self.append::<A>(aggregate_id, current.sequence, &events, metadata).await {
                Ok(appended) if appended.repeated => {
                    return Ok(self.first_result(aggregate_id, appended).await?);
                }
                Ok(appended) => {
                    let before = current.sequence;
                    apply(&mut current, &events, appended.last_sequence);
                    *known = Some(current.clone());
                    self.shared.loader.offer_snapshot(aggregate_id, &current, before);
                    let Loaded { state, sequence } = current;
                    return Ok(Executed { state, sequence, events, position: appended.last_position, repeated: false });
                }
                Err(error @ StoreError::Conflict { .. }) => last_error = error,
                Err(error @ StoreError::Fenced) if self.held_epoch.is_none() => {
                    last_error = error;
                    tokio::time::sleep(FENCED_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(last_error.into())
    }

    /// The aggregate as its stream says now.
    pub async fn load<A: Decide>(&self, aggregate_id: &str) -> Result<Loaded<A>, StoreError> {
        let slot = self.slot::<A>(aggregate_id);
        let mut known = slot.lock().await;
        let current = match known.take() {
            Some(mut cached) => {
                self.shared.loader.catch_up(aggregate_id, &mut cached).await?;
                cached
            }
            None => self.shared.loader.load(aggregate_id).await?,
        };
        *known = Some(current.clone());
        Ok(current)
    }

    fn slot<A: Decide>(&self, aggregate_id: &str) -> Arc<Slot<A>> {
        let key = Key { aggregate: TypeId::of::<A>(), id: aggregate_id.to_owned() };
        let mut cache = self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache.get(&key).cloned().and_then(|slot| slot.downcast::<Slot<A>>().ok());
        known.unwrap_or_else(|| {
            let fresh = Arc::new(Slot::<A>::new(None));
            cache.put(key, Arc::clone(&fresh) as Arc<dyn Any + Send + Sync>);
            fresh
        })
    }

    async fn append<A: Decide>(
        &self,
        aggregate_id: &str,
        expected_sequence: i64,
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Result<Appended, StoreError> {
        let request = AppendRequest {
            request_id: metadata.request_id,
            aggregate_type: A::TYPE.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            expected_sequence,
            events: events.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
            metadata: metadata.clone(),
            held_epoch: self.held_epoch,
        };
        self.repository().append(request).await
    }

    /// A refusal, or nothing to do; unless the request was made before and had a result.
    async fn without_events<A: Decide>(
        &self,
        aggregate_id: &str,
        decided: Result<Vec<A::Event>, A::Error>,
        current: Loaded<A>,
        metadata: &Metadata,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        if let Some(first) = self.repository().request(metadata.request_id).await?
            && (&*first.aggregate_type, &*first.aggregate_id) == (A::TYPE, aggregate_id)
        {
            return Ok(self.first_result(aggregate_id, first.appended).await?);
        }
        let events = decided.map_err(ExecuteError::Refused)?;
        let Loaded { state, sequence } = current;
        Ok(Executed { state, sequence, events, position: 0, repeated: false })
    }

    async fn first_result<A: Decide>(&self, aggregate_id: &str, first: Appended) -> Result<Executed<A>, StoreError> {
        let count = first.last_sequence - first.first_sequence + 1;
        let stored = self.repository().raw_stream(A::TYPE, aggregate_id, first.first_sequence - 1, count).await?;
        let decoder = Decoder::<A>::default();
        let events = stored.iter().map(|raw| decoder.decode(raw)).collect::<Result<_, _>>()?;
        let Loaded { state, sequence } = self.shared.loader.load(aggregate_id).await?;
        Ok(Executed { state, sequence, events, position: first.last_position, repeated: true })
    }
}

fn apply<A: Decide>(current: &mut Loaded<A>, events: &[A::Event], sequence: i64) {
    let state = Arc::make_mut(&mut current.state);
    for event in events {
        state.apply(event.clone());
    }
    current.sequence = sequence;
}
