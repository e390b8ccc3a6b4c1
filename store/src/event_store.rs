//! Our `EventStore` for cqrs-es, so that its `CqrsFramework` runs on our repository and snapshots.
//!
//! cqrs-es's own snapshot and aggregate stores apply events twice; this one loads as the command bus
//! does. Commands must bring our metadata (`execute_with_metadata`), for it names the request.

use std::collections::HashMap;
use std::error::Error;

use cqrs_es::{Aggregate, AggregateContext, AggregateError, EventEnvelope};
use domain::decide::Decide;
use domain::metadata::Metadata;
use serde_json::{Map, Value};

use crate::decode::Decoder;
use crate::error::StoreError;
use crate::event::{NewEvent, RawEvent};
use crate::loader::{Loaded, Loader};
use crate::repository::AppendRequest;

const PAGE: i64 = 10_000;

/// The store of one aggregate type.
pub struct EventStore {
    loader: Loader,
}

/// An aggregate with the place in its stream that a command starts from.
pub struct Context<A> {
    aggregate_id: String,
    aggregate: A,
    sequence: i64,
}

impl<A: Aggregate> AggregateContext<A> for Context<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl EventStore {
    /// A store that loads through `loader`.
    #[must_use]
    pub fn new(loader: Loader) -> Self {
        Self { loader }
    }
}

impl<A: Decide> cqrs_es::EventStore<A> for EventStore {
    type AC = Context<A>;

    async fn load_events(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let decoder = Decoder::<A>::default();
        let mut events = Vec::new();
        loop {
            let after = i64::try_from(events.len()).unwrap_or(i64::MAX);
            let page = self.loader.repository().raw_stream(A::TYPE, aggregate_id, after, PAGE).await.map_err(fault)?;
            if page.is_empty() {
                return Ok(events);
            }
            for raw in page {
                events.push(envelope(&decoder, raw).map_err(fault)?);
            }
        }
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<Context<A>, AggregateError<A::Error>> {
        let Loaded { state, sequence } = self.loader.load::<A>(aggregate_id).await.map_err(fault)?;
        let aggregate = std::sync::Arc::unwrap_or_clone(state);
        Ok(Context { aggregate_id: aggregate_id.to_owned(), aggregate, sequence })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Context<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let map: Map<String, Value> = metadata.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
        let ours = Metadata::from_map(&map).map_err(|error| AggregateError::UnexpectedError(error.into()))?;
        let new_events = events.iter().map(NewEvent::of).collect::<Result<_, _>>().map_err(fault)?;
        let request = AppendRequest {
            request_id: ours.request_id,
            aggregate_type: A::TYPE.to_owned(),
            aggregate_id: context.aggregate_id.clone(),
            expected_sequence: context.sequence,
            events: new_events,
            metadata: ours,
            held_epoch: None,
        };
        let appended = self.loader.repository().append(request).await.map_err(fault)?;
        let first = usize::try_from(appended.first_sequence).unwrap_or(0);
        Ok((first..)
            .zip(events)
            .map(|(sequence, payload)| EventEnvelope {
                aggregate_id: context.aggregate_id.clone(),
                sequence,
                payload,
                metadata: metadata.clone(),
            })
            .collect())
    }
}

fn envelope<A: Decide>(decoder: &Decoder<A>, raw: RawEvent) -> Result<EventEnvelope<A>, StoreError> {
    let payload = decoder.decode(&raw)?;
    let metadata = serde_json::from_str(&raw.metadata).map_err(|error| StoreError::Corrupt {
        shard: raw.shard,
        position: raw.position,
        reason: format!("its metadata is no map of strings: {error}"),
    })?;
    let sequence = usize::try_from(raw.sequence).unwrap_or(0);
    Ok(EventEnvelope { aggregate_id: raw.aggregate_id, sequence, payload, metadata })
}

fn fault<E: Error>(error: StoreError) -> AggregateError<E> {
    let boxed: Box<dyn Error + Send + Sync> = Box::new(error.clone());
    match error {
        StoreError::Conflict { .. } => AggregateError::AggregateConflict,
        StoreError::Unavailable { .. } => AggregateError::DatabaseConnectionError(boxed),
        StoreError::Corrupt { .. } => AggregateError::DeserializationError(boxed),
        _ => AggregateError::UnexpectedError(boxed),
    }
}
