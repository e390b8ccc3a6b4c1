//! Processes that are killed or stopped in the middle of appends: what they acknowledged is stored,
//! and the log has no gap and no fork. The child process is this binary again, run for one test.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::audit;
use store::error::StoreError;
use store::failpoint;
use store::repository::{AppendRequest, DEFAULT_SHARD, EventRepository};
use store::testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::support::node::Node;
use crate::support::{event, in_time, random, request, until};

/// Set for the child: where to append.
const CHILD: &str = "REPRISE_TEST_CRASH_CHILD";
const LEASE: Duration = Duration::from_millis(900);
const STREAMS: usize = 12;

/// A process that appends to some streams until something ends it, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the child process of the other tests here"]
async fn child_appends() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let options = PgConnectOptions::from_str(&url).expect("it is a URL");
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options);
    let node = Node::with_lease(&pool, LEASE).await;
    let epoch = node.writer.lease().epoch;
    println!("\nwriter {epoch}");
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let repository = node.repository.clone();
        streams.spawn(async move {
            let stream = format!("child {epoch} stream {stream}");
            for sequence in 0.. {
                let request = AppendRequest {
                    events: vec![event("one"), event("other")],
                    held_epoch: Some(epoch),
                    ..request(&stream, 2 * sequence, &[])
                };
                match repository.append(request).await {
                    Ok(appended) => println!("\nacknowledged {}:{stream}", appended.last_sequence),
                    Err(StoreError::Fenced) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    streams.join_all().await;
    println!("\nfenced");
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(database: &TestDatabase, failpoint: &str) -> Self {
        let binary = std::env::current_exe().expect("this binary is somewhere");
        let mut child = Command::new(binary)
            .args(["--exact", "crash::child_appends", "--ignored", "--nocapture", "--test-threads=1"])
            .env(CHILD, database.url())
            .env("REPRISE_FAILPOINT", failpoint)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").cast_signed())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// The next line that starts with `word`, without it.
    async fn line(&mut self, word: &str) -> String {
        loop {
            let line = in_time(word, self.lines.next_line()).await.expect("it is text");
            let line = line.unwrap_or_else(|| panic!("it ended before it said {word}"));
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// What it says until it ends.
    async fn rest(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = in_time("the end of the child", self.lines.next_line()).await.expect("it is text") {
            lines.push(line);
        }
        in_time("the end of the child", self.child.wait()).await.expect("it ends");
        lines
    }

    async fn is_stopped(&self) {
        let path = format!("/proc/{}/stat", self.pid());
        until("the stop of the child", || async {
            let stat = std::fs::read_to_string(&path).expect("it is there");
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        })
        .await;
    }
}

/// What was acknowledged, as stream and last sequence.
fn acknowledged(lines: &[String]) -> BTreeSet<(String, i64)> {
    let acknowledged = lines.iter().filter_map(|line| line.strip_prefix("acknowledged "));
    let parsed = acknowledged.filter_map(|rest| {
        let (sequence, stream) = rest.split_once(':')?;
        Some((stream.to_owned(), sequence.parse().ok()?))
    });
    parsed.collect()
}

async fn stored(database: &TestDatabase) -> BTreeSet<(String, i64)> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT aggregate_id, sequence FROM events")
        .fetch_all(database.pool())
        .await
        .expect("it is readable");
    rows.into_iter().collect()
}

/// No gap in a stream, no half of a request, and hashes that chain over all positions.
async fn is_whole(database: &TestDatabase, node: &Node) {
    let broken: Vec<String> = sqlx::query_scalar(
        "SELECT aggregate_id
           FROM events
          GROUP BY aggregate_id
         HAVING max(sequence) <> count(*) OR (aggregate_id LIKE 'child%' AND count(*) % 2 <> 0)",
    )
    .fetch_all(database.pool())
    .await
    .expect("it is readable");
    assert!(broken.is_empty(), "{broken:?}");
    audit::verify(database.pool(), &node.repository, DEFAULT_SHARD, |_| {}).await.expect("the log verifies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_process_killed_at_any_point_of_an_append_loses_nothing_that_it_acknowledged() {
    let database = TestDatabase::create().await;
    let witness = Node::start(database.pool()).await;
    for point in failpoint::APPEND {
        for nth in [1, 2 + random(20), 25 + random(60)] {
            let process = Process::start(&database, &format!("{point}:kill@{nth}"));
            let acknowledged = acknowledged(&process.rest().await);
            let stored = stored(&database).await;
            let lost: Vec<_> = acknowledged.difference(&stored).collect();
            assert!(lost.is_empty(), "at {point}@{nth} it lost {lost:?}");
            is_whole(&database, &witness).await;
            // The next writer goes on at once.
            let appended = witness.repository.append(request(&format!("after {point}@{nth}"), 0, &["x"])).await;
            appended.expect("it is appended");
        }
    }
    is_whole(&database, &witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_killed_from_outside_loses_nothing_that_it_acknowledged() {
    let database = TestDatabase::create().await;
    let witness = Node::start(database.pool()).await;
    for _ in 0..3 {
        let mut process = Process::start(&database, "");
        for _ in 0..random(200) {
            process.line("acknowledged").await;
        }
        process.signal(Signal::SIGKILL);
        let acknowledged = acknowledged(&process.rest().await);
        assert!(acknowledged.is_subset(&stored(&database).await));
        is_whole(&database, &witness).await;
    }
}

async fn lease_has_ended(database: &TestDatabase, epoch: i64) {
    until("the end of the lease", || async {
        sqlx::query_scalar("SELECT lease_until < clock_timestamp() FROM writers WHERE epoch = $1")
            .bind(epoch)
            .fetch_one(database.pool())
            .await
            .expect("it is readable")
    })
    .await;
}

async fn events_of(database: &TestDatabase, epoch: i64) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM events WHERE aggregate_id LIKE $1")
        .bind(format!("child {epoch} %"))
        .fetch_one(database.pool())
        .await
        .expect("it is readable")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_owner_stopped_past_its_lease_writes_nothing_afterwards() {
    let database = TestDatabase::create().await;
    let witness = Node::start(database.pool()).await;
    // Stopped right before it sends a statement, then anywhere.
    for failpoint in ["append.planned:stop@9", "append.gathered:stop@14", "append.committed:stop@11", ""] {
        let mut process = Process::start(&database, failpoint);
        let epoch: i64 = process.line("writer").await.parse().expect("it is a number");
        if failpoint.is_empty() {
            process.line("acknowledged").await;
            process.signal(Signal::SIGSTOP);
        }
        process.is_stopped().await;
        lease_has_ended(&database, epoch).await;
        let before = events_of(&database, epoch).await;
        assert!(before > 0);
        let takeover = request(&format!("after {epoch}"), 0, &["taken over"]);
        witness.repository.append(takeover).await.expect("it is appended");

        process.signal(Signal::SIGCONT);
        process.line("fenced").await;
        assert_eq!(events_of(&database, epoch).await, before, "stopped at {failpoint:?}");
        process.rest().await;
        is_whole(&database, &witness).await;
    }
}
