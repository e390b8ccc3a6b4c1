//! Upcasting, through the same path as our aggregates': an aggregate whose event is at its third version.

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{EventUpcaster, SemanticVersionEventUpcaster};
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::any_event::{DecodeError, decode_event};
use crate::decide::Decide;

/// v2 added `mode`, v3 names the moment `at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum LampEvent {
    Lit { mode: String, at: DateTime<Utc> },
    Broken { at: DateTime<Utc> },
}

impl DomainEvent for LampEvent {
    fn event_type(&self) -> String {
        match self {
            Self::Lit { .. } => "Lit".to_owned(),
            Self::Broken { .. } => "Broken".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        match self {
            Self::Lit { .. } => "3".to_owned(),
            Self::Broken { .. } => "1".to_owned(),
        }
    }
}

#[derive(Debug, Error)]
#[error("never refused")]
struct LampError;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lamp;

impl Aggregate for Lamp {
    const TYPE: &'static str = "Lamp";
    type Command = ();
    type Event = LampEvent;
    type Error = LampError;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), LampError> {
        Ok(())
    }

    fn apply(&mut self, _: LampEvent) {}
}

impl Decide for Lamp {
    const SHAPE: u32 = 1;

    fn decide(&self, (): ()) -> Result<Vec<LampEvent>, LampError> {
        Ok(Vec::new())
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        vec![
            Box::new(SemanticVersionEventUpcaster::new("Lit", "2", Box::new(lit_v2))),
            Box::new(SemanticVersionEventUpcaster::new("Lit", "3", Box::new(lit_v3))),
        ]
    }
}

fn lit_v2(mut payload: Value) -> Value {
    payload["mode"] = json!("BRIGHT");
    payload
}

/// Relies on what the second version has.
fn lit_v3(mut payload: Value) -> Value {
    let mode = payload["mode"].as_str().map(str::to_lowercase);
    payload["mode"] = json!(mode);
    payload["at"] = payload["when"].take();
    payload
}

const WHEN: &str = "2026-03-02T10:00:00Z";

fn read(event: &str, version: &str, payload: Value) -> Result<LampEvent, DecodeError> {
    decode_event::<Lamp>("1", event, version, payload)
}

fn lit(mode: &str) -> LampEvent {
    LampEvent::Lit { mode: mode.to_owned(), at: WHEN.parse().unwrap() }
}

#[test]
fn a_row_of_the_first_version_passes_every_upcaster_in_order() {
    assert_eq!(read("Lit", "1", json!({ "type": "Lit", "when": WHEN })).unwrap(), lit("bright"));
}

#[test]
fn a_row_of_the_second_version_passes_the_later_one_only() {
    for version in ["2", "2.0.0"] {
        let payload = json!({ "type": "Lit", "mode": "DIM", "when": WHEN });
        assert_eq!(read("Lit", version, payload).unwrap(), lit("dim"));
    }
}

#[test]
fn a_row_of_the_newest_version_and_other_events_pass_none() {
    let payload = json!({ "type": "Lit", "mode": "DIM", "at": WHEN });
    assert_eq!(read("Lit", "3", payload).unwrap(), lit("DIM"));
    let payload = json!({ "type": "Broken", "at": WHEN });
    assert_eq!(read("Broken", "1", payload).unwrap(), LampEvent::Broken { at: WHEN.parse().unwrap() });
}

#[test]
fn a_row_that_no_upcaster_leads_to_the_newest_version_is_refused() {
    let payload = json!({ "type": "Lit", "mode": "DIM", "at": WHEN });
    assert_eq!(read("Lit", "4", payload).unwrap_err().code(), "EVENT_UNKNOWN_VERSION");
}
