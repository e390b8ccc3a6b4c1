//! Events as the store sees them: names, text and numbers. What they mean is the domain's.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use domain::ids::RequestId;
use domain::metadata::Metadata;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::{Builder, Uuid};

use crate::error::StoreError;

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub event_type: String,
    pub event_version: String,
    /// JSON text; stored and hashed as it is here.
    payload: String,
}

impl NewEvent {
    /// The stored form of `event`.
    pub fn of<E: DomainEvent>(event: &E) -> Result<Self, StoreError> {
        Self::try_new(event.event_type(), event.event_version(), event)
    }

    /// An event with `payload` under the given names.
    pub fn try_new<P: Serialize + ?Sized>(
        event_type: String,
        event_version: String,
        payload: &P,
    ) -> Result<Self, StoreError> {
        let payload = serde_json::to_string(payload).map_err(|e| StoreError::serialise("an event", e))?;
        Ok(Self { event_type, event_version, payload })
    }

    /// The payload's JSON text.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }
}

/// An event as it is stored: payload and metadata are the text that was hashed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RawEvent {
    pub shard: i32,
    pub position: i64,
    pub event_id: Uuid,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
    pub recorded_at: DateTime<Utc>,
}

impl RawEvent {
    /// What the metadata says of the request that began it all.
    #[must_use]
    pub fn correlation_id(&self) -> Option<Uuid> {
        #[derive(serde::Deserialize)]
        struct Correlated {
            correlation_id: Uuid,
        }
        serde_json::from_str::<Correlated>(&self.metadata).ok().map(|metadata| metadata.correlation_id)
    }
}

/// An event as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    pub shard: i32,
    /// Gapless in the shard, in commit order, from 1.
    pub position: i64,
    pub event_id: Uuid,
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// Gapless in the stream, from 1.
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: Value,
    pub metadata: Value,
    pub recorded_at: DateTime<Utc>,
}

impl TryFrom<RawEvent> for StoredEvent {
    type Error = StoreError;

    fn try_from(raw: RawEvent) -> Result<Self, StoreError> {
        let payload = parse(&raw, "payload", &raw.payload)?;
        let metadata = parse(&raw, "metadata", &raw.metadata)?;
        Ok(Self {
            shard: raw.shard,
            position: raw.position,
            event_id: raw.event_id,
            aggregate_type: raw.aggregate_type,
            aggregate_id: raw.aggregate_id,
            sequence: raw.sequence,
            event_type: raw.event_type,
            event_version: raw.event_version,
            payload,
            metadata,
            recorded_at: raw.recorded_at,
        })
    }
}

fn parse(raw: &RawEvent, what: &str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt {
        shard: raw.shard,
        position: raw.position,
        reason: format!("its {what} is not JSON: {error}"),
    })
}

/// What is stored of `metadata`: its flat map of strings, written without making the map.
pub(crate) fn metadata_text(metadata: &Metadata) -> Result<String, StoreError> {
    struct Flat<'a>(&'a Metadata);

    impl Serialize for Flat<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Metadata { correlation_id, causation_id, actor, request_id, recorded_at } = self.0;
            let mut map = serializer.serialize_map(Some(5))?;
            map.serialize_entry("actor", &Shown(actor))?;
            map.serialize_entry("causation_id", causation_id)?;
            map.serialize_entry("correlation_id", correlation_id)?;
            map.serialize_entry("recorded_at", &Shown(recorded_at.format("%Y-%m-%dT%H:%M:%S%.6fZ")))?;
            map.serialize_entry("request_id", request_id)?;
            map.end()
        }
    }

    struct Shown<T>(T);

    impl<T: Display> Serialize for Shown<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }

    let mut text = Vec::with_capacity(320);
    serde_json::to_writer(&mut text, &Flat(metadata)).map_err(|error| StoreError::serialise("metadata", error))?;
    String::from_utf8(text).map_err(|_| StoreError::InvalidRequest { reason: "its metadata is not text" })
}

const EVENT_IDS: Uuid = Uuid::from_u128(0x5d0f_9a3e_71b2_4c86_a94d_0e6b_8f13_27c5);

/// The id of the event at `index` of a request: the same request gives the same ids.
///
/// It is a `UUIDv5` of both whose first 48 bits are replaced by the request id's: those are its time
/// when it is a `UUIDv7`, so new ids land beside each other in the index instead of all over it.
#[must_use]
pub fn event_id(request_id: RequestId, index: u32) -> Uuid {
    let request = request_id.uuid();
    let mut name = [0; 20];
    name[..16].copy_from_slice(request.as_bytes());
    name[16..].copy_from_slice(&index.to_be_bytes());
    let mut bytes = *Uuid::new_v5(&EVENT_IDS, &name).as_bytes();
    bytes[..6].copy_from_slice(&request.as_bytes()[..6]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use domain::metadata::Actor;

    use super::*;

    fn request(text: &str) -> RequestId {
        text.parse().expect("a UUID")
    }

    #[test]
    fn stored_metadata_is_the_map_of_the_domain() {
        let id = request("0193a1b2-c3d4-7000-8000-000000000001");
        let actors =
            [Actor::System("a \"quoted\" \n name".to_owned()), Actor::Worker(String::new()), Actor::Token(id.uuid())];
        for (actor, micros) in actors.into_iter().zip([0, 1_790_000_000_000_000, 1_790_000_000_000_001]) {
            let recorded_at = DateTime::from_timestamp_micros(micros).expect("it is a time");
            let metadata = Metadata::root(id, actor, recorded_at);
            let text = metadata_text(&metadata).expect("it serialises");
            assert_eq!(text, serde_json::to_string(&metadata.to_map()).expect("it serialises"));
        }
    }

    #[test]
    fn event_ids_depend_on_request_and_index_only() {
        let one = request("0193a1b2-c3d4-7000-8000-000000000001");
        let two = request("0193a1b2-c3d4-7000-8000-000000000002");
        assert_eq!(event_id(one, 0), event_id(one, 0));
        assert_ne!(event_id(one, 0), event_id(one, 1));
        assert_ne!(event_id(one, 0), event_id(two, 0));
    }

    #[test]
    fn event_ids_sort_by_the_time_of_their_request() {
        let earlier = request("0193a1b2-c3d4-7fff-bfff-ffffffffffff");
        let later = request("0193a1b2-c3d5-7000-8000-000000000000");
        assert!(event_id(earlier, 9) < event_id(later, 0));
        assert_eq!(event_id(later, 0).get_version_num(), 8);
    }
}
