//! One suite for every repository: what an append promises, whatever keeps the events.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use store::error::StoreError;
use store::event::{NewEvent, StoredEvent, event_id};
use store::repository::{AppendRequest, Appended, DEFAULT_SHARD, EventRepository};

use crate::support::{again, event, in_time, request};

type Repository = Arc<dyn EventRepository>;

macro_rules! conforms {
    ($($name:ident,)*) => {
        mod memory {
            use super::*;

            $(#[tokio::test]
            async fn $name() {
                super::$name(Arc::new(store::repository::MemoryRepository::default())).await;
            })*
        }

        mod postgres {
            use super::*;
            use crate::support::node::Node;
            use store::testing::TestDatabase;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let database = TestDatabase::create().await;
                let node = Node::start(database.pool()).await;
                in_time("the test", super::$name(node.shared())).await;
            })*
        }
    };
}

conforms!(
    append_gives_sequences_and_positions_without_gaps,
    events_are_read_as_they_were_appended,
    reads_start_after_the_given_place_and_stop_at_the_limit,
    last_event_of_a_stream_is_its_last,
    texts_of_any_kind_survive,
    unexpected_sequence_conflicts_and_stores_nothing,
    repeated_request_gets_its_first_answer,
    repeated_request_gets_its_first_answer_although_its_stream_moved_on,
    repeated_request_with_other_events_gets_its_first_answer,
    request_id_of_another_stream_is_refused,
    first_result_of_a_request_can_be_asked_for,
    one_of_many_concurrent_appends_to_a_stream_wins,
    concurrent_appends_to_many_streams_are_all_stored,
    concurrent_repeats_of_one_request_are_stored_once,
    requests_that_continue_each_other_can_be_asked_at_once,
    requests_that_cannot_be_stored_are_refused,
);

fn conflicted(result: &Result<Appended, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

async fn append(repository: &Repository, request: AppendRequest) -> Appended {
    repository.append(request).await.expect("it is appended")
}

async fn whole_log(repository: &Repository) -> Vec<StoredEvent> {
    repository.read(DEFAULT_SHARD, 0, 10_000).await.expect("the log is readable")
}

async fn append_gives_sequences_and_positions_without_gaps(repository: Repository) {
    let one = append(&repository, request("a", 0, &["1", "2"])).await;
    let two = append(&repository, request("b", 0, &["3"])).await;
    let three = append(&repository, request("a", 2, &["4", "5", "6"])).await;
    let places = |appended: Appended| {
        (appended.first_sequence, appended.last_sequence, appended.first_position, appended.last_position)
    };
    assert_eq!(places(one), (1, 2, 1, 2));
    assert_eq!(places(two), (1, 1, 3, 3));
    assert_eq!(places(three), (3, 5, 4, 6));
    assert!(!one.repeated && !two.repeated && !three.repeated);
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 6);
    let positions: Vec<i64> = whole_log(&repository).await.iter().map(|event| event.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6]);
}

async fn events_are_read_as_they_were_appended(repository: Repository) {
    let asked = request("a", 0, &["first", "second"]);
    append(&repository, again(&asked)).await;
    let stored = repository.stream("Note", "a", 0, 10).await.expect("it is readable");
    assert_eq!(stored, whole_log(&repository).await);
    for (index, (event, what)) in (0..).zip(stored.iter().zip(["first", "second"])) {
        assert_eq!(event.shard, DEFAULT_SHARD);
        assert_eq!(event.event_id, event_id(asked.request_id, index));
        assert_eq!((event.aggregate_type.as_str(), event.aggregate_id.as_str()), ("Note", "a"));
        assert_eq!(event.sequence, i64::from(index) + 1);
        assert_eq!((event.event_type.as_str(), event.event_version.as_str()), ("Noted", "1"));
        assert_eq!(event.payload, json!({ "what": what }));
        assert_eq!(event.metadata, json!(asked.metadata.to_map()));
        assert_eq!(event.recorded_at, asked.metadata.recorded_at);
    }
}

async fn reads_start_after_the_given_place_and_stop_at_the_limit(repository: Repository) {
    append(&repository, request("a", 0, &["1", "2", "3", "4"])).await;
    append(&repository, request("b", 0, &["5"])).await;
    let middle = repository.stream("Note", "a", 1, 2).await.expect("it is readable");
    assert_eq!(middle.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    let log = repository.read(DEFAULT_SHARD, 3, 10).await.expect("it is readable");
    assert_eq!(log.iter().map(|event| event.position).collect::<Vec<_>>(), [4, 5]);
    assert!(repository.stream("Note", "a", 4, 10).await.expect("it is readable").is_empty());
    assert!(repository.stream("Other", "a", 0, 10).await.expect("it is readable").is_empty());
    assert!(repository.read(DEFAULT_SHARD, 5, 10).await.expect("it is readable").is_empty());
    assert!(repository.read(DEFAULT_SHARD + 1, 0, 10).await.expect("it is readable").is_empty());
}

async fn last_event_of_a_stream_is_its_last(repository: Repository) {
    append(&repository, request("a", 0, &["1", "2", "3"])).await;
    append(&repository, request("b", 0, &["4"])).await;
    let last = repository.raw_last("Note", "a").await.expect("it is readable").expect("it is there");
    assert_eq!((last.aggregate_id.as_str(), last.sequence), ("a", 3));
    assert!(repository.raw_last("Note", "c").await.expect("it is readable").is_none());
}

async fn texts_of_any_kind_survive(repository: Repository) {
    let texts = ["", "'; DROP TABLE events; --", "{},\"\\", "日本語 🦀 \u{202e}", "a\u{0}b", "\n\r\t", "NULL", "{1,2}"];
    append(&repository, request("naïve,{}\"'\\", 0, &texts)).await;
    let stored = repository.stream("Note", "naïve,{}\"'\\", 0, 100).await.expect("it is readable");
    let found: Vec<&str> = stored.iter().filter_map(|event| event.payload["what"].as_str()).collect();
    assert_eq!(found, texts);
}

async fn unexpected_sequence_conflicts_and_stores_nothing(repository: Repository) {
    append(&repository, request("a", 0, &["1", "2"])).await;
    for expected in [0, 1, 3, 100] {
        assert!(conflicted(&repository.append(request("a", expected, &["x"])).await), "at {expected}");
    }
    assert!(conflicted(&repository.append(request("new", 1, &["x"])).await));
    assert_eq!(whole_log(&repository).await.len(), 2);
    append(&repository, request("a", 2, &["3"])).await;
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 3);
}

async fn repeated_request_gets_its_first_answer(repository: Repository) {
    let asked = request("a", 0, &["1", "2"]);
    let first = append(&repository, again(&asked)).await;
    let second = append(&repository, again(&asked)).await;
    assert_eq!(second, Appended { repeated: true, ..first });
    assert_eq!(whole_log(&repository).await.len(), 2);
}

async fn repeated_request_gets_its_first_answer_although_its_stream_moved_on(repository: Repository) {
    let asked = request("a", 0, &["1"]);
    let first = append(&repository, again(&asked)).await;
    append(&repository, request("a", 1, &["2"])).await;
    let decided_again = AppendRequest { expected_sequence: 2, ..again(&asked) };
    for repeat in [again(&asked), decided_again] {
        assert_eq!(append(&repository, repeat).await, Appended { repeated: true, ..first });
    }
    assert_eq!(whole_log(&repository).await.len(), 2);
}

async fn repeated_request_with_other_events_gets_its_first_answer(repository: Repository) {
    let asked = request("a", 0, &["1", "2"]);
    let first = append(&repository, again(&asked)).await;
    let other = AppendRequest { expected_sequence: 2, events: vec![event("other")], ..again(&asked) };
    assert_eq!(append(&repository, other).await, Appended { repeated: true, ..first });
    assert_eq!(whole_log(&repository).await.len(), 2);
}

async fn request_id_of_another_stream_is_refused(repository: Repository) {
    let asked = request("a", 0, &["1"]);
    append(&repository, again(&asked)).await;
    let elsewhere = AppendRequest { aggregate_id: "b".to_owned(), ..again(&asked) };
    let refused = repository.append(elsewhere).await.expect_err("it was used");
    assert!(matches!(&refused, StoreError::RequestReused { aggregate_id, .. } if aggregate_id == "a"), "{refused}");
    assert_eq!(whole_log(&repository).await.len(), 1);
}

async fn first_result_of_a_request_can_be_asked_for(repository: Repository) {
    let asked = request("a", 0, &["1", "2", "3"]);
    let unknown = repository.request(asked.request_id).await.expect("it can be asked");
    assert_eq!(unknown, None);
    let first = append(&repository, again(&asked)).await;
    append(&repository, request("a", 3, &["4"])).await;
    let recorded = repository.request(asked.request_id).await.expect("it can be asked").expect("it is there");
    assert_eq!((&*recorded.aggregate_type, &*recorded.aggregate_id), ("Note", "a"));
    assert_eq!(Appended { repeated: false, ..recorded.appended }, first);
}

async fn one_of_many_concurrent_appends_to_a_stream_wins(repository: Repository) {
    for round in 0..5 {
        let results = join_all((0..20).map(|n| repository.append(request("a", round, &[&n.to_string()])))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(results.iter().filter(|result| conflicted(result)).count(), 19);
    }
    assert_eq!(whole_log(&repository).await.len(), 5);
}

async fn concurrent_appends_to_many_streams_are_all_stored(repository: Repository) {
    let writer = |stream: usize| {
        let repository = Arc::clone(&repository);
        async move {
            for sequence in 0..20 {
                append(&repository, request(&stream.to_string(), sequence, &["x"])).await;
            }
        }
    };
    join_all((0..20).map(writer)).await;
    let log = whole_log(&repository).await;
    assert_eq!(log.len(), 400);
    assert!((1..).zip(&log).all(|(position, event)| event.position == position));
    for stream in 0..20 {
        let sequences = log.iter().filter(|event| event.aggregate_id == stream.to_string());
        assert!(sequences.map(|event| event.sequence).eq(1..=20));
    }
}

async fn concurrent_repeats_of_one_request_are_stored_once(repository: Repository) {
    let asked = request("a", 0, &["1", "2"]);
    let results = join_all((0..10).map(|_| repository.append(again(&asked)))).await;
    let answers: Vec<Appended> = results.into_iter().map(|result| result.expect("it has an answer")).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| (answer.first_position, answer.last_position) == (1, 2)));
    assert_eq!(whole_log(&repository).await.len(), 2);
}

async fn requests_that_continue_each_other_can_be_asked_at_once(repository: Repository) {
    let results = join_all((0..10).map(|expected| repository.append(request("a", expected, &["x"])))).await;
    for (expected, result) in (0..).zip(results) {
        assert_eq!(result.expect("it continues the one before").last_sequence, expected + 1);
    }
}

async fn requests_that_cannot_be_stored_are_refused(repository: Repository) {
    let bad = [
        request("a", 0, &[]),
        request("a", -1, &["x"]),
        request("", 0, &["x"]),
        request("a\0b", 0, &["x"]),
        request(&"a".repeat(256), 0, &["x"]),
        AppendRequest { aggregate_type: "\0".to_owned(), ..request("a", 0, &["x"]) },
        AppendRequest { events: vec![event("x"); 1_001], ..request("a", 0, &[]) },
        AppendRequest { events: vec![event(&"x".repeat(17 << 20))], ..request("a", 0, &[]) },
        AppendRequest {
            events: vec![NewEvent::try_new("a\0".to_owned(), "1".to_owned(), &json!({})).expect("it serialises")],
            ..request("a", 0, &[])
        },
    ];
    for request in bad {
        let refused = repository.append(request).await.expect_err("it is refused");
        assert_eq!(refused.code(), "STORE_INVALID_REQUEST", "{refused}");
    }
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 0);
    let largest = AppendRequest { events: vec![event("x"); 1_000], ..request("a", 0, &[]) };
    assert_eq!(append(&repository, largest).await.last_position, 1_000);
}
