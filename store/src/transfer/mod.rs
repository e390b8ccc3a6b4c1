//! The log as JSON lines: one event a line with all of its columns, payload and metadata as the text that was hashed.
//!
//! What is taken in keeps its streams, sequences, event ids and metadata; positions are given anew, and hashes with them.
//! It goes in through the append like everything else: a line that no append of ours could have written is refused.

mod error;
mod import;
mod plan;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::StoreError;
use crate::event::RawEvent;

pub use error::TransferError;
pub use import::{Imported, import};

/// A stored event with all of its columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferredEvent {
    pub shard: i32,
    pub position: i64,
    pub event_id: Uuid,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub recorded_at: DateTime<Utc>,
    pub metadata: Box<RawValue>,
    pub payload: Box<RawValue>,
}

impl TryFrom<RawEvent> for TransferredEvent {
    type Error = StoreError;

    fn try_from(raw: RawEvent) -> Result<Self, StoreError> {
        let (shard, position) = (raw.shard, raw.position);
        let text = |text: String| {
            // A line break would end the line, and leaving it out would change what was hashed.
            let lines = if text.contains(['\n', '\r']) { Err("it is stored with line breaks") } else { Ok(text) };
            lines
                .and_then(|text| RawValue::from_string(text).map_err(|_| "what is stored of it is not JSON"))
                .map_err(|reason| StoreError::Corrupt { shard, position, reason: reason.to_owned() })
        };
        Ok(Self {
            shard,
            position,
            event_id: raw.event_id,
            aggregate_type: raw.aggregate_type,
            aggregate_id: raw.aggregate_id,
            sequence: raw.sequence,
            event_type: raw.event_type,
            event_version: raw.event_version,
            recorded_at: raw.recorded_at,
            metadata: text(raw.metadata)?,
            payload: text(raw.payload)?,
        })
    }
}

impl TransferredEvent {
    /// The line, without its end.
    pub fn to_line(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::serialise("an event", error))
    }

    /// `Bot-0193…`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}-{}", self.aggregate_type, self.aggregate_id)
    }
}
