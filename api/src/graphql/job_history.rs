//! The events of a job, as they are stored.

use async_graphql::{ID, Json, Object};
use chrono::{DateTime, Utc};
use projections::audit_trail::summary;
use serde_json::Value;
use store::event::StoredEvent;

use super::global_id::Kind;
use super::scalars::Long;

/// Something that happened to a job.
pub struct JobEvent {
    pub event: StoredEvent,
    /// Whether the job is the caller's own.
    pub is_own: bool,
}

impl JobEvent {
    fn metadata(&self, field: &str) -> String {
        self.event.metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Something that happened to a job: a fact, never changed and never deleted.
#[Object]
impl JobEvent {
    /// Global id.
    async fn id(&self) -> ID {
        Kind::JobEvent.id(self.event.event_id)
    }

    /// What happened, such as `StepCompleted`. More names come with later versions.
    #[graphql(name = "type")]
    async fn event_type(&self) -> &str {
        &self.event.event_type
    }

    /// The version of its shape.
    async fn version(&self) -> &str {
        &self.event.event_version
    }

    /// Its number in the history, from 1, without gaps.
    async fn sequence(&self) -> Long {
        Long(self.event.sequence)
    }

    /// Its number in the whole log.
    async fn position(&self) -> Long {
        Long(self.event.position)
    }

    /// When, by the engine's clock.
    async fn at(&self) -> DateTime<Utc> {
        self.event.recorded_at
    }

    /// Who did it, such as `user:<uuid>` or `worker:<name>`.
    async fn actor(&self) -> String {
        self.metadata("actor")
    }

    /// The request that wrote it; events of one request have the same.
    async fn request_id(&self) -> String {
        self.metadata("request_id")
    }

    /// The same for everything that one request led to; the `x-request-id` of a person's.
    async fn correlation_id(&self) -> String {
        self.metadata("correlation_id")
    }

    /// The event or request that it follows from.
    async fn causation_id(&self) -> String {
        self.metadata("causation_id")
    }

    /// Where in the journal it is recorded; null for what happened to the job as a whole.
    async fn index(&self) -> Option<u32> {
        self.event.payload.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok())
    }

    /// The same in a sentence. Null for administrators who look at the job of somebody else.
    async fn summary(&self) -> Option<String> {
        if !self.is_own {
            return None;
        }
        self.event.decode().ok().map(|event| summary(&event))
    }

    /// What is known of it, as it is stored. Null for administrators who look at the job of somebody else.
    async fn data(&self) -> Option<Json<&Value>> {
        self.is_own.then_some(Json(&self.event.payload))
    }
}
