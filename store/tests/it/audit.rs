//! The stored hashes are those of the stored rows, and every change of a row is found.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::audit::{AuditError, Verified, verify};
use store::repository::{AppendRequest, DEFAULT_SHARD, EventRepository};
use store::testing::TestDatabase;
use tokio::runtime::Runtime;

use crate::support::node::Node;
use crate::support::{event, request};

async fn audited(node: &Node, database: &TestDatabase) -> Result<Verified, AuditError> {
    verify(database.pool(), &node.repository, DEFAULT_SHARD, |_| {}).await
}

#[test]
fn hash_chain_of_any_stored_rows_is_that_of_their_batches() {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
    // Appends that are asked for at once: for each, its stream and its texts.
    let append = (0..5_u8, prop::collection::vec(".{0,40}", 1..4));
    let rounds = prop::collection::vec(prop::collection::vec(append, 1..8), 1..6);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&rounds, |rounds| {
        RUNTIME.block_on(async {
            let database = TestDatabase::create().await;
            let node = Node::start(database.pool()).await;
            let mut sequences = [0_i64; 5];
            let mut stored = 0;
            for round in rounds {
                let mut waiting = Vec::new();
                for (stream, texts) in round {
                    let events = texts.iter().map(|text| event(text)).collect::<Vec<_>>();
                    let sequence = &mut sequences[usize::from(stream)];
                    let request = AppendRequest { events, ..request(&stream.to_string(), *sequence, &[]) };
                    let count = i64::try_from(texts.len()).expect("it is small");
                    *sequence += count;
                    stored += count;
                    waiting.push(node.repository.append(request));
                }
                for result in futures_util::future::join_all(waiting).await {
                    result.expect("it is appended");
                }
            }
            let verified = audited(&node, &database).await.expect("it verifies");
            prop_assert_eq!(verified.head, stored);
            prop_assert_eq!(i64::try_from(verified.events).expect("it is small"), stored);
            Ok(())
        })
    });
    outcome.expect("it holds");
}

/// Five batches of two events.
async fn ten_events() -> (Node, TestDatabase) {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    for sequence in [0, 2, 4, 6, 8] {
        node.repository.append(request("a", sequence, &["one", "other"])).await.expect("it is appended");
    }
    (node, database)
}

#[tokio::test]
async fn changed_rows_are_found_and_their_batch_is_named() {
    let changes = [
        "UPDATE events SET payload = '{ \"what\": \"one\"}' WHERE position = 5",
        "UPDATE events SET metadata = '{}' WHERE position = 6",
        "UPDATE events SET aggregate_id = 'b' WHERE position = 5",
        "UPDATE events SET aggregate_type = 'Notes' WHERE position = 5",
        "UPDATE events SET sequence = 77 WHERE position = 5",
        "UPDATE events SET event_type = 'Written' WHERE position = 6",
        "UPDATE events SET event_version = '2' WHERE position = 6",
        "UPDATE events SET event_id = gen_random_uuid() WHERE position = 5",
        "UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = 5",
        "UPDATE events SET position = CASE position WHEN 5 THEN 500 ELSE 5 END WHERE position IN (5, 6)",
        "DELETE FROM events WHERE position = 6",
        "UPDATE batches SET merkle_root = sha256('') WHERE first_position = 5",
        "UPDATE batches SET chain_hash = sha256('') WHERE first_position = 5",
    ];
    let (node, database) = ten_events().await;
    audited(&node, &database).await.expect("it verifies as it is");
    for change in changes {
        let (node, database) = ten_events().await;
        sqlx::query(change).execute(database.pool()).await.expect("it can be changed");
        match audited(&node, &database).await.expect_err(change) {
            AuditError::BadBatch { first_position: 5, last_position: 6, .. } => {}
            other => panic!("{change}: {other}"),
        }
    }
}

#[tokio::test]
async fn log_that_was_cut_or_grew_is_found() {
    let changes = [
        "WITH cut AS (DELETE FROM batches WHERE first_position = 9) DELETE FROM events WHERE position > 8",
        "INSERT INTO events SELECT aggregate_type, aggregate_id, 11, event_type, event_version, payload, metadata,
                                   shard, 11, gen_random_uuid(), recorded_at FROM events WHERE position = 10",
    ];
    for change in changes {
        let (node, database) = ten_events().await;
        sqlx::query(change).execute(database.pool()).await.expect("it can be changed");
        let found = audited(&node, &database).await.expect_err(change);
        assert!(matches!(found, AuditError::WrongHead { head: 10, .. }), "{change}: {found}");
    }
}
