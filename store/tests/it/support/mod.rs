//! What the store's tests share: an aggregate, ids, requests, and a process of writers in small.

pub mod node;
pub mod proxy;
pub mod tally;

use std::time::{Duration, Instant};

use chrono::DateTime;
use domain::ids::RequestId;
use domain::metadata::{Actor, Metadata};
use serde_json::json;
use store::event::NewEvent;
use store::repository::AppendRequest;
use uuid::{Builder, Uuid};

/// How long anything may take before a test gives up on it.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn uuid() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    Builder::from_random_bytes(bytes).into_uuid()
}

/// A number in `0..below`.
pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_le_bytes(bytes) % below
}

pub fn metadata() -> Metadata {
    metadata_of(RequestId::from_uuid(uuid()))
}

pub fn metadata_of(request_id: RequestId) -> Metadata {
    let recorded_at = DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("it is a time");
    Metadata::root(request_id, Actor::System("tests".to_owned()), recorded_at)
}

/// An event that says `what`.
pub fn event(what: &str) -> NewEvent {
    NewEvent::try_new("Noted".to_owned(), "1".to_owned(), &json!({ "what": what })).expect("it serialises")
}

/// A request with an id of its own.
pub fn request(aggregate_id: &str, expected_sequence: i64, events: &[&str]) -> AppendRequest {
    let metadata = metadata();
    AppendRequest {
        request_id: metadata.request_id,
        aggregate_type: "Note".to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        expected_sequence,
        events: events.iter().map(|what| event(what)).collect(),
        metadata,
        held_epoch: None,
    }
}

/// The request that `original` is, asked again.
pub fn again(original: &AppendRequest) -> AppendRequest {
    original.clone()
}

/// Asks until the answer is yes.
pub async fn until<Answer: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> Answer) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Fails the test when `work` takes too long.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(DEADLINE, work).await;
    result.unwrap_or_else(|_elapsed| panic!("{what} took too long"))
}

/// Lets other tasks and processes run for a random moment, as real ones do.
pub async fn dawdle(at_most: Duration) {
    let micros = u64::try_from(at_most.as_micros()).expect("a short time");
    tokio::time::sleep(Duration::from_micros(random(micros.max(1)))).await;
}
