//! Stored rows to domain events, through the aggregate's upcasters.
//!
//! A row of the newest version is parsed straight from its text; only older ones take the way
//! through a JSON value. Readers of the whole log use `AnyEvent`, which goes through the same.

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use domain::any_event::{AnyEvent, DecodeError, upcast};
use domain::decide::Decide;

use crate::error::StoreError;
use crate::event::{RawEvent, StoredEvent};

/// Decodes events of one aggregate type.
pub struct Decoder<A: Decide> {
    upcasters: Vec<Box<dyn EventUpcaster>>,
    of: std::marker::PhantomData<fn() -> A>,
}

impl<A: Decide> Default for Decoder<A> {
    fn default() -> Self {
        Self { upcasters: A::upcasters(), of: std::marker::PhantomData }
    }
}

impl<A: Decide> Decoder<A> {
    /// The event in `raw`, in its newest shape.
    pub fn decode(&self, raw: &RawEvent) -> Result<A::Event, StoreError> {
        let is_old = self.upcasters.iter().any(|u| u.can_upcast(&raw.event_type, &raw.event_version));
        let event = if is_old {
            serde_json::from_str(&raw.payload).and_then(|payload| {
                let stored = SerializedEvent {
                    aggregate_id: raw.aggregate_id.clone(),
                    sequence: usize::try_from(raw.sequence).unwrap_or(0),
                    aggregate_type: raw.aggregate_type.clone(),
                    event_type: raw.event_type.clone(),
                    event_version: raw.event_version.clone(),
                    payload,
                    metadata: serde_json::Value::Null,
                };
                serde_json::from_value(upcast(stored, &self.upcasters).payload)
            })
        } else {
            serde_json::from_str(&raw.payload)
        };
        event.map_err(|error| StoreError::Corrupt {
            shard: raw.shard,
            position: raw.position,
            reason: format!("{} version {} does not decode: {error}", raw.event_type, raw.event_version),
        })
    }
}

impl StoredEvent {
    /// The event as the union that readers of the whole log match on.
    pub fn decode(&self) -> Result<AnyEvent, DecodeError> {
        AnyEvent::decode(
            &self.aggregate_type,
            &self.aggregate_id,
            &self.event_type,
            &self.event_version,
            self.payload.clone(),
        )
    }
}
