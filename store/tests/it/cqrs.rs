//! cqrs-es on our repository, and postgres-es on our table as it is.

use std::collections::HashMap;
use std::sync::Arc;

use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore};
use cqrs_es::{AggregateError, CqrsFramework, EventStore as _};
use postgres_es::PostgresEventRepository;
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::event_store::EventStore;
use store::loader::Loader;
use store::repository::{CqrsRepository, EventRepository, MemoryRepository};
use store::testing::TestDatabase;

use crate::support::metadata;
use crate::support::node::Node;
use crate::support::tally::{LIMIT, Tally, TallyCommand, TallyError};

type PostgresEs = PersistedEventStore<PostgresEventRepository, Tally>;

fn postgres_es(pool: &PgPool) -> PostgresEs {
    PersistedEventStore::new_event_store(PostgresEventRepository::new(pool.clone()))
}

fn our_metadata() -> HashMap<String, String> {
    metadata().to_map().into_iter().collect()
}

/// Totals and counts through the bus, for a stream of a few commands.
async fn executed_by_us(node: &Node) -> Tally {
    let bus = CommandBus::new(node.shared(), None);
    for command in [TallyCommand::Add(3), TallyCommand::AddBoth(4, 5), TallyCommand::Reach(20)] {
        bus.execute::<Tally>("a", command, &metadata()).await.expect("it is executed");
    }
    let loaded = bus.load::<Tally>("a").await.expect("it loads");
    (*loaded.state).clone()
}

#[tokio::test]
async fn postgres_es_reads_the_same_aggregate_from_our_table() {
    let database = TestDatabase::create().await;
    let ours = executed_by_us(&Node::start(database.pool()).await).await;
    assert_eq!(ours, Tally { total: 20, count: 4 });

    let repository = PostgresEventRepository::new(database.pool().clone());
    let rows = repository.get_events::<Tally>("a").await.expect("it reads");
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(rows.iter().all(|row| row.event_type == "Added" && row.event_version == "2"));

    let events = postgres_es(database.pool()).load_events("a").await.expect("it reads");
    let theirs = events.into_iter().map(|envelope| envelope.payload).fold(Tally::default(), |mut tally, event| {
        cqrs_es::Aggregate::apply(&mut tally, event);
        tally
    });
    assert_eq!(theirs, ours);
}

#[tokio::test]
async fn postgres_es_reads_our_metadata_as_its_map() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let metadata = metadata();
    let bus = CommandBus::new(node.shared(), None);
    bus.execute::<Tally>("a", TallyCommand::Add(1), &metadata).await.expect("it is executed");
    let events = postgres_es(database.pool()).load_events("a").await.expect("it reads");
    let expected: HashMap<String, String> = metadata.to_map().into_iter().collect();
    assert_eq!(events[0].metadata, expected);
}

#[tokio::test]
async fn framework_runs_on_postgres_es_over_our_table_for_reading_only() {
    let database = TestDatabase::create().await;
    let ours = executed_by_us(&Node::start(database.pool()).await).await;
    let framework = CqrsFramework::new(postgres_es(database.pool()), vec![], ());
    // It loads our events, so it refuses what our bus would refuse.
    let refused = framework.execute("a", TallyCommand::Add(LIMIT)).await.expect_err("it is too much");
    assert!(matches!(refused, AggregateError::UserError(TallyError::TooMuch { total }) if total == LIMIT + ours.total));
    // It cannot write: it knows nothing of positions.
    framework.execute("a", TallyCommand::Add(1)).await.expect_err("the table refuses it");
}

#[tokio::test]
async fn framework_runs_on_our_event_store() {
    let repository: Arc<dyn EventRepository> = Arc::new(MemoryRepository::default());
    let store = EventStore::new(Loader::new(Arc::clone(&repository), None));
    let framework = CqrsFramework::<Tally, _>::new(store, vec![], ());
    for number in 1..=3 {
        let metadata = our_metadata();
        framework.execute_with_metadata("a", TallyCommand::Add(number), metadata).await.expect("it is executed");
    }
    let refused = framework.execute_with_metadata("a", TallyCommand::Add(LIMIT), our_metadata()).await;
    assert!(matches!(refused, Err(AggregateError::UserError(TallyError::TooMuch { .. }))));
    let loaded = CommandBus::new(repository, None).load::<Tally>("a").await.expect("it loads");
    assert_eq!(*loaded.state, Tally { total: 6, count: 3 });
}

#[tokio::test]
async fn framework_without_our_metadata_is_told_so() {
    let store = EventStore::new(Loader::new(Arc::new(MemoryRepository::default()), None));
    let framework = CqrsFramework::<Tally, _>::new(store, vec![], ());
    let error = framework.execute("a", TallyCommand::Add(1)).await.expect_err("there is no request id");
    assert!(error.to_string().contains("correlation_id"), "{error}");
}

#[tokio::test]
async fn framework_runs_on_our_repository_through_the_adapter() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let adapter = CqrsRepository::new(node.shared());
    let store = PersistedEventStore::<_, Tally>::new_event_store(adapter.clone());
    let framework = CqrsFramework::new(store, vec![], ());
    for number in 1..=3 {
        let metadata = our_metadata();
        framework.execute_with_metadata("a", TallyCommand::Add(number), metadata).await.expect("it is executed");
    }
    let rows = adapter.get_last_events::<Tally>("a", 1).await.expect("it reads");
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [2, 3]);
    let mut replay = adapter.stream_all_events::<Tally>().await.expect("it replays");
    let mut replayed = 0;
    while let Some(event) = replay.next::<Tally>(&[]).await {
        replayed += 1;
        assert_eq!(event.expect("it decodes").sequence, replayed);
    }
    assert_eq!(replayed, 3);
}

#[tokio::test]
async fn snapshots_of_cqrs_es_are_refused_as_they_apply_events_twice() {
    let adapter = CqrsRepository::new(Arc::new(MemoryRepository::default()));
    let store = PersistedEventStore::<_, Tally>::new_snapshot_store(adapter, 2);
    let framework = CqrsFramework::new(store, vec![], ());
    framework.execute_with_metadata("a", TallyCommand::Add(1), our_metadata()).await.expect("no snapshot yet");
    let refused = framework.execute_with_metadata("a", TallyCommand::Add(1), our_metadata()).await;
    assert!(refused.expect_err("it takes a snapshot").to_string().contains("twice"));
}
