//! Readers of the log see every committed event once, in order, wherever they start and however
//! often they restart. The same readers over an identity column do not: that is the control.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, PgPool};
use store::log::LogReader;
use store::repository::{DEFAULT_SHARD, EventRepository};
use store::testing::TestDatabase;
use store::wakeup::Wakeup;
use tokio::task::JoinSet;

use crate::support::node::Node;
use crate::support::{dawdle, in_time, random, request, until};

const WRITERS: usize = 16;
const READERS: usize = 20;
const WRITES_OF_A_WRITER: usize = 60;
const FIRST: &str = "the first one";
const LAST: &str = "the last one";
const LONGEST_PAUSE: Duration = Duration::from_millis(4);

/// A log under test. What is written is a text that occurs once.
#[async_trait]
trait Log: Send + Sync + 'static {
    /// Writes `text`, slowly; returns its position if it was committed.
    async fn write(&self, writer: usize, text: &str) -> Option<i64>;
    /// A reader that starts after `position`.
    fn reader(&self, reader: usize, position: i64) -> Box<dyn Reader>;
}

#[async_trait]
trait Reader: Send {
    /// The next ones, as soon as there are some.
    async fn next(&mut self) -> Vec<(i64, String)>;
}

/// Whether this write is one of those that abort.
fn aborts(text: &str) -> bool {
    text != FIRST && text != LAST && random(6) == 0
}

/// What one reader saw after where it started.
struct Seen {
    start: i64,
    events: Vec<(i64, String)>,
}

/// Many writers and many readers at once; returns what was committed and what each reader saw.
async fn write_and_read(log: Arc<dyn Log>) -> (BTreeMap<i64, String>, Vec<Seen>) {
    let mut committed = BTreeMap::new();
    let first = log.write(0, FIRST).await.expect("it is committed");
    committed.insert(first, FIRST.to_owned());
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        readers.spawn(read(Arc::clone(&log), reader));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            let mut committed = Vec::new();
            for number in 0..WRITES_OF_A_WRITER {
                let text = format!("{writer} wrote {number}");
                dawdle(LONGEST_PAUSE).await;
                committed.extend(log.write(writer, &text).await.map(|position| (position, text)));
            }
            committed
        });
    }
    while let Some(written) = writers.join_next().await {
        committed.extend(written.expect("the writer ends"));
    }
    let last = log.write(0, LAST).await.expect("it is committed");
    committed.insert(last, LAST.to_owned());
    let seen = readers.join_all().await;
    (committed, seen)
}

/// Starts somewhere in what is there by then, restarts from its checkpoint at random, and sometimes
/// loses what it did after the checkpoint, as a process does that is killed.
async fn read(log: Arc<dyn Log>, number: usize) -> Seen {
    let start = if number == 0 { 0 } else { anywhere(&*log, number).await };
    let mut seen = Seen { start, events: Vec::new() };
    let mut checkpoint = (start, 0);
    let mut reader = log.reader(number, start);
    loop {
        let events = reader.next().await;
        let is_over = events.iter().any(|(_, text)| text == LAST);
        seen.events.extend(events);
        if is_over {
            return seen;
        }
        match random(4) {
            0 => {
                seen.events.truncate(checkpoint.1);
                reader = log.reader(number, checkpoint.0);
            }
            1 => {
                checkpoint = (seen.events.last().map_or(start, |last| last.0), seen.events.len());
                reader = log.reader(number, checkpoint.0);
            }
            _ => {}
        }
    }
}

/// The position of something that was there after a while.
async fn anywhere(log: &dyn Log, number: usize) -> i64 {
    let mut reader = log.reader(number, 0);
    let mut position = 0;
    for _ in 0..random(40) {
        let Some((at, text)) = reader.next().await.pop() else { break };
        position = at;
        if text == LAST {
            break;
        }
    }
    // Not the end, which would leave the reader nothing to see.
    position / 2
}

fn missed(committed: &BTreeMap<i64, String>, seen: &[Seen]) -> usize {
    let lost = |seen: &Seen| {
        let all = committed.range(seen.start + 1..).map(|(&position, text)| (position, text.clone()));
        all.filter(|event| !seen.events.contains(event)).count()
    };
    seen.iter().map(lost).sum()
}

/// Our log, written by three processes and by transactions that abort after taking positions.
struct Ours {
    nodes: Vec<Node>,
    pool: PgPool,
}

#[async_trait]
impl Log for Ours {
    async fn write(&self, writer: usize, text: &str) -> Option<i64> {
        if aborts(text) {
            aborted(&self.pool, writer).await;
            return None;
        }
        let node = &self.nodes[writer % self.nodes.len()];
        let appended = node.repository.append(request(text, 0, &["x"])).await.expect("it is appended");
        Some(appended.last_position)
    }

    fn reader(&self, reader: usize, position: i64) -> Box<dyn Reader> {
        let node = &self.nodes[reader % self.nodes.len()];
        Box::new(LogReader::new(node.shared(), &node.wakeup, DEFAULT_SHARD, position))
    }
}

/// Takes the next position as an append does, stays there for a while, and aborts.
async fn aborted(pool: &PgPool, writer: usize) {
    let mut transaction = pool.begin().await.expect("it begins");
    let head: i64 = sqlx::query_scalar("UPDATE shards SET head = head + 1 RETURNING head")
        .fetch_one(&mut *transaction)
        .await
        .expect("it is updated");
    sqlx::query(
        "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                             shard, position, event_id, recorded_at)
         VALUES ('Note', $1, 1, 'Noted', '1', '{}', '{}', 0, $2, gen_random_uuid(), now())",
    )
    .bind(format!("aborted by {writer}"))
    .bind(head)
    .execute(&mut *transaction)
    .await
    .expect("it is inserted");
    dawdle(LONGEST_PAUSE).await;
    transaction.rollback().await.expect("it aborts");
}

#[async_trait]
impl Reader for LogReader {
    async fn next(&mut self) -> Vec<(i64, String)> {
        let limit = 1 + i64::try_from(random(20)).expect("a small number");
        let events = LogReader::next(self, limit).await.expect("the log is readable");
        events.into_iter().map(|event| (event.position, event.aggregate_id)).collect()
    }
}

/// What many systems do: an identity column, and `position > last`.
struct Naive {
    pool: PgPool,
}

impl Naive {
    async fn start(pool: &PgPool) -> Self {
        sqlx::query("CREATE TABLE naive (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)")
            .execute(pool)
            .await
            .expect("a table can be made");
        Self { pool: pool.clone() }
    }
}

#[async_trait]
impl Log for Naive {
    async fn write(&self, _writer: usize, text: &str) -> Option<i64> {
        let mut transaction = self.pool.begin().await.expect("it begins");
        let position = sqlx::query_scalar("INSERT INTO naive (text) VALUES ($1) RETURNING position")
            .bind(text)
            .fetch_one(&mut *transaction)
            .await
            .expect("it is inserted");
        dawdle(LONGEST_PAUSE).await;
        if aborts(text) {
            transaction.rollback().await.expect("it aborts");
            return None;
        }
        transaction.commit().await.expect("it commits");
        Some(position)
    }

    fn reader(&self, _reader: usize, position: i64) -> Box<dyn Reader> {
        Box::new(NaiveReader { pool: self.pool.clone(), position })
    }
}

struct NaiveReader {
    pool: PgPool,
    position: i64,
}

#[async_trait]
impl Reader for NaiveReader {
    async fn next(&mut self) -> Vec<(i64, String)> {
        loop {
            let rows: Vec<(i64, String)> =
                sqlx::query_as("SELECT position, text FROM naive WHERE position > $1 ORDER BY position LIMIT 20")
                    .bind(self.position)
                    .fetch_all(&self.pool)
                    .await
                    .expect("it is readable");
            if let Some(last) = rows.last() {
                self.position = last.0;
                return rows;
            }
            dawdle(LONGEST_PAUSE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_every_reader_sees_every_committed_event_once_in_order() {
    let database = TestDatabase::create().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(database.pool()).await);
    }
    let log = Arc::new(Ours { nodes, pool: database.another_pool(8) });
    let (committed, seen) = in_time("writing and reading", write_and_read(log)).await;
    assert!(committed.keys().copied().eq(1..=i64::try_from(committed.len()).expect("it is small")), "there is a gap");
    for seen in &seen {
        let all: Vec<_> = committed.range(seen.start + 1..).map(|(&at, text)| (at, text.clone())).collect();
        assert_eq!(seen.events, all, "the reader that started after {}", seen.start);
    }
    assert_eq!(missed(&committed, &seen), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_control_reader_over_an_identity_column_misses_events() {
    let database = TestDatabase::create().await;
    let log = Arc::new(Naive::start(&database.another_pool(24)).await);
    let (committed, seen) = in_time("writing and reading", write_and_read(log)).await;
    assert!(missed(&committed, &seen) > 0, "the harness would not notice a lost event");
}

#[tokio::test]
async fn reader_hears_of_another_process_before_it_would_poll() {
    let database = TestDatabase::create().await;
    let (writing, reading) = (Node::start(database.pool()).await, Node::start(database.pool()).await);
    in_time("listening", reading.wakeup.listening()).await;
    let mut heads = reading.wakeup.subscribe(DEFAULT_SHARD);
    writing.repository.append(request("a", 0, &["1", "2"])).await.expect("it is appended");
    let told = *in_time("the notification", heads.wait_for(|head| *head == 2)).await.expect("it is there");
    assert_eq!(told, 2);
}

#[tokio::test]
async fn reader_that_nobody_tells_polls() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    let deaf = Wakeup::in_process();
    let mut reader = LogReader::new(node.shared(), &deaf, DEFAULT_SHARD, 0);
    let appending = async {
        node.repository.append(request("a", 0, &["1"])).await.expect("it is appended");
    };
    let (events, ()) = in_time("polling", async { tokio::join!(LogReader::next(&mut reader, 10), appending) }).await;
    assert_eq!(events.expect("the log is readable").len(), 1);
    assert_eq!(reader.position(), 1);
}

#[tokio::test]
async fn wakeup_listens_again_after_its_connection_was_ended() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    in_time("listening", node.wakeup.listening()).await;
    let mut other = PgConnection::connect_with(database.options()).await.expect("it connects");
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid))
           FROM pg_stat_activity
          WHERE datname = current_database() AND query ILIKE 'LISTEN%'",
    )
    .fetch_one(&mut other)
    .await
    .expect("they are ended");
    assert_eq!(ended, 1);
    let heads = node.wakeup.subscribe(DEFAULT_SHARD);
    until("hearing again", || async {
        sqlx::query("SELECT pg_notify('reprise_log', '0:77')").execute(database.pool()).await.expect("it notifies");
        let heard = heads.borrow();
        *heard == 77
    })
    .await;
}

#[tokio::test]
async fn reader_stops_at_a_gap_instead_of_going_on() {
    let database = TestDatabase::create().await;
    let node = Node::start(database.pool()).await;
    node.repository.append(request("a", 0, &["1", "2", "3"])).await.expect("it is appended");
    sqlx::query("DELETE FROM events WHERE position = 2").execute(database.pool()).await.expect("it is deleted");
    let mut reader = LogReader::new(node.shared(), &node.wakeup, DEFAULT_SHARD, 0);
    let gap = reader.next(10).await.expect_err("one is missing");
    assert!(matches!(gap, store::StoreError::Corrupt { position: 2, .. }), "{gap}");
    assert_eq!(reader.position(), 0);
}
