//! Who asked for an event, why, and when: carried by every event.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use crate::ids::{RequestId, UserId};
use crate::variants::codes;

/// Who acted. Text form: `user:<id>`, `admin:<id>`, `token:<id>`, `worker:<name>`, `system:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    User(UserId),
    Admin(UserId),
    Token(Uuid),
    Worker(String),
    System(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Admin(id) => write!(f, "admin:{id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

impl FromStr for Actor {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || MetadataError::Invalid { field: "actor", value: text.to_owned() };
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        match kind {
            "user" => rest.parse().map(Self::User).map_err(|_| bad()),
            "admin" => rest.parse().map(Self::Admin).map_err(|_| bad()),
            "token" => rest.parse().map(Self::Token).map_err(|_| bad()),
            "worker" => Ok(Self::Worker(rest.to_owned())),
            "system" => Ok(Self::System(rest.to_owned())),
            _ => Err(bad()),
        }
    }
}

/// What is known of an event beside its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The same for everything that one request led to.
    pub correlation_id: Uuid,
    /// The event or request that this one follows from.
    pub causation_id: Uuid,
    pub actor: Actor,
    /// The request whose first answer is kept.
    pub request_id: RequestId,
    /// Engine time.
    pub recorded_at: DateTime<Utc>,
}

/// Stored metadata that does not read.
#[derive(Debug, Error)]
pub enum MetadataError {
    #[error("metadata has no {field}")]
    Missing { field: &'static str },
    #[error("metadata field {field} does not read: {value:?}")]
    Invalid { field: &'static str, value: String },
}

codes!(MetadataError {
    Missing = "METADATA_MISSING",
    Invalid = "METADATA_INVALID",
});

impl Metadata {
    /// A request that follows from nothing but itself.
    #[must_use]
    pub fn root(request_id: RequestId, actor: Actor, recorded_at: DateTime<Utc>) -> Self {
        let id = request_id.uuid();
        Self { correlation_id: id, causation_id: id, actor, request_id, recorded_at }
    }

    /// The flat map of strings that is stored, so that cqrs-es reads it too.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("correlation_id".to_owned(), self.correlation_id.to_string()),
            ("causation_id".to_owned(), self.causation_id.to_string()),
            ("actor".to_owned(), self.actor.to_string()),
            ("request_id".to_owned(), self.request_id.to_string()),
            ("recorded_at".to_owned(), self.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        ])
    }

    /// Reads what [`Metadata::to_map`] wrote.
    pub fn from_map(map: &Map<String, Value>) -> Result<Self, MetadataError> {
        Ok(Self {
            correlation_id: parse(map, "correlation_id")?,
            causation_id: parse(map, "causation_id")?,
            actor: parse(map, "actor")?,
            request_id: parse(map, "request_id")?,
            recorded_at: parse(map, "recorded_at")?,
        })
    }
}

fn parse<T: FromStr>(map: &Map<String, Value>, field: &'static str) -> Result<T, MetadataError> {
    let text = map.get(field).and_then(Value::as_str).ok_or(MetadataError::Missing { field })?;
    text.parse().map_err(|_| MetadataError::Invalid { field, value: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map_of(metadata: &Metadata) -> Map<String, Value> {
        metadata.to_map().into_iter().map(|(key, value)| (key, Value::String(value))).collect()
    }

    fn metadata(actor: Actor) -> Metadata {
        Metadata {
            correlation_id: Uuid::from_u128(1),
            causation_id: Uuid::from_u128(2),
            actor,
            request_id: RequestId::from_uuid(Uuid::from_u128(3)),
            recorded_at: "2026-03-02T10:00:00.123456Z".parse().unwrap(),
        }
    }

    fn actors() -> impl Strategy<Value = Actor> {
        let ids = any::<u128>().prop_map(Uuid::from_u128);
        prop_oneof![
            ids.clone().prop_map(|id| Actor::User(UserId::from_uuid(id))),
            ids.clone().prop_map(|id| Actor::Admin(UserId::from_uuid(id))),
            ids.prop_map(Actor::Token),
            "\\PC{0,20}".prop_map(Actor::Worker),
            "\\PC{0,20}".prop_map(Actor::System),
        ]
    }

    proptest! {
        #[test]
        fn what_is_stored_reads_back(actor in actors()) {
            let metadata = metadata(actor);
            prop_assert_eq!(Metadata::from_map(&map_of(&metadata)).unwrap(), metadata);
        }
    }

    #[test]
    fn it_is_stored_as_a_flat_map_of_strings() {
        let map = metadata(Actor::Worker("node-1".to_owned())).to_map();
        let text = serde_json::to_string(&map).unwrap();
        let expected = concat!(
            r#"{"actor":"worker:node-1","causation_id":"00000000-0000-0000-0000-000000000002","#,
            r#""correlation_id":"00000000-0000-0000-0000-000000000001","recorded_at":"2026-03-02T10:00:00.123456Z","#,
            r#""request_id":"00000000-0000-0000-0000-000000000003"}"#,
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_root_follows_from_itself() {
        let request_id = RequestId::from_uuid(Uuid::from_u128(3));
        let root = Metadata::root(request_id, Actor::System("setup".to_owned()), DateTime::UNIX_EPOCH);
        assert_eq!((root.correlation_id, root.causation_id), (request_id.uuid(), request_id.uuid()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let whole = map_of(&metadata(Actor::Token(Uuid::from_u128(4))));
        for field in whole.keys() {
            let mut map = whole.clone();
            map.remove(field);
            let error = Metadata::from_map(&map).unwrap_err();
            assert_eq!((error.code(), error.to_string()), ("METADATA_MISSING", format!("metadata has no {field}")));
            map.insert(field.clone(), Value::String("nobody:7".to_owned()));
            let error = Metadata::from_map(&map).unwrap_err();
            assert_eq!(error.code(), "METADATA_INVALID");
            assert!(error.to_string().contains(field.as_str()));
        }
    }

    #[test]
    fn an_actor_without_a_kind_or_an_id_is_none() {
        for text in ["", "user", "user:", "user:7", "admin:x", "token:", "robot:1", "USER:7"] {
            assert!(text.parse::<Actor>().is_err(), "{text:?}");
        }
    }
}
