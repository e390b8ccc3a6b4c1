//! Commands through the bus: decided on the newest state, stored once, answered as the first time.

use std::sync::Arc;

use futures_util::future::join_all;
use store::command_bus::{CommandBus, ExecuteError};
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, DEFAULT_SHARD, EventRepository, MemoryRepository};
use store::testing::TestDatabase;

use crate::support::metadata;
use crate::support::node::Node;
use crate::support::tally::{LIMIT, Tally, TallyCommand, TallyError, TallyEvent};

fn in_memory() -> (Arc<dyn EventRepository>, CommandBus) {
    let repository: Arc<dyn EventRepository> = Arc::new(MemoryRepository::default());
    (Arc::clone(&repository), CommandBus::new(repository, None))
}

/// Adds `number` to "a"; returns the total after it.
async fn add(bus: &CommandBus, number: i64) -> i64 {
    let executed = bus.execute::<Tally>("a", TallyCommand::Add(number), &metadata()).await;
    executed.expect("it is executed").state.total
}

#[tokio::test]
async fn command_is_stored_and_its_result_returned() {
    let (repository, bus) = in_memory();
    let executed = bus.execute::<Tally>("a", TallyCommand::AddBoth(1, 2), &metadata()).await.expect("it is executed");
    assert_eq!(*executed.state, Tally { total: 3, count: 2 });
    assert_eq!(executed.events, [TallyEvent::Added { number: 1 }, TallyEvent::Added { number: 2 }]);
    assert_eq!((executed.sequence, executed.position, executed.repeated), (2, 2, false));
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 2);
    let loaded = bus.load::<Tally>("a").await.expect("it loads");
    assert_eq!((&*loaded.state, loaded.sequence), (&Tally { total: 3, count: 2 }, 2));
}

#[tokio::test]
async fn refused_command_stores_nothing() {
    let (repository, bus) = in_memory();
    let refused = bus.execute::<Tally>("a", TallyCommand::Add(LIMIT + 1), &metadata()).await;
    let refused = refused.expect_err("it is too much");
    assert!(matches!(refused, ExecuteError::Refused(TallyError::TooMuch { .. })), "{refused}");
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 0);
}

#[tokio::test]
async fn command_with_nothing_to_do_stores_nothing() {
    let (repository, bus) = in_memory();
    add(&bus, 5).await;
    let executed = bus.execute::<Tally>("a", TallyCommand::Reach(5), &metadata()).await.expect("it is executed");
    assert_eq!((executed.events.len(), executed.position, executed.sequence), (0, 0, 1));
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 1);
}

#[tokio::test]
async fn repeated_command_gets_its_first_answer() {
    let (repository, bus) = in_memory();
    let first = metadata();
    bus.execute::<Tally>("a", TallyCommand::AddBoth(1, 2), &first).await.expect("it is executed");
    add(&bus, 10).await;
    let repeated = bus.execute::<Tally>("a", TallyCommand::AddBoth(1, 2), &first).await.expect("it has an answer");
    assert!(repeated.repeated);
    assert_eq!(repeated.events, [TallyEvent::Added { number: 1 }, TallyEvent::Added { number: 2 }]);
    assert_eq!((repeated.position, repeated.sequence, repeated.state.total), (2, 3, 13));
    assert_eq!(repository.head(DEFAULT_SHARD).await.expect("it has a head"), 3);
}

#[tokio::test]
async fn repeated_command_gets_its_first_answer_although_it_would_be_refused_now() {
    let (_, bus) = in_memory();
    let first = metadata();
    bus.execute::<Tally>("a", TallyCommand::Add(LIMIT), &first).await.expect("it is executed");
    let repeated = bus.execute::<Tally>("a", TallyCommand::Add(LIMIT), &first).await.expect("it has an answer");
    assert!(repeated.repeated);
    assert_eq!(repeated.events, [TallyEvent::Added { number: LIMIT }]);
}

#[tokio::test]
async fn repeated_command_gets_its_first_answer_although_there_is_nothing_to_do_now() {
    let (_, bus) = in_memory();
    let first = metadata();
    bus.execute::<Tally>("a", TallyCommand::Reach(7), &first).await.expect("it is executed");
    let repeated = bus.execute::<Tally>("a", TallyCommand::Reach(7), &first).await.expect("it has an answer");
    assert_eq!((repeated.repeated, repeated.position), (true, 1));
}

#[tokio::test]
async fn state_in_memory_that_is_old_is_noticed() {
    let (repository, bus) = in_memory();
    let other = CommandBus::new(repository, None);
    assert_eq!(add(&bus, 1).await, 1);
    assert_eq!(add(&other, 10).await, 11);
    // By the append.
    assert_eq!(add(&bus, 100).await, 111);
    // By a load.
    assert_eq!(other.load::<Tally>("a").await.expect("it loads").state.total, 111);
    // By a refusal: the one that has not seen the change would refuse.
    assert_eq!(add(&bus, LIMIT - 111).await, LIMIT);
    assert_eq!(add(&bus, -LIMIT).await, 0);
    assert_eq!(add(&other, LIMIT).await, LIMIT);
}

#[tokio::test]
async fn old_rows_are_read_through_the_upcasters() {
    let (repository, bus) = in_memory();
    let metadata = metadata();
    let old = NewEvent::try_new("Added".to_owned(), "1".to_owned(), &serde_json::json!({ "type": "Added", "n": 42 }));
    let request = AppendRequest {
        request_id: metadata.request_id,
        aggregate_type: "Tally".to_owned(),
        aggregate_id: "a".to_owned(),
        expected_sequence: 0,
        events: vec![old.expect("it serialises")],
        metadata,
        held_epoch: None,
    };
    repository.append(request).await.expect("it is appended");
    assert_eq!(add(&bus, 1).await, 43);
}

#[tokio::test]
async fn row_that_does_not_decode_is_named() {
    let (repository, bus) = in_memory();
    let request = AppendRequest { aggregate_type: "Tally".to_owned(), ..crate::support::request("a", 0, &["x"]) };
    repository.append(request).await.expect("it is appended");
    let error = bus.load::<Tally>("a").await.expect_err("it does not decode");
    assert!(matches!(error, StoreError::Corrupt { position: 1, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commands_of_one_aggregate_from_two_processes_all_count() {
    let database = TestDatabase::create().await;
    let (one, two) = (Node::start(database.pool()).await, Node::start(database.pool()).await);
    let buses = [CommandBus::new(one.shared(), None), CommandBus::new(two.shared(), None)];
    let commands = (0..60).map(|n: usize| {
        let bus = buses[n % 2].clone();
        async move { add(&bus, 1).await }
    });
    let mut totals = join_all(commands).await;
    totals.sort_unstable();
    assert!(totals.into_iter().eq(1..=60));
    for bus in buses {
        assert_eq!(bus.load::<Tally>("a").await.expect("it loads").sequence, 60);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_two_processes_make_progress_side_by_side() {
    let database = TestDatabase::create().await;
    let (one, two) = (Node::start(database.pool()).await, Node::start(database.pool()).await);
    let work = |node: &Node, name: &'static str| {
        let bus = CommandBus::new(node.shared(), None);
        async move {
            for number in 0..100 {
                let executed = bus.execute::<Tally>(name, TallyCommand::Add(number), &metadata()).await;
                executed.expect("it is executed");
            }
        }
    };
    let side_by_side = async { tokio::join!(work(&one, "one"), work(&two, "two")) };
    crate::support::in_time("appending from two processes", side_by_side).await;
    let head = one.repository.head(DEFAULT_SHARD).await.expect("it has a head");
    assert_eq!(head, 200);
}
