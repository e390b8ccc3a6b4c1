//! Snapshots are taken beside the appends, used by loads, and never believed for long.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::snapshot::{SnapshotConfig, Snapshots};
use store::testing::TestDatabase;
use tokio_util::task::TaskTracker;

use crate::support::node::Node;
use crate::support::tally::{Tally, TallyCommand};
use crate::support::{metadata, until};

const EVERY_TEN: SnapshotConfig = SnapshotConfig { every: 10, check_every: 1_000 };
const CHECK_ALWAYS: SnapshotConfig = SnapshotConfig { every: 10, check_every: 1 };

struct Bench {
    node: Node,
    pool: PgPool,
    _database: TestDatabase,
}

impl Bench {
    /// A stream of 25 events with a snapshot at 20.
    async fn with_a_snapshot() -> Self {
        let database = TestDatabase::create().await;
        let node = Node::start(database.pool()).await;
        let pool = database.pool().clone();
        let bench = Self { node, pool, _database: database };
        let (bus, snapshots) = bench.bus(EVERY_TEN);
        for _ in 0..25 {
            bus.execute::<Tally>("a", TallyCommand::Add(1), &metadata()).await.expect("it is executed");
        }
        until("two snapshots", || async { snapshots.counters().saved.load(Ordering::Relaxed) == 2 }).await;
        bench
    }

    /// A bus as a process has it that has just started.
    fn bus(&self, config: SnapshotConfig) -> (CommandBus, Snapshots) {
        let snapshots = Snapshots::start(self.pool.clone(), config, &TaskTracker::new());
        (CommandBus::new(self.node.shared(), Some(snapshots.clone())), snapshots)
    }

    async fn stored(&self) -> Option<(i64, Value)> {
        let row = sqlx::query_as("SELECT last_sequence, state FROM snapshots WHERE aggregate_id = 'a'");
        row.fetch_optional(&self.pool).await.expect("it is readable")
    }

    async fn change(&self, assignment: &str) {
        let sql = format!("UPDATE snapshots SET {assignment}");
        sqlx::query(&sql).execute(&self.pool).await.expect("it can be changed");
    }
}

async fn total(bus: &CommandBus) -> i64 {
    bus.load::<Tally>("a").await.expect("it loads").state.total
}

#[tokio::test]
async fn snapshot_is_taken_at_every_so_many_events_and_used() {
    let bench = Bench::with_a_snapshot().await;
    let (sequence, state) = bench.stored().await.expect("it was saved");
    assert_eq!((sequence, state), (20, serde_json::json!({ "total": 20, "count": 20 })));
    // A changed one shows that it is used.
    bench.change("state = '{\"total\": 1020, \"count\": 20}'").await;
    let (bus, snapshots) = bench.bus(EVERY_TEN);
    assert_eq!(total(&bus).await, 1_025);
    assert_eq!(snapshots.counters().used.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn snapshot_of_another_shape_is_not_seen() {
    let bench = Bench::with_a_snapshot().await;
    bench.change("shape = 2, state = '{\"total\": 1020, \"count\": 20}'").await;
    let (bus, snapshots) = bench.bus(EVERY_TEN);
    assert_eq!(total(&bus).await, 25);
    assert_eq!(snapshots.counters().used.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn snapshot_that_does_not_parse_is_passed_over() {
    let bench = Bench::with_a_snapshot().await;
    bench.change("state = '{\"other\": true}'").await;
    assert_eq!(total(&bench.bus(EVERY_TEN).0).await, 25);
}

#[tokio::test]
async fn checked_snapshot_that_is_wrong_is_counted_deleted_and_not_used() {
    let bench = Bench::with_a_snapshot().await;
    bench.change("state = '{\"total\": 1020, \"count\": 20}'").await;
    let (bus, snapshots) = bench.bus(CHECK_ALWAYS);
    assert_eq!(total(&bus).await, 25);
    assert_eq!(snapshots.counters().mismatched.load(Ordering::Relaxed), 1);
    assert_eq!(bench.stored().await, None);
}

#[tokio::test]
async fn checked_snapshot_that_is_right_is_kept() {
    let bench = Bench::with_a_snapshot().await;
    let (bus, snapshots) = bench.bus(CHECK_ALWAYS);
    assert_eq!(total(&bus).await, 25);
    let counters = snapshots.counters();
    assert_eq!(counters.checked.load(Ordering::Relaxed), 1);
    assert_eq!(counters.mismatched.load(Ordering::Relaxed), 0);
    assert!(bench.stored().await.is_some());
}

#[tokio::test]
async fn one_load_in_so_many_is_checked() {
    let bench = Bench::with_a_snapshot().await;
    let snapshots =
        Snapshots::start(bench.pool.clone(), SnapshotConfig { every: 10, check_every: 4 }, &TaskTracker::new());
    for _ in 0..8 {
        let fresh = CommandBus::new(bench.node.shared(), Some(snapshots.clone()));
        assert_eq!(total(&fresh).await, 25);
    }
    assert_eq!(snapshots.counters().checked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn snapshot_beyond_its_stream_is_deleted_and_not_used() {
    let bench = Bench::with_a_snapshot().await;
    bench.change("last_sequence = 40").await;
    assert_eq!(total(&bench.bus(EVERY_TEN).0).await, 25);
    assert_eq!(bench.stored().await, None);
}

#[tokio::test]
async fn older_snapshot_does_not_replace_a_newer_one() {
    let bench = Bench::with_a_snapshot().await;
    let (_, snapshots) = bench.bus(EVERY_TEN);
    snapshots.offer("a", &Arc::new(Tally { total: 10, count: 10 }), 9, 10);
    until("the save", || async { snapshots.counters().saved.load(Ordering::Relaxed) == 1 }).await;
    assert_eq!(bench.stored().await.expect("it is there").0, 20);
}
