//! Any event of the log, as readers of the whole log match on it. The only decoder of stored events.

use std::str::FromStr;

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::bot::{Bot, BotEvent};
use crate::campaign::{Campaign, CampaignEvent};
use crate::decide::Decide;
use crate::ids::{BotId, CampaignId, UserId};
use crate::user::{User, UserEvent};

/// Any event of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEvent {
    Bot(BotId, BotEvent),
    Campaign(CampaignId, CampaignEvent),
    User(UserId, UserEvent),
}

/// A stored event that does not decode.
#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("{aggregate_type} is no aggregate that this version knows")]
    UnknownAggregate { aggregate_type: String },
    #[error("{aggregate_type} has an id that is no UUID: {aggregate_id:?}")]
    InvalidId { aggregate_type: String, aggregate_id: String },
    #[error("{event_type} version {event_version} of {aggregate_type} does not decode")]
    InvalidPayload {
        aggregate_type: String,
        event_type: String,
        event_version: String,
        #[source]
        source: serde_json::Error,
    },
}

impl DecodeError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownAggregate { .. } => "EVENT_UNKNOWN_AGGREGATE",
            Self::InvalidId { .. } => "EVENT_INVALID_ID",
            Self::InvalidPayload { .. } => "EVENT_INVALID_PAYLOAD",
        }
    }
}

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

#[derive(Clone, Copy)]
struct Stored<'a> {
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    event_type: &'a str,
    event_version: &'a str,
}

impl Stored<'_> {
    fn id<Id: FromStr>(self) -> Result<Id, DecodeError> {
        self.aggregate_id.parse().map_err(|_| DecodeError::InvalidId {
            aggregate_type: self.aggregate_type.to_owned(),
            aggregate_id: self.aggregate_id.to_owned(),
        })
    }

    fn payload<A: Decide>(self, payload: Value) -> Result<A::Event, DecodeError>
    where
        A::Event: DeserializeOwned,
    {
        let upcasters = A::upcasters();
        let payload = if upcasters.is_empty() {
            payload
        } else {
            let event = SerializedEvent::new(
                self.aggregate_id.to_owned(),
                0,
                self.aggregate_type.to_owned(),
                self.event_type.to_owned(),
                self.event_version.to_owned(),
                payload,
                Value::Null,
            );
            upcast(event, &upcasters).payload
        };
        serde_json::from_value(payload).map_err(|source| DecodeError::InvalidPayload {
            aggregate_type: self.aggregate_type.to_owned(),
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
            source,
        })
    }
}
