//! Broken connections, lost answers, full disks and poisonous requests: nothing twice, nothing half.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::value::RawValue;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use store::audit;
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, Appended, DEFAULT_SHARD, EventRepository, RepositoryConfig};
use store::testing::TestDatabase;
use store::writer::WriterConfig;

use crate::support::node::Node;
use crate::support::proxy::Proxy;
use crate::support::{again, event, in_time, request};

/// Larger than any statement without such an event, smaller than what a socket may split.
const LARGE: usize = 6_000;
const CUT_AT: usize = 5_000;

/// A request that the proxy can tell from others.
fn large(aggregate_id: &str, expected_sequence: i64) -> AppendRequest {
    AppendRequest { events: vec![event(&"x".repeat(LARGE))], ..request(aggregate_id, expected_sequence, &[]) }
}

struct Wired {
    proxy: Proxy,
    node: Node,
    database: TestDatabase,
}

impl Wired {
    async fn start(patience: Duration) -> Self {
        let database = TestDatabase::create().await;
        let proxy = Proxy::start(database.options());
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(proxy.options(database.options()));
        let config = RepositoryConfig { patience, ..RepositoryConfig::default() };
        let node = Node::with(&pool, WriterConfig::named("wired"), &config).await;
        node.repository.append(request("before", 0, &["1"])).await.expect("it is appended");
        Self { proxy, node, database }
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, StoreError> {
        in_time("the append", self.node.repository.append(request)).await
    }
}

async fn positions(pool: &PgPool) -> Vec<i64> {
    let positions = sqlx::query_scalar("SELECT position FROM events ORDER BY position");
    positions.fetch_all(pool).await.expect("it is readable")
}

async fn is_whole(node: &Node, pool: &PgPool) {
    audit::verify(pool, &node.repository, DEFAULT_SHARD, |_| {}).await.expect("the log verifies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_whose_answer_was_lost_is_found_and_acknowledged() {
    let wired = Wired::start(Duration::from_secs(15)).await;
    let epoch = wired.node.writer.lease().epoch;
    wired.proxy.cut_after_sending(CUT_AT);
    let appended = wired.append(large("a", 0)).await.expect("it is acknowledged");
    assert_eq!(wired.proxy.cuts(), 1);
    assert_eq!((appended.first_position, appended.repeated), (2, false));
    assert_eq!(positions(wired.database.pool()).await, [1, 2]);
    assert!(wired.node.writer.lease().epoch > epoch, "the outcome was looked up under a new epoch");
    wired.append(request("a", 1, &["next"])).await.expect("it goes on");
    is_whole(&wired.node, wired.database.pool()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_that_never_arrived_is_sent_again() {
    let wired = Wired::start(Duration::from_secs(15)).await;
    wired.proxy.cut_before_delivering(CUT_AT);
    let appended = wired.append(large("a", 0)).await.expect("it is acknowledged");
    assert_eq!(wired.proxy.cuts(), 1);
    assert_eq!((appended.first_position, appended.repeated), (2, false));
    assert_eq!(positions(wired.database.pool()).await, [1, 2]);
    is_whole(&wired.node, wired.database.pool()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_a_batch_whose_answer_was_lost_is_acknowledged_once() {
    let wired = Wired::start(Duration::from_secs(15)).await;
    for round in 0..5 {
        wired.proxy.cut_after_sending(CUT_AT);
        let streams: Vec<String> = (0..20).map(|stream| stream.to_string()).collect();
        let requests = streams.iter().map(|stream| wired.append(large(stream, round)));
        for result in join_all(requests).await {
            assert!(!result.expect("it is acknowledged").repeated);
        }
    }
    assert_eq!(wired.proxy.cuts(), 5);
    assert!(positions(wired.database.pool()).await.into_iter().eq(1..=101));
    is_whole(&wired.node, wired.database.pool()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_whose_outcome_stays_unknown_is_unavailable_and_its_repetition_tells() {
    let wired = Wired::start(Duration::from_millis(300)).await;
    let asked = large("a", 0);
    wired.proxy.refuse(true);
    wired.proxy.cut_after_sending(CUT_AT);
    let unknown = wired.append(again(&asked)).await.expect_err("there is no connection");
    assert_eq!(unknown.code(), "STORE_UNAVAILABLE", "{unknown}");
    wired.proxy.refuse(false);
    let told = wired.append(asked).await.expect("it was stored");
    assert_eq!((told.first_position, told.repeated), (2, true));
    assert_eq!(positions(wired.database.pool()).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_the_server_ended_is_replaced() {
    let wired = Wired::start(Duration::from_secs(15)).await;
    for round in 0..3 {
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid)
               FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        ended.execute(wired.database.pool()).await.expect("they are ended");
        wired.append(request("a", round, &["x"])).await.expect("it is appended");
    }
    assert!(positions(wired.database.pool()).await.into_iter().eq(1..=4));
}

#[tokio::test]
async fn full_disk_is_told_at_once_stores_nothing_and_passes() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    node.repository.append(request("a", 0, &["1"])).await.expect("it is appended");
    for statement in [
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
        "CREATE TRIGGER no_room BEFORE INSERT ON events EXECUTE FUNCTION no_room()",
    ] {
        sqlx::query(statement).execute(database.pool()).await.expect("it can be made");
    }
    let started = Instant::now();
    let full = node.repository.append(request("a", 1, &["2"])).await.expect_err("there is no room");
    assert_eq!(full.code(), "STORE_FULL", "{full}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(node.repository.head(DEFAULT_SHARD).await.expect("it has a head"), 1);

    sqlx::query("DROP TRIGGER no_room ON events").execute(database.pool()).await.expect("there is room");
    node.repository.append(request("a", 1, &["2"])).await.expect("it works again");
    is_whole(&node, database.pool()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_the_database_refuses_does_not_fail_the_others_of_its_batch() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    // JSON too deep for the server.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = RawValue::from_string(deep).expect("it is JSON");
    let deep = NewEvent::try_new("Noted".to_owned(), "1".to_owned(), &deep).expect("it serialises");
    let poison = AppendRequest { events: vec![deep], ..request("poison", 0, &[]) };
    let mut requests: Vec<AppendRequest> = (0..20).map(|stream| request(&stream.to_string(), 0, &["x"])).collect();
    requests.insert(7, poison);
    let results = join_all(requests.into_iter().map(|request| node.repository.append(request))).await;
    for (index, result) in results.into_iter().enumerate() {
        match index {
            7 => assert_eq!(result.expect_err("it is refused").code(), "STORE_DATABASE"),
            _ => assert!(result.is_ok()),
        }
    }
    assert_eq!(node.repository.head(DEFAULT_SHARD).await.expect("it has a head"), 20);
    is_whole(&node, database.pool()).await;
}

#[tokio::test]
async fn head_that_was_set_back_is_corruption_and_stores_nothing() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    node.repository.append(request("a", 0, &["1", "2"])).await.expect("it is appended");
    sqlx::query("UPDATE shards SET head = 1").execute(database.pool()).await.expect("it can be set");
    let corrupt = node.repository.append(request("b", 0, &["3"])).await.expect_err("positions are taken");
    assert!(matches!(corrupt, StoreError::Corrupt { position: 2, .. }), "{corrupt}");
    assert_eq!(positions(database.pool()).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_keep_to_their_largest_size() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let large = "x".repeat(100_000);
    let results = join_all((0..60).map(|stream| {
        let request = AppendRequest { events: vec![event(&large)], ..request(&stream.to_string(), 0, &[]) };
        node.repository.append(request)
    }));
    assert!(results.await.iter().all(Result::is_ok));
    let largest: i64 = sqlx::query_scalar(
        "SELECT max(bytes)::bigint
           FROM (SELECT sum(octet_length(e.payload::text)) AS bytes
                   FROM batches b
                   JOIN events e ON e.position BETWEEN b.first_position AND b.last_position
                  GROUP BY b.first_position) AS sizes",
    )
    .fetch_one(database.pool())
    .await
    .expect("it is readable");
    assert!(largest <= 1 << 20, "{largest} bytes");
    is_whole(&node, database.pool()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_repository_answers_what_was_asked_and_takes_no_more() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let appends = (0..50).map(|stream| {
        let repository = node.repository.clone();
        tokio::spawn(async move { repository.append(request(&stream.to_string(), 0, &["x"])).await })
    });
    let appends: Vec<_> = appends.collect();
    in_time("closing", node.repository.close()).await;
    let mut stored = 0;
    for append in appends {
        match append.await.expect("it ran") {
            Ok(_) => stored += 1,
            Err(error) => assert_eq!(error.code(), "STORE_UNAVAILABLE"),
        }
    }
    assert_eq!(node.repository.head(DEFAULT_SHARD).await.expect("it has a head"), stored);
    let late = node.repository.append(request("late", 0, &["x"])).await.expect_err("it is closed");
    assert_eq!(late.code(), "STORE_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_read_at_once_do_not_mix() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    for stream in 0..30_u8 {
        let texts: Vec<String> = (0..=stream % 5).map(|number| format!("{stream} {number}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        node.repository.append(request(&stream.to_string(), 0, &texts)).await.expect("it is appended");
    }
    let read = |stream: u8| {
        let repository = node.repository.clone();
        async move {
            let (after, limit) = (i64::from(stream % 3), 1 + i64::from(stream % 2));
            let events = repository.stream("Note", &stream.to_string(), after, limit).await.expect("it is readable");
            let numbers: Vec<String> = events.iter().map(|event| event.payload["what"].to_string()).collect();
            // There are thirty streams; the others are empty.
            let stored = if stream < 30 { 1 + i64::from(stream % 5) } else { 0 };
            let expected: Vec<String> =
                (after..stored.min(after + limit)).map(|number| format!("\"{stream} {number}\"")).collect();
            assert_eq!(numbers, expected, "stream {stream}");
            assert!(events.iter().all(|event| event.aggregate_id == stream.to_string()));
        }
    };
    join_all((0..40).map(read)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_whose_connection_was_ended_is_asked_again() {
    let wired = Wired::start(Duration::from_secs(15)).await;
    for _ in 0..3 {
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid)
               FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        ended.execute(wired.database.pool()).await.expect("they are ended");
        let events = wired.node.repository.stream("Note", "before", 0, 10).await.expect("it is readable");
        assert_eq!(events.len(), 1);
    }
}
