//! What the decoder reads, and that it takes no row for something else.

use serde_json::{Value, json};

use crate::any_event::{AnyEvent, DecodeError};
use crate::bot::BotEvent;

const ID: &str = "0195a1b2-c3d4-7e5f-8a6b-000000000001";

fn payload() -> Value {
    json!({ "type": "LoggedOut", "at": "2026-03-02T10:00:00Z" })
}

fn decode(aggregate: &str, id: &str, event: &str, version: &str, payload: Value) -> Result<AnyEvent, DecodeError> {
    AnyEvent::decode(aggregate, id, event, version, payload)
}

fn code(result: Result<AnyEvent, DecodeError>) -> &'static str {
    result.expect_err("it must not decode").code()
}

#[test]
fn a_stored_event_comes_with_the_id_of_its_stream() {
    let event = decode("Bot", ID, "LoggedOut", "1", payload()).unwrap();
    let at = "2026-03-02T10:00:00Z".parse().unwrap();
    assert_eq!(event, AnyEvent::Bot(ID.parse().unwrap(), BotEvent::LoggedOut { at }));
    assert_eq!(event.name(), "LoggedOut");
}

#[test]
fn a_version_reads_in_its_short_and_its_long_form() {
    for version in ["1", "1.0", "1.0.0"] {
        assert!(decode("Bot", ID, "LoggedOut", version, payload()).is_ok());
    }
}

#[test]
fn a_row_of_a_newer_program_is_not_taken_for_an_older_one() {
    for version in ["2", "1.0.1", "2.0.0", "", "one"] {
        assert_eq!(code(decode("Bot", ID, "LoggedOut", version, payload())), "EVENT_UNKNOWN_VERSION");
    }
}

#[test]
fn a_row_whose_name_and_payload_differ_is_refused() {
    assert_eq!(code(decode("Bot", ID, "BotRecovered", "1", payload())), "EVENT_NAME_MISMATCH");
}

#[test]
fn what_is_no_event_of_ours_is_refused() {
    assert_eq!(code(decode("Robot", ID, "LoggedOut", "1", payload())), "EVENT_UNKNOWN_AGGREGATE");
    assert_eq!(code(decode("Bot", "17", "LoggedOut", "1", payload())), "EVENT_INVALID_ID");
    assert_eq!(code(decode("Engine", ID, "ClockSpeedChanged", "1", payload())), "EVENT_INVALID_ID");
    for broken in [json!({}), json!(null), json!({ "type": "LoggedOut" }), json!({ "type": "Sang", "at": "now" })] {
        assert_eq!(code(decode("Bot", ID, "LoggedOut", "1", broken)), "EVENT_INVALID_PAYLOAD");
    }
    assert_eq!(code(decode("User", ID, "LoggedOut", "1", payload())), "EVENT_INVALID_PAYLOAD");
}
