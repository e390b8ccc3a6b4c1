//! Partitions are shared fairly, given away when nothing of them runs, and taken only from owners whose lease has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use domain::ids::{BotId, PARTITIONS, derive, partition_of};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use store::command_queue::{CommandQueue, NewCommand};
use store::lease::{Balance, PartitionLeases};
use store::testing::TestDatabase;
use store::writer::{Writer, WriterConfig};

struct Process {
    writer: Writer,
    leases: PartitionLeases,
}

impl Process {
    async fn start(database: &TestDatabase, name: &str) -> Self {
        // So long that no renewal comes in between.
        let config = WriterConfig { name: name.to_owned(), ttl: Duration::from_secs(3_600) };
        let writer = Writer::register(database.pool(), config).await.expect("it registers");
        let leases = PartitionLeases::new(database.pool().clone(), writer.clone());
        Self { writer, leases }
    }

    async fn balance(&self) -> Balance {
        self.leases.balance().await.expect("the lease is valid")
    }

    fn owned(&self) -> BTreeSet<i32> {
        (0..PARTITIONS).filter(|partition| self.leases.holds(*partition)).collect()
    }
}

async fn expire(database: &TestDatabase, process: &Process) {
    sqlx::query("UPDATE writers SET lease_until = clock_timestamp() - interval '1 ms' WHERE writer_id = $1")
        .bind(process.writer.lease().writer_id)
        .execute(database.pool())
        .await
        .expect("the statement is good");
}

fn bot() -> BotId {
    BotId::from_uuid(derive(&["bot"]))
}

async fn run_a_command(database: &TestDatabase, process: &Process) -> (CommandQueue, store::command_queue::Claim) {
    let queue = CommandQueue::new(database.pool().clone());
    let now = DateTime::UNIX_EPOCH;
    let command = NewCommand {
        id: derive(&["command"]),
        bot_id: bot(),
        kind: "test".to_owned(),
        payload: json!(null),
        dedupe_key: None,
        group_key: None,
        priority: 0,
        not_before: now,
        max_attempts: 1,
        correlation_id: derive(&["correlation"]),
        causation_id: derive(&["causation"]),
        actor: "system:test".to_owned(),
    };
    queue.enqueue(&[command]).await.expect("it is stored");
    let claimed = queue.claim(&process.leases.claimable(), &process.writer.lease(), now, 1).await;
    let claim = claimed.expect("the lease is valid").pop().expect("it is due").claim;
    (queue, claim)
}

#[tokio::test]
async fn single_process_takes_all_partitions() {
    let database = TestDatabase::create().await;
    let process = Process::start(&database, "one").await;
    assert!(process.leases.is_empty());
    let balance = process.balance().await;
    assert_eq!(balance.taken, (0..PARTITIONS).collect::<Vec<_>>());
    assert_eq!(process.leases.claimable(), balance.taken);
    assert_eq!(process.balance().await, Balance::default(), "the next round changes nothing");
}

#[tokio::test]
async fn processes_share_fairly_and_never_own_the_same() {
    let database = TestDatabase::create().await;
    let mut processes = Vec::new();
    for name in ["one", "two", "three"] {
        processes.push(Process::start(&database, name).await);
        for _ in 0..2 {
            for process in &processes {
                process.balance().await;
            }
        }
        let owned: Vec<BTreeSet<i32>> = processes.iter().map(Process::owned).collect();
        let all: BTreeSet<i32> = owned.iter().flatten().copied().collect();
        assert_eq!(all.len(), owned.iter().map(BTreeSet::len).sum::<usize>(), "no two own the same");
        assert_eq!(all.len(), 64, "nothing is left over");
        let most = owned.iter().map(BTreeSet::len).max();
        assert_eq!(most, Some(64_usize.div_ceil(processes.len())));
    }
}

#[tokio::test]
async fn partition_with_a_running_command_is_released_only_when_it_is_settled() {
    let database = TestDatabase::create().await;
    let busy = partition_of(bot());
    let first = Process::start(&database, "one").await;
    first.balance().await;
    let (queue, claim) = run_a_command(&database, &first).await;
    first.leases.drain();
    let balance = first.balance().await;
    assert_eq!(balance.draining, [busy]);
    assert_eq!(balance.released.len(), 63);
    assert!(first.leases.holds(busy), "what runs may end");
    assert_eq!(first.leases.claimable(), [0; 0]);
    let second = Process::start(&database, "two").await;
    second.balance().await;
    assert!(!second.leases.holds(busy));
    queue.complete(&claim, &json!(null)).await.expect("it is still ours");
    assert_eq!(first.balance().await.released, [busy]);
    assert!(first.leases.is_empty());
    first.leases.leave().await.expect("it leaves");
    second.balance().await;
    assert_eq!(second.owned().len(), 64, "who left wants no share");
}

#[tokio::test]
async fn partitions_of_a_live_process_are_not_taken() {
    let database = TestDatabase::create().await;
    let first = Process::start(&database, "one").await;
    first.balance().await;
    let second = Process::start(&database, "two").await;
    assert_eq!(second.balance().await, Balance::default());
    expire(&database, &first).await;
    assert_eq!(second.balance().await.taken.len(), 64);
}

#[tokio::test]
async fn expired_owner_is_fenced_before_its_partitions_are_taken() {
    let database = TestDatabase::create().await;
    let first = Process::start(&database, "one").await;
    first.balance().await;
    let old = first.writer.lease();
    expire(&database, &first).await;
    let second = Process::start(&database, "two").await;
    second.balance().await;
    let stored: i64 = sqlx::query_scalar("SELECT epoch FROM writers WHERE writer_id = $1")
        .bind(old.writer_id)
        .fetch_one(database.pool())
        .await
        .expect("it reads");
    assert!(stored > old.epoch);
    let refused = first.leases.balance().await.expect_err("its lease has ended");
    assert_eq!(refused.code(), "STORE_FENCED");
}

#[tokio::test]
async fn takeover_waits_for_the_append_in_flight_of_the_expired_owner() {
    let database = TestDatabase::create().await;
    let first = Process::start(&database, "one").await;
    first.balance().await;
    let second = Process::start(&database, "two").await;
    second.balance().await;
    expire(&database, &first).await;
    // An append that began in time keeps this lock until it has committed.
    let mut db = PgConnection::connect_with(database.options()).await.expect("it answers");
    let mut append = db.begin().await.expect("it begins");
    sqlx::query("SELECT 1 FROM writers WHERE writer_id = $1 FOR SHARE")
        .bind(first.writer.lease().writer_id)
        .execute(&mut *append)
        .await
        .expect("the statement is good");
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let takeover = second.balance();
    let end_of_append = async {
        let mut waiters: i64 = 0;
        while waiters == 0 {
            waiters = sqlx::query_scalar(waiting).fetch_one(database.pool()).await.expect("it reads");
        }
        assert!(second.leases.is_empty(), "nothing is taken yet");
        append.commit().await.expect("it commits");
    };
    let both = futures_util::future::join(takeover, end_of_append);
    let (balance, ()) =
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("the takeover waits, then goes on");
    assert_eq!(balance.taken.len(), 64);
}

#[tokio::test]
async fn process_whose_lease_broke_has_lost_everything_and_starts_anew() {
    let database = TestDatabase::create().await;
    let process = Process::start(&database, "one").await;
    process.balance().await;
    let (queue, claim) = run_a_command(&database, &process).await;
    let mut changes = process.writer.subscribe();
    expire(&database, &process).await;
    process.leases.balance().await.expect_err("its lease has ended");
    // The refusal makes the writer register again.
    tokio::time::timeout(Duration::from_secs(30), changes.changed())
        .await
        .expect("it registers soon")
        .expect("the writer lives");
    assert!(process.owned().is_empty());
    assert_eq!(process.leases.claimable(), [0; 0]);
    let balance = process.balance().await;
    assert_eq!((balance.taken.len(), balance.lost.len()), (64, 64));
    let recovered = queue.recover(&balance.taken, &process.writer.lease()).await.expect("the lease is valid");
    assert_eq!(recovered.pending, 1);
    let refused = queue.complete(&claim, &json!(null)).await.expect_err("it was claimed under the broken lease");
    assert_eq!(refused.code(), "COMMAND_CLAIM_LOST");
}

#[tokio::test]
async fn new_epoch_of_an_unbroken_lease_keeps_everything() {
    let database = TestDatabase::create().await;
    let process = Process::start(&database, "one").await;
    process.balance().await;
    let (queue, claim) = run_a_command(&database, &process).await;
    let mut db = PgConnection::connect_with(database.options()).await.expect("it answers");
    let before = process.writer.lease();
    process.writer.take_new_epoch(&mut db).await.expect("the lease is valid");
    assert!(process.writer.lease().epoch > before.epoch);
    assert_eq!(process.balance().await, Balance::default());
    assert_eq!(process.owned().len(), 64);
    queue.complete(&claim, &json!(null)).await.expect("it is still ours");
    assert!(process.leases.remaining() > Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_takeovers_of_several_expired_processes_do_not_collide() {
    let database = TestDatabase::create().await;
    let mut old = Vec::new();
    for name in ["one", "two", "three", "four"] {
        old.push(Process::start(&database, name).await);
        for _ in 0..2 {
            for process in &old {
                process.balance().await;
            }
        }
    }
    let mut new = Vec::new();
    for name in ["five", "six", "seven", "eight"] {
        new.push(Process::start(&database, name).await);
    }
    for process in &old {
        expire(&database, process).await;
    }
    let rounds = new.iter().map(|process| async {
        for _ in 0..3 {
            process.balance().await;
        }
    });
    futures_util::future::join_all(rounds).await;
    // Who came first may have more than its share: a round to give it away, and one to take it.
    for process in new.iter().chain(&new) {
        process.balance().await;
    }
    let owned: Vec<BTreeSet<i32>> = new.iter().map(Process::owned).collect();
    let all: BTreeSet<i32> = owned.iter().flatten().copied().collect();
    assert_eq!(all.len(), 64);
    assert_eq!(owned.iter().map(BTreeSet::len).collect::<Vec<_>>(), [16; 4]);
}
