//! Events of a bot, as they are stored.

use async_graphql::{ID, Json, Object};
use chrono::{DateTime, Utc};
use projections::audit_trail::LogKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::event::StoredEvent;

use super::global_id::Kind;
use super::scalars::Long;

/// Where an event is: in its stream and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventKey {
    pub sequence: i64,
    position: i64,
    shard: i32,
}

impl EventKey {
    /// The key of an event.
    pub const fn of(event: &StoredEvent) -> Self {
        Self { sequence: event.sequence, position: event.position, shard: event.shard }
    }

    /// The key that the log's lists go by.
    pub const fn log_key(self) -> LogKey {
        LogKey { position: self.position, shard: self.shard }
    }
}

/// Something that happened to a bot.
pub struct BotEvent(pub StoredEvent);

impl BotEvent {
    fn metadata(&self, field: &str) -> String {
        self.0.metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Something that happened to a bot: a fact, never changed and never deleted.
#[Object]
impl BotEvent {
    /// Global id.
    async fn id(&self) -> ID {
        Kind::BotEvent.id(self.0.event_id)
    }

    /// What happened, such as `AutomationPaused`. More names come with later versions.
    async fn name(&self) -> &str {
        &self.0.event_type
    }

    /// The version of its shape.
    async fn version(&self) -> &str {
        &self.0.event_version
    }

    /// Its number among the bot's events, from 1, without gaps.
    async fn sequence(&self) -> Long {
        Long(self.0.sequence)
    }

    /// Its number in the whole log.
    async fn position(&self) -> Long {
        Long(self.0.position)
    }

    /// When it was recorded, by the engine's clock.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// Who asked for it, such as `user:<uuid>` or `worker:<name>`.
    async fn actor(&self) -> String {
        self.metadata("actor")
    }

    /// The same for everything that one request led to; the `x-request-id` of a person's.
    async fn correlation_id(&self) -> String {
        self.metadata("correlation_id")
    }

    /// The event or request that it follows from.
    async fn causation_id(&self) -> String {
        self.metadata("causation_id")
    }

    /// What is known of it, as it is stored; never a secret.
    async fn payload(&self) -> Json<&Value> {
        Json(&self.0.payload)
    }
}
