//! A writer that lost its lease writes nothing, and comes back as another.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use store::command_bus::CommandBus;
use store::error::StoreError;
use store::repository::{AppendRequest, DEFAULT_SHARD, EventRepository};
use store::testing::TestDatabase;
use store::writer::{WriterLease, fence};

use crate::support::node::Node;
use crate::support::tally::{Tally, TallyCommand};
use crate::support::{in_time, metadata, request, until};

async fn connection(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(database.options()).await.expect("it connects")
}

async fn head(node: &Node) -> i64 {
    node.repository.head(DEFAULT_SHARD).await.expect("it has a head")
}

/// Waits for the writer to have registered again after `lost`.
async fn registered_again(node: &Node, lost: WriterLease) -> WriterLease {
    let mut leases = node.writer.subscribe();
    let changed = leases.wait_for(|lease| lease.unbroken_since > lost.epoch);
    *in_time("registering again", changed).await.expect("the writer is there")
}

#[tokio::test]
async fn writer_whose_epoch_was_ended_writes_nothing_and_comes_back_as_another() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    node.repository.append(request("a", 0, &["1"])).await.expect("it is appended");
    let lost = node.writer.lease();
    let mut connection = connection(&database).await;
    assert!(fence(&mut connection, lost.writer_id, lost.epoch).await.expect("it is fenced"));

    let fenced = node.repository.append(request("a", 1, &["2"])).await.expect_err("it is fenced");
    assert!(matches!(fenced, StoreError::Fenced), "{fenced}");
    assert_eq!(head(&node).await, 1);

    let renewed = registered_again(&node, lost).await;
    assert!(renewed.epoch > lost.epoch);
    node.repository.append(request("a", 1, &["2"])).await.expect("it is a writer again");
    let held = AppendRequest { held_epoch: Some(lost.epoch), ..request("a", 2, &["3"]) };
    let fenced = node.repository.append(held).await.expect_err("what it depends on is lost");
    assert!(matches!(fenced, StoreError::Fenced), "{fenced}");
    assert_eq!(head(&node).await, 2);
}

#[tokio::test]
async fn writer_whose_lease_ended_cannot_renew_it() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let lost = node.writer.lease();
    sqlx::query("UPDATE writers SET lease_until = clock_timestamp()").execute(database.pool()).await.expect("it ends");
    let fenced = node.repository.append(request("a", 0, &["1"])).await.expect_err("it is fenced");
    assert!(matches!(fenced, StoreError::Fenced), "{fenced}");
    assert_eq!(head(&node).await, 0);
    let renewed = registered_again(&node, lost).await;
    assert!(renewed.epoch > lost.epoch && !renewed.continues(lost.epoch));
}

#[tokio::test]
async fn lease_is_renewed_under_the_same_epoch() {
    let database = TestDatabase::create().await;
    let node = Node::with_lease(database.pool(), Duration::from_millis(600)).await;
    let first = node.writer.lease();
    let mut leases = node.writer.subscribe();
    for _ in 0..4 {
        in_time("a renewal", leases.changed()).await.expect("the writer is there");
        let lease = node.writer.lease();
        assert_eq!((lease.epoch, lease.unbroken_since), (first.epoch, first.epoch));
        assert!(lease.remaining() > Duration::from_millis(100));
    }
    node.repository.append(request("a", 0, &["1"])).await.expect("it is a writer");
}

#[tokio::test]
async fn retired_writer_writes_nothing() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    node.writer.retire().await.expect("it retires");
    let fenced = node.repository.append(request("a", 0, &["1"])).await.expect_err("it is fenced");
    assert!(matches!(fenced, StoreError::Fenced), "{fenced}");
    assert_eq!(head(&node).await, 0);
}

#[tokio::test]
async fn command_that_depends_on_no_lease_goes_on_after_a_lost_one() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let bus = CommandBus::new(node.shared(), None);
    let lost = node.writer.lease();
    let mut connection = connection(&database).await;
    fence(&mut connection, lost.writer_id, lost.epoch).await.expect("it is fenced");

    let held = bus.under(lost.epoch).execute::<Tally>("a", TallyCommand::Add(1), &metadata()).await;
    assert!(held.is_err());
    let free = bus.execute::<Tally>("a", TallyCommand::Add(1), &metadata()).await.expect("it is executed");
    assert_eq!(free.state.count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_an_epoch_waits_for_the_append_in_flight() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let lease = node.writer.lease();

    // Holds the shard, so that an append stands still after it has checked its writer.
    let mut holder = connection(&database).await;
    let mut transaction = holder.begin().await.expect("it begins");
    sqlx::query("SELECT head FROM shards FOR UPDATE").execute(&mut *transaction).await.expect("it is locked");
    let repository = node.repository.clone();
    let append = tokio::spawn(async move { repository.append(request("a", 0, &["1"])).await });
    waiting_for_a_lock(&database, 1).await;

    let mut other = connection(&database).await;
    let fencing = tokio::spawn(async move { fence(&mut other, lease.writer_id, lease.epoch).await });
    waiting_for_a_lock(&database, 2).await;
    assert!(!fencing.is_finished() && !append.is_finished());

    transaction.rollback().await.expect("it lets go");
    in_time("the append", append).await.expect("it ran").expect("it had checked its epoch while that was valid");
    assert!(in_time("the fence", fencing).await.expect("it ran").expect("it is fenced"));
    assert_eq!(head(&node).await, 1);
    node.repository.append(request("a", 1, &["2"])).await.expect_err("it is fenced");
}

async fn waiting_for_a_lock(database: &TestDatabase, sessions: i64) {
    until("waiting for a lock", || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(database.pool())
        .await
        .expect("it is readable");
        waiting == sessions
    })
    .await;
}
