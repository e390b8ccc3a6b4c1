//! Commands are stored once, run one at a time for a bot, and settled only by whoever holds them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{BotId, PARTITIONS, derive, partition_of};
use serde_json::json;
use sqlx::Connection;
use store::command_queue::{CancelScope, Claim, ClaimedCommand, CommandQueue, CommandStatus, NewCommand, QueueError};
use store::lease::{PartitionLeases, WriterLease};
use store::testing::TestDatabase;
use store::writer::{Writer, WriterConfig};
use uuid::Uuid;

/// A process that owns all partitions.
struct Scene {
    database: TestDatabase,
    queue: CommandQueue,
    writer: Writer,
}

async fn writer(database: &TestDatabase, name: &str) -> Writer {
    // So long that no renewal comes in between.
    let config = WriterConfig { name: name.to_owned(), ttl: Duration::from_secs(3_600) };
    Writer::register(database.pool(), config).await.expect("it registers")
}

async fn scene() -> Scene {
    let database = TestDatabase::create().await;
    let queue = CommandQueue::new(database.pool().clone());
    let writer = writer(&database, "first").await;
    let leases = PartitionLeases::new(database.pool().clone(), writer.clone());
    leases.balance().await.expect("it takes all");
    Scene { database, queue, writer }
}

impl Scene {
    fn lease(&self) -> WriterLease {
        self.writer.lease()
    }

    async fn enqueue(&self, commands: &[NewCommand]) {
        self.queue.enqueue(commands).await.expect("they are stored");
    }

    async fn claim(&self, limit: i64) -> Vec<ClaimedCommand> {
        self.claim_at(now(), limit).await
    }

    async fn claim_at(&self, at: DateTime<Utc>, limit: i64) -> Vec<ClaimedCommand> {
        self.queue.claim(&all_partitions(), &self.lease(), at, limit).await.expect("the lease is valid")
    }

    async fn claim_one(&self) -> ClaimedCommand {
        self.claim(1).await.pop().expect("one is due")
    }

    async fn status(&self, id: Uuid) -> CommandStatus {
        self.queue.find(id).await.expect("it reads").expect("it is there").status
    }

    /// Another process finds our lease ended and takes everything over.
    async fn taken_over(&self) -> Writer {
        sqlx::query("UPDATE writers SET lease_until = clock_timestamp() - interval '1 second'")
            .execute(self.database.pool())
            .await
            .expect("the statement is good");
        let successor = writer(&self.database, "second").await;
        let leases = PartitionLeases::new(self.database.pool().clone(), successor.clone());
        let balance = leases.balance().await.expect("it takes all");
        assert_eq!(balance.taken.len(), all_partitions().len());
        successor
    }
}

fn all_partitions() -> Vec<i32> {
    (0..PARTITIONS).collect()
}

/// The engine's time in these tests; the database's is far from it.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(4_000_000_000, 0).expect("it is in range")
}

fn bot(name: &str) -> BotId {
    BotId::from_uuid(derive(&["bot", name]))
}

fn id(name: &str) -> Uuid {
    derive(&["command", name])
}

fn command(name: &str, bot_id: BotId) -> NewCommand {
    NewCommand {
        id: id(name),
        bot_id,
        kind: "test".to_owned(),
        payload: json!({ "name": name }),
        dedupe_key: None,
        group_key: None,
        priority: 0,
        not_before: now(),
        max_attempts: 3,
        correlation_id: id("correlation"),
        causation_id: id("causation"),
        actor: "system:test".to_owned(),
    }
}

fn ids(claimed: &[ClaimedCommand]) -> Vec<Uuid> {
    claimed.iter().map(|command| command.claim.command_id).collect()
}

fn lost<T: std::fmt::Debug>(result: Result<T, QueueError>) {
    let error = result.expect_err("the claim is lost");
    assert_eq!(error.code(), "COMMAND_CLAIM_LOST");
}

#[tokio::test]
async fn claimed_command_is_what_was_enqueued() {
    let scene = scene().await;
    let group_key = Some(id("run"));
    let new = NewCommand { group_key, dedupe_key: Some("once".to_owned()), ..command("one", bot("a")) };
    scene.enqueue(std::slice::from_ref(&new)).await;
    let claimed = scene.claim_one().await;
    assert_eq!(claimed.claim.command_id, new.id);
    assert_eq!(claimed.bot_id, new.bot_id);
    assert_eq!(claimed.kind, new.kind);
    assert_eq!(claimed.payload, new.payload);
    assert_eq!(claimed.group_key, group_key);
    assert_eq!(claimed.not_before, new.not_before);
    assert_eq!((claimed.attempt, claimed.max_attempts, claimed.recoveries), (0, 3, 0));
    assert_eq!(claimed.correlation_id, new.correlation_id);
    assert_eq!(claimed.causation_id, new.causation_id);
    assert_eq!(claimed.actor, new.actor);
}

#[tokio::test]
async fn second_command_with_the_same_key_is_the_first_one() {
    let scene = scene().await;
    let keyed = |name: &str| NewCommand { dedupe_key: Some("key".to_owned()), ..command(name, bot("a")) };
    let batch = [keyed("first"), keyed("second"), command("other", bot("b"))];
    let enqueued = scene.queue.enqueue(&batch).await.expect("they are stored");
    let seen: Vec<_> = enqueued.iter().map(|one| (one.id, one.is_new)).collect();
    assert_eq!(seen, [(id("first"), true), (id("first"), false), (id("other"), true)]);
    let again = scene.queue.enqueue(&[keyed("third")]).await.expect("it is stored");
    assert_eq!((again[0].id, again[0].is_new), (id("first"), false));
    assert_eq!(scene.claim(10).await.len(), 2);
}

#[tokio::test]
async fn repeated_enqueue_of_one_id_changes_nothing() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let changed = NewCommand { payload: json!("other"), ..command("one", bot("a")) };
    let again = scene.queue.enqueue(&[changed]).await.expect("it is stored");
    assert_eq!((again[0].id, again[0].is_new), (id("one"), false));
    assert_eq!(scene.claim_one().await.payload, json!({ "name": "one" }));
}

#[tokio::test]
async fn concurrent_enqueues_of_one_key_agree_on_the_first() {
    let scene = scene().await;
    let tasks = (0..8).map(|index| {
        let queue = scene.queue.clone();
        let keyed = NewCommand { dedupe_key: Some("key".to_owned()), ..command(&index.to_string(), bot("a")) };
        tokio::spawn(async move { queue.enqueue(&[keyed]).await.expect("it is stored")[0] })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.expect("it does not panic"));
    }
    let stored: HashSet<Uuid> = answers.iter().map(|answer| answer.id).collect();
    assert_eq!(stored.len(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_new).count(), 1, "{answers:?}");
}

#[tokio::test]
async fn command_of_a_transaction_that_is_rolled_back_never_was() {
    let scene = scene().await;
    let mut db = scene.database.pool().acquire().await.expect("a connection");
    let mut tx = db.begin().await.expect("it begins");
    CommandQueue::enqueue_in(&mut tx, &[command("one", bot("a"))]).await.expect("it is stored");
    tx.rollback().await.expect("it rolls back");
    assert_eq!(scene.queue.find(id("one")).await.expect("it reads"), None);
    assert_eq!(scene.claim(1).await, []);
}

#[tokio::test]
async fn command_that_cannot_be_run_is_refused_and_nothing_of_its_batch_is_stored() {
    let scene = scene().await;
    let good = command("good", bot("a"));
    let bad = [
        NewCommand { kind: String::new(), ..command("bad", bot("a")) },
        NewCommand { max_attempts: 0, ..command("bad", bot("a")) },
        NewCommand { actor: "zero\0".to_owned(), ..command("bad", bot("a")) },
    ];
    for bad in bad {
        let refused = scene.queue.enqueue(&[good.clone(), bad]).await.expect_err("it is refused");
        assert_eq!(refused.code(), "COMMAND_INVALID");
    }
    assert_eq!(scene.queue.counts().await.expect("it reads"), []);
}

#[tokio::test]
async fn payload_with_a_zero_character_is_kept() {
    let scene = scene().await;
    let payload = json!({ "text": "a\0b" });
    scene.enqueue(&[NewCommand { payload: payload.clone(), ..command("one", bot("a")) }]).await;
    assert_eq!(scene.claim_one().await.payload, payload);
}

#[tokio::test]
async fn claims_go_by_priority_then_time_then_id_and_the_limit_cuts_the_end_off() {
    let scene = scene().await;
    let at = |name: &str, priority: i16, minutes: i64| NewCommand {
        priority,
        not_before: now() - TimeDelta::minutes(minutes),
        ..command(name, bot(name))
    };
    let mut same = [at("same 1", 5, 1), at("same 2", 5, 1)];
    same.sort_by_key(|command| command.id);
    let [low, high] = same;
    let expected = [at("urgent", -3, 0), at("old", 5, 9), low, high, at("later", 7, 60)];
    let mut shuffled = expected.to_vec();
    shuffled.rotate_left(2);
    shuffled.swap(0, 3);
    scene.enqueue(&shuffled).await;
    let expected: Vec<Uuid> = expected.iter().map(|command| command.id).collect();
    assert_eq!(ids(&scene.claim(4).await), expected[..4]);
    assert_eq!(ids(&scene.claim(4).await), expected[4..]);
}

#[tokio::test]
async fn nothing_is_claimed_before_its_engine_time() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    assert_eq!(scene.claim_at(now() - TimeDelta::milliseconds(1), 1).await, []);
    assert_eq!(scene.queue.next_due(&all_partitions()).await.expect("it reads"), Some(now()));
    assert_eq!(scene.claim_at(now(), 1).await.len(), 1);
    assert_eq!(scene.queue.next_due(&all_partitions()).await.expect("it reads"), None);
}

#[tokio::test]
async fn bot_runs_one_command_at_a_time() {
    let scene = scene().await;
    scene.enqueue(&[command("1", bot("a")), command("2", bot("a")), command("3", bot("b"))]).await;
    let first = scene.claim(10).await;
    let bots: HashSet<BotId> = first.iter().map(|command| command.bot_id).collect();
    assert_eq!((first.len(), bots.len()), (2, 2));
    assert_eq!(scene.claim(10).await, []);
    for command in &first {
        scene.queue.complete(&command.claim, &json!(null)).await.expect("it is ours");
    }
    let second = scene.claim(10).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].bot_id, bot("a"));
}

#[tokio::test]
async fn bot_with_a_long_queue_does_not_keep_others_from_theirs() {
    let scene = scene().await;
    let same_partition = (0..).map(|number| bot(&number.to_string()));
    let mut same_partition = same_partition.filter(|bot| partition_of(*bot) == 0);
    let (busy, other) = (same_partition.next().expect("there are many"), same_partition.next().expect("many"));
    let mut commands: Vec<_> = (0..50).map(|number| command(&number.to_string(), busy)).collect();
    commands.push(NewCommand { not_before: now() - TimeDelta::seconds(1), ..command("last", other) });
    commands.reverse();
    for command in &mut commands[1..] {
        command.not_before -= TimeDelta::hours(1);
    }
    scene.enqueue(&commands).await;
    let bots: Vec<BotId> = [scene.claim(4).await, scene.claim(4).await].concat().iter().map(|one| one.bot_id).collect();
    assert_eq!(bots, [busy, other]);
}

#[tokio::test]
async fn only_own_partitions_are_claimed_from() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let others: Vec<i32> = all_partitions().into_iter().filter(|one| *one != partition_of(bot("a"))).collect();
    let claimed = scene.queue.claim(&others, &scene.lease(), now(), 10).await.expect("the lease is valid");
    assert_eq!(claimed, []);
    let newcomer = writer(&scene.database, "without partitions").await;
    let claimed = scene.queue.claim(&all_partitions(), &newcomer.lease(), now(), 10).await;
    assert_eq!(claimed.expect("the lease is valid"), []);
    assert_eq!(scene.claim(10).await.len(), 1);
}

#[tokio::test]
async fn writer_whose_lease_ended_claims_nothing() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    sqlx::query("UPDATE writers SET lease_until = clock_timestamp()")
        .execute(scene.database.pool())
        .await
        .expect("the statement is good");
    let refused = scene.queue.claim(&all_partitions(), &scene.lease(), now(), 1).await.expect_err("it is refused");
    assert_eq!(refused.code(), "STORE_FENCED");
    let refused = scene.queue.recover(&all_partitions(), &scene.lease()).await.expect_err("it is refused");
    assert_eq!(refused.code(), "STORE_FENCED");
    assert_eq!(scene.status(id("one")).await, CommandStatus::Pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_workers_run_every_command_once_and_never_two_of_a_bot() {
    let scene = Arc::new(scene().await);
    let commands: Vec<NewCommand> = (0..300)
        .map(|number| NewCommand {
            priority: i16::try_from(number % 3).expect("it is small"),
            ..command(&number.to_string(), bot(&(number % 11).to_string()))
        })
        .collect();
    let (early, late) = commands.split_at(150);
    scene.enqueue(early).await;
    let running = Arc::new(Mutex::new(HashSet::new()));
    let done = Arc::new(Mutex::new(BTreeMap::<Uuid, u32>::new()));
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let (scene, running, done) = (Arc::clone(&scene), Arc::clone(&running), Arc::clone(&done));
            tokio::spawn(async move {
                while done.lock().expect("no panics").len() < 300 {
                    for command in scene.claim(5).await {
                        let is_alone = running.lock().expect("no panics").insert(command.bot_id);
                        assert!(is_alone, "two of one bot");
                        tokio::task::yield_now().await;
                        *done.lock().expect("no panics").entry(command.claim.command_id).or_default() += 1;
                        running.lock().expect("no panics").remove(&command.bot_id);
                        scene.queue.complete(&command.claim, &json!(null)).await.expect("it is ours");
                    }
                }
            })
        })
        .collect();
    scene.enqueue(late).await;
    for worker in workers {
        tokio::time::timeout(Duration::from_secs(60), worker).await.expect("it ends").expect("it does not panic");
    }
    assert!(done.lock().expect("no panics").values().all(|times| *times == 1));
    assert_eq!(scene.queue.counts().await.expect("it reads"), [(CommandStatus::Done, 300)]);
}

#[tokio::test]
async fn snoozed_command_comes_back_at_its_time_and_loses_no_attempt() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let claimed = scene.claim_one().await;
    let later = now() + TimeDelta::hours(1);
    let status = scene.queue.snooze(&claimed.claim, later, "outside of its hours").await.expect("it is ours");
    assert_eq!(status, CommandStatus::Pending);
    assert_eq!(scene.claim(1).await, []);
    let again = scene.claim_at(later, 1).await.pop().expect("it is due");
    assert_eq!(again.attempt, 0);
    let stored = scene.queue.find(id("one")).await.expect("it reads").expect("it is there");
    assert_eq!(stored.reason.as_deref(), Some("outside of its hours"));
}

#[tokio::test]
async fn failed_command_is_tried_to_its_limit_and_then_dead_with_the_last_reason() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    for attempt in 0..3 {
        let claimed = scene.claim_one().await;
        assert_eq!(claimed.attempt, attempt);
        let reason = format!("failure {attempt}");
        let status = scene.queue.retry(&claimed.claim, now(), "TEST_FAILED", &reason).await.expect("it is ours");
        let expected = if attempt == 2 { CommandStatus::Dead } else { CommandStatus::Pending };
        assert_eq!(status, expected);
    }
    assert_eq!(scene.claim(1).await, []);
    let dead = scene.queue.dead(10).await.expect("it reads");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason_code.as_deref(), Some("TEST_FAILED"));
    assert_eq!(dead[0].reason.as_deref(), Some("failure 2"));
    assert!(dead[0].settled_at.is_some());
}

#[tokio::test]
async fn dead_command_that_is_queued_again_has_all_its_attempts() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let claimed = scene.claim_one().await;
    let refused = scene.queue.requeue_dead(id("one"), now()).await.expect_err("it runs");
    assert_eq!(refused.code(), "COMMAND_NOT_DEAD");
    scene.queue.dead_letter(&claimed.claim, "TEST_HOPELESS", "no such thing").await.expect("it is ours");
    scene.queue.requeue_dead(id("one"), now()).await.expect("it is dead");
    let again = scene.claim_one().await;
    assert_eq!(again.attempt, 0);
    let unknown = scene.queue.requeue_dead(id("unknown"), now()).await.expect_err("there is none");
    assert_eq!(unknown.code(), "COMMAND_NOT_FOUND");
}

#[tokio::test]
async fn cancelling_a_group_ends_what_waits_and_what_runs_is_not_put_back() {
    let scene = scene().await;
    let run = Some(id("run"));
    let of_run = |name: &str, bot_id| NewCommand { group_key: run, ..command(name, bot_id) };
    scene.enqueue(&[of_run("runs", bot("a")), of_run("snoozed", bot("b")), command("other", bot("c"))]).await;
    let claimed = scene.claim(3).await;
    let claim_of = |name: &str| claimed.iter().find(|one| one.claim.command_id == id(name)).expect("claimed").claim;
    let later = now() + TimeDelta::hours(1);
    scene.queue.snooze(&claim_of("snoozed"), later, "not now").await.expect("it is ours");
    scene.enqueue(&[of_run("waits", bot("a"))]).await;
    assert_eq!(scene.queue.open_in_group(id("run")).await.expect("it reads"), 3);
    let cancelled = scene.queue.cancel(CancelScope::Group(id("run")), "the person stopped it").await.expect("it works");
    assert_eq!((cancelled.cancelled, cancelled.running), (2, 1));
    let status = scene.queue.snooze(&claim_of("runs"), later, "not now").await.expect("it is ours");
    assert_eq!(status, CommandStatus::Cancelled);
    assert_eq!(scene.queue.open_in_group(id("run")).await.expect("it reads"), 0);
    let stored = scene.queue.find(id("runs")).await.expect("it reads").expect("it is there");
    assert_eq!(stored.reason.as_deref(), Some("the person stopped it"));
    scene.queue.complete(&claim_of("other"), &json!(null)).await.expect("it is ours, and not of the group");
}

#[tokio::test]
async fn cancelled_command_that_was_finished_all_the_same_is_done() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let claimed = scene.claim_one().await;
    let cancelled = scene.queue.cancel(CancelScope::Bot(bot("a")), "stop").await.expect("it works");
    assert_eq!((cancelled.cancelled, cancelled.running), (0, 1));
    scene.queue.complete(&claimed.claim, &json!({ "liked": true })).await.expect("it is ours");
    let stored = scene.queue.find(id("one")).await.expect("it reads").expect("it is there");
    assert_eq!((stored.status, stored.result), (CommandStatus::Done, Some(json!({ "liked": true }))));
}

#[tokio::test]
async fn one_command_can_be_cancelled_alone() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a")), command("two", bot("a"))]).await;
    scene.queue.cancel(CancelScope::Command(id("one")), "not this").await.expect("it works");
    assert_eq!(ids(&scene.claim(2).await), [id("two")]);
    assert_eq!(scene.status(id("one")).await, CommandStatus::Cancelled);
}

#[tokio::test]
async fn settlement_under_an_earlier_claim_of_the_same_writer_does_not_count() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let old = scene.claim_one().await.claim;
    scene.queue.snooze(&old, now(), "not now").await.expect("it is ours");
    let new = scene.claim_one().await.claim;
    lost(scene.queue.complete(&old, &json!(null)).await);
    lost(scene.queue.retry(&old, now(), "TEST_FAILED", "late").await);
    scene.queue.complete(&new, &json!(null)).await.expect("it is ours");
    lost(scene.queue.snooze(&old, now(), "late").await);
    let unknown = Claim { command_id: id("unknown"), ..new };
    lost(scene.queue.complete(&unknown, &json!(null)).await);
}

#[tokio::test]
async fn repeated_settlement_of_one_claim_succeeds_and_counts_once() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    let first = scene.claim_one().await.claim;
    for _ in 0..2 {
        let status = scene.queue.retry(&first, now(), "TEST_FAILED", "no answer").await.expect("it is ours");
        assert_eq!(status, CommandStatus::Pending);
    }
    let second = scene.claim_one().await;
    assert_eq!(second.attempt, 1);
    for _ in 0..2 {
        scene.queue.complete(&second.claim, &json!(null)).await.expect("it is ours");
    }
    lost(scene.queue.snooze(&second.claim, now(), "changed my mind").await);
    assert_eq!(scene.status(id("one")).await, CommandStatus::Done);
}

#[tokio::test]
async fn command_of_a_lost_process_is_recovered_and_its_old_holder_cannot_settle_it() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a")), command("cancelled", bot("b"))]).await;
    let old = scene.claim(2).await;
    scene.queue.cancel(CancelScope::Bot(bot("b")), "stop").await.expect("it works");
    let successor = scene.taken_over().await.lease();
    assert_eq!(scene.queue.claim(&all_partitions(), &successor, now(), 2).await.expect("the lease is valid"), []);
    let recovered = scene.queue.recover(&all_partitions(), &successor).await.expect("the lease is valid");
    assert_eq!((recovered.pending, recovered.ended), (1, 1));
    for command in &old {
        lost(scene.queue.complete(&command.claim, &json!(null)).await);
    }
    let again = scene.queue.claim(&all_partitions(), &successor, now(), 2).await.expect("the lease is valid");
    assert_eq!(ids(&again), [id("one")]);
    assert_eq!((again[0].attempt, again[0].recoveries), (0, 1));
    let old = old.iter().find(|command| command.claim.command_id == id("one")).expect("it was claimed");
    lost(scene.queue.snooze(&old.claim, now(), "late").await);
    let recovered = scene.queue.recover(&all_partitions(), &successor).await.expect("the lease is valid");
    assert_eq!((recovered.pending, recovered.ended), (0, 0), "its own are left alone");
    assert_eq!(scene.status(id("cancelled")).await, CommandStatus::Cancelled);
}

#[tokio::test]
async fn commands_of_partitions_of_others_are_not_recovered() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    scene.claim_one().await;
    let newcomer = writer(&scene.database, "without partitions").await;
    let recovered = scene.queue.recover(&all_partitions(), &newcomer.lease()).await.expect("the lease is valid");
    assert_eq!((recovered.pending, recovered.ended), (0, 0));
    assert_eq!(scene.status(id("one")).await, CommandStatus::Running);
}

#[tokio::test]
async fn command_that_loses_its_process_again_and_again_is_dead() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a"))]).await;
    scene.claim_one().await;
    sqlx::query("UPDATE commands SET recoveries = 49").execute(scene.database.pool()).await.expect("it is good");
    let successor = scene.taken_over().await;
    let recovered = scene.queue.recover(&all_partitions(), &successor.lease()).await.expect("the lease is valid");
    assert_eq!((recovered.pending, recovered.ended), (0, 1));
    let dead = scene.queue.dead(1).await.expect("it reads");
    assert_eq!(dead[0].reason_code.as_deref(), Some("COMMAND_HOLDER_LOST"));
}

#[tokio::test]
async fn worker_is_woken_by_an_enqueue_that_came_before_it_waits() {
    let scene = scene().await;
    let mut signal = scene.queue.wake_signal();
    scene.enqueue(&[command("one", bot("a"))]).await;
    let long = Duration::from_secs(600);
    let woken = tokio::time::timeout(Duration::from_secs(30), signal.wait(long)).await;
    woken.expect("it is woken");
    let claimed = scene.claim_one().await;
    scene.queue.snooze(&claimed.claim, now(), "not now").await.expect("it is ours");
    let woken = tokio::time::timeout(Duration::from_secs(30), signal.wait(long)).await;
    woken.expect("a settlement frees the bot, so it wakes too");
    signal.wait(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn counts_tell_every_status_that_occurs() {
    let scene = scene().await;
    let names = ["a", "b", "c", "d", "e"];
    scene.enqueue(&names.map(|name| command(name, bot(name)))).await;
    let claims: Vec<Claim> = scene.claim(4).await.iter().map(|command| command.claim).collect();
    scene.queue.complete(&claims[0], &json!(null)).await.expect("it is ours");
    scene.queue.withdraw(&claims[1], "no").await.expect("it is ours");
    scene.queue.dead_letter(&claims[2], "TEST_HOPELESS", "no").await.expect("it is ours");
    let expected = [
        (CommandStatus::Pending, 1),
        (CommandStatus::Running, 1),
        (CommandStatus::Done, 1),
        (CommandStatus::Dead, 1),
        (CommandStatus::Cancelled, 1),
    ];
    assert_eq!(scene.queue.counts().await.expect("it reads"), expected);
}

#[tokio::test]
async fn holder_withdraws_a_command_for_good() {
    let scene = scene().await;
    scene.enqueue(&[command("one", bot("a")), command("two", bot("b"))]).await;
    for claimed in scene.claim(10).await {
        scene.queue.withdraw(&claimed.claim, "STALE").await.expect("it is held");
    }
    assert!(scene.claim(10).await.is_empty());
    let stored = scene.queue.find(id("one")).await.expect("it reads").expect("it is there");
    assert_eq!((stored.status, stored.reason.as_deref()), (CommandStatus::Cancelled, Some("STALE")));
    assert!(stored.settled_at.is_some());
}

#[tokio::test]
async fn claim_whose_answer_was_lost_is_put_back_and_no_other() {
    let scene = scene().await;
    scene.enqueue(&[command("known", bot("a")), command("unknown", bot("b"))]).await;
    assert_eq!(scene.claim(10).await.len(), 2);
    let put_back = scene.queue.put_back(&scene.lease(), &[id("known")]).await.expect("it works");
    assert_eq!(put_back, 1);
    assert_eq!(scene.status(id("known")).await, CommandStatus::Running);
    assert_eq!(ids(&scene.claim(10).await), [id("unknown")]);
}

#[tokio::test]
async fn settled_commands_are_forgotten_in_batches_when_they_are_old_and_nothing_else_is() {
    let scene = scene().await;
    let names = ["done", "withdrawn", "young", "dead", "runs", "waits"];
    scene.enqueue(&names.map(|name| command(name, bot(name)))).await;
    for claimed in scene.claim(5).await {
        let claim = &claimed.claim;
        if [id("done"), id("young")].contains(&claim.command_id) {
            scene.queue.complete(claim, &json!(null)).await.expect("it is ours");
        } else if claim.command_id == id("withdrawn") {
            scene.queue.withdraw(claim, "no").await.expect("it is ours");
        } else if claim.command_id == id("dead") {
            scene.queue.dead_letter(claim, "TEST_HOPELESS", "no").await.expect("it is ours");
        }
    }
    sqlx::query("UPDATE commands SET settled_at = settled_at - interval '8 days' WHERE command_id <> $1")
        .bind(id("young"))
        .execute(scene.database.pool())
        .await
        .expect("it works");
    let week = Duration::from_secs(7 * 24 * 3_600);
    assert_eq!(scene.queue.forget_settled(week, 1).await.expect("it works"), 1);
    assert_eq!(scene.queue.forget_settled(week, 10).await.expect("it works"), 1);
    assert_eq!(scene.queue.forget_settled(week, 10).await.expect("it works"), 0);
    for (name, is_there) in names.iter().zip([false, false, true, true, true, true]) {
        assert_eq!(scene.queue.find(id(name)).await.expect("it reads").is_some(), is_there, "{name}");
    }
}
