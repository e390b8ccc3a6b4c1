//! The audit trail: every event in words, for administrators.

use async_graphql::{ID, InputObject, Json, Object, Result};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use projections::audit_trail::{self, AuditEntry as Entry, LogKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::error::coded;
use super::global_id::Kind;
use super::scalars::Long;
use super::user::user_id;
use crate::code::Code;

/// Which entries are asked for; everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct AuditFilter {
    /// About this user: their login, account, bot or campaigns.
    user_id: Option<ID>,
    /// Asked for by this actor, such as `admin:<uuid>` or `worker:<name>`.
    actor: Option<String>,
    /// Led to by this request.
    correlation_id: Option<Uuid>,
    /// Any of these events, such as `AutomationEnabled`.
    events: Option<Vec<String>>,
    /// Recorded then or later.
    from: Option<DateTime<Utc>>,
    /// Recorded before.
    until: Option<DateTime<Utc>>,
}

impl AuditFilter {
    /// As the read model takes it.
    pub fn checked(self) -> Result<audit_trail::AuditFilter> {
        let actor = self.actor.map(|actor| actor.parse()).transpose();
        let actor = actor.map_err(|_| coded(Code::BadInput, "an actor is written as kind:name, such as worker:one"))?;
        Ok(audit_trail::AuditFilter {
            // An id that does not read names nobody.
            user_id: self.user_id.map(|id| user_id(&id).unwrap_or(UserId::from_uuid(Uuid::nil()))),
            actor,
            correlation_id: self.correlation_id,
            event_types: self.events.unwrap_or_default(),
            from: self.from,
            until: self.until,
        })
    }
}

/// Where an entry is in the log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AuditKey(i64, i32);

impl AuditKey {
    /// The key of an entry.
    pub const fn of(entry: &Entry) -> Self {
        Self(entry.position, entry.shard)
    }

    /// The key that the read model's lists go by.
    pub const fn log_key(self) -> LogKey {
        LogKey { position: self.0, shard: self.1 }
    }
}

/// One event in the audit trail.
pub struct AuditEntry(pub Entry);

/// One event in the audit trail.
#[Object]
impl AuditEntry {
    /// Global id.
    async fn id(&self) -> ID {
        Kind::AuditEntry.id(self.0.event_id)
    }

    /// Its number in the log, without gaps.
    async fn position(&self) -> Long {
        Long(self.0.position)
    }

    /// When it was recorded, by the engine's clock.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// Who asked for it.
    async fn actor(&self) -> String {
        self.0.actor.to_string()
    }

    /// Global id of the user whose login, account, bot or campaign it is about; null: it is about the engine.
    async fn user_id(&self) -> Option<ID> {
        self.0.user_id.map(|id| Kind::User.id(id.uuid()))
    }

    /// What happened, such as `AutomationPaused`.
    async fn event(&self) -> &str {
        &self.0.event_type
    }

    /// Which kind of stream it is in: `User`, `Bot`, `Campaign`, `Job` or `Engine`.
    async fn stream_type(&self) -> &str {
        &self.0.aggregate_type
    }

    /// Which stream it is in.
    async fn stream_id(&self) -> &str {
        &self.0.aggregate_id
    }

    /// Its number in the stream.
    async fn sequence(&self) -> Long {
        Long(self.0.sequence)
    }

    /// The same for everything that one request led to.
    async fn correlation_id(&self) -> Uuid {
        self.0.correlation_id
    }

    /// The event or request that it follows from.
    async fn causation_id(&self) -> Uuid {
        self.0.causation_id
    }

    /// What happened, in words and without secrets.
    async fn summary(&self) -> &str {
        &self.0.summary
    }

    /// The event as it is stored.
    async fn payload(&self) -> Json<&Value> {
        Json(&self.0.payload)
    }
}
