//! Any event of the log, as readers of the whole log match on it. The only decoder of stored events.

use std::str::FromStr;

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::bot::{Bot, BotEvent};
use crate::campaign::{Campaign, CampaignEvent};
use crate::decide::Decide;
use crate::engine::{self, Engine, EngineEvent};
use crate::ids::{BotId, CampaignId, JobId, UserId};
use crate::job::{Job, JobEvent};
use crate::user::{User, UserEvent};
use crate::variants::codes;

/// Any event of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEvent {
    Bot(BotId, BotEvent),
    Campaign(CampaignId, CampaignEvent),
    User(UserId, UserEvent),
    Job(JobId, JobEvent),
    Engine(EngineEvent),
}

/// A stored event that does not decode.
#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("{aggregate_type} is no aggregate that this version knows")]
    UnknownAggregate { aggregate_type: String },
    #[error("{aggregate_type} has an id that is none of its own: {aggregate_id:?}")]
    InvalidId { aggregate_type: String, aggregate_id: String },
    #[error("{event_type} version {event_version} of {aggregate_type} does not decode")]
    InvalidPayload {
        aggregate_type: String,
        event_type: String,
        event_version: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{event_type} of {aggregate_type} is stored in version {stored}; this program knows version {known}")]
    UnknownVersion { aggregate_type: String, event_type: String, stored: String, known: String },
    #[error("an event stored as {event_type} of {aggregate_type} holds a {payload_type}")]
    NameMismatch { aggregate_type: String, event_type: String, payload_type: String },
}

codes!(DecodeError {
    UnknownAggregate = "EVENT_UNKNOWN_AGGREGATE",
    InvalidId = "EVENT_INVALID_ID",
    InvalidPayload = "EVENT_INVALID_PAYLOAD",
    UnknownVersion = "EVENT_UNKNOWN_VERSION",
    NameMismatch = "EVENT_NAME_MISMATCH",
});

impl AnyEvent {
    /// Decodes a stored event through the upcasters of its aggregate.
    pub fn decode(
        aggregate_type: &str,
        aggregate_id: &str,
        event_type: &str,
        event_version: &str,
        payload: Value,
    ) -> Result<Self, DecodeError> {
        let stored = Stored { aggregate_type, aggregate_id, event_type, event_version };
        match aggregate_type {
            Bot::TYPE => Ok(Self::Bot(stored.id()?, stored.payload::<Bot>(payload)?)),
            Campaign::TYPE => Ok(Self::Campaign(stored.id()?, stored.payload::<Campaign>(payload)?)),
            User::TYPE => Ok(Self::User(stored.id()?, stored.payload::<User>(payload)?)),
            Job::TYPE => Ok(Self::Job(stored.id()?, stored.payload::<Job>(payload)?)),
            Engine::TYPE if aggregate_id == engine::STREAM_ID => Ok(Self::Engine(stored.payload::<Engine>(payload)?)),
            Engine::TYPE => Err(stored.invalid_id()),
            _ => Err(DecodeError::UnknownAggregate { aggregate_type: aggregate_type.to_owned() }),
        }
    }

    /// The stored name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bot(_, event) => event.name(),
            Self::Campaign(_, event) => event.name(),
            Self::User(_, event) => event.name(),
            Self::Job(_, event) => event.name(),
            Self::Engine(event) => event.name(),
        }
    }
}

/// Decodes one aggregate's stored event through its upcasters.
pub fn decode_event<A: Decide>(
    aggregate_id: &str,
    event_type: &str,
    event_version: &str,
    payload: Value,
) -> Result<A::Event, DecodeError> {
    Stored { aggregate_type: A::TYPE, aggregate_id, event_type, event_version }.payload::<A>(payload)
}

/// Passes a stored payload through `upcasters`, oldest first.
#[must_use]
pub fn upcast(event: SerializedEvent, upcasters: &[Box<dyn EventUpcaster>]) -> SerializedEvent {
    upcasters.iter().fold(event, |event, upcaster| {
        if upcaster.can_upcast(&event.event_type, &event.event_version) { upcaster.upcast(event) } else { event }
    })
}

/// Whether two versions are the same: `2` and `2.0.0` are.
fn same_version(one: &str, other: &str) -> bool {
    let parts = |version: &str| {
        let mut parts: Vec<_> = version.split('.').map(str::to_owned).collect();
        parts.resize(3, "0".to_owned());
        parts
    };
    one == other || parts(one) == parts(other)
}

#[derive(Clone, Copy)]
struct Stored<'a> {
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    event_type: &'a str,
    event_version: &'a str,
}

impl Stored<'_> {
    fn id<Id: FromStr>(self) -> Result<Id, DecodeError> {
        self.aggregate_id.parse().map_err(|_| self.invalid_id())
    }

    fn invalid_id(self) -> DecodeError {
        DecodeError::InvalidId {
            aggregate_type: self.aggregate_type.to_owned(),
            aggregate_id: self.aggregate_id.to_owned(),
        }
    }

    fn payload<A: Decide>(self, payload: Value) -> Result<A::Event, DecodeError>
    where
        A::Event: DeserializeOwned,
    {
        let upcasters = A::upcasters();
        if upcasters.is_empty() {
            return self.read::<A>(payload);
        }
        let event = SerializedEvent::new(
            self.aggregate_id.to_owned(),
            0,
            self.aggregate_type.to_owned(),
            self.event_type.to_owned(),
            self.event_version.to_owned(),
            payload,
            Value::Null,
        );
        let event = upcast(event, &upcasters);
        Stored { event_type: &event.event_type, event_version: &event.event_version, ..self }.read::<A>(event.payload)
    }

    /// Reads a payload of the newest shape; a row that says otherwise is never taken for one.
    fn read<A: Decide>(self, payload: Value) -> Result<A::Event, DecodeError>
    where
        A::Event: DeserializeOwned,
    {
        let event: A::Event = serde_json::from_value(payload).map_err(|source| DecodeError::InvalidPayload {
            aggregate_type: self.aggregate_type.to_owned(),
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
            source,
        })?;
        let known = event.event_version();
        if !same_version(&known, self.event_version) {
            return Err(DecodeError::UnknownVersion {
                aggregate_type: self.aggregate_type.to_owned(),
                event_type: self.event_type.to_owned(),
                stored: self.event_version.to_owned(),
                known,
            });
        }
        let payload_type = event.event_type();
        if payload_type != self.event_type {
            return Err(DecodeError::NameMismatch {
                aggregate_type: self.aggregate_type.to_owned(),
                event_type: self.event_type.to_owned(),
                payload_type,
            });
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests;
