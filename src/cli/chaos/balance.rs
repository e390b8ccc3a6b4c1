//! The balance: what the events say, what the counters say, and what the platform saw, for each account and kind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use store::repository::DEFAULT_SHARD;
use tokio::time::sleep;
use uuid::Uuid;

use super::bots::Bot;
use super::scene::Scene;
use crate::bootstrap::core::{Core, writer_name};
use crate::cli::demo::client::get_json;
use crate::failure::{Exit, Failure};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a job may stand still that could go on.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// One account and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    pub account: String,
    pub kind: String,
    pub reserved: i64,
    pub performed: i64,
    pub refused: i64,
    pub failed: i64,
    /// Were in doubt, and were settled.
    pub reconciled: i64,
    pub in_doubt: i64,
    pub open: i64,
    /// What the read model counts as performed and as reserved.
    pub counted: i64,
    pub counted_reserved: i64,
    /// Writes that the platform carried out, and those that it saw twice without being told to by a fault.
    pub ledger: i64,
    pub duplicates: i64,
    /// Reconciled, and it was done.
    #[serde(skip)]
    pub found_done: i64,
}

/// What the jobs came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Jobs {
    pub by_state: BTreeMap<String, i64>,
    /// Live, with nothing that would wake it and no reason for that.
    pub stuck: Vec<String>,
    /// Commands that were given up, by their kind and code.
    pub dead_commands: BTreeMap<String, i64>,
}

/// Everything that is held against each other.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Balance {
    pub lines: Vec<Line>,
    pub jobs: Jobs,
    pub events: i64,
    /// Whether the stored log is what was written.
    pub log_is_whole: bool,
}

/// Lets what is under way come to its end, switches the bots off, and reads all books.
pub async fn of(scene: &mut Scene, bots: &[Bot], deadline: Instant) -> Result<Balance, Failure> {
    settled(scene, deadline).await?;
    let stuck = stuck(scene).await?;
    for bot in bots {
        bot.switch_off().await?;
    }
    let ended = |count: i64| count == 0;
    wait(scene, deadline, "the end of all jobs", LIVE_JOBS, ended).await?;
    wait(scene, deadline, "the read models", BEHIND, ended).await?;
    let mut lines = Vec::new();
    for bot in bots {
        lines.extend(of_bot(scene, bot).await?);
    }
    let jobs = Jobs { stuck, by_state: states(scene.pool()).await?, dead_commands: dead(scene.pool()).await? };
    let events = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(scene.pool()).await.map_err(failed)?;
    let log_is_whole = is_whole(scene.pool()).await?;
    Ok(Balance { lines, jobs, events, log_is_whole })
}

const OPEN_ACTIONS: &str = "SELECT count(*)::bigint FROM actions WHERE status = 'OPEN'";
const LIVE_JOBS: &str = "SELECT count(*)::bigint FROM jobs
    WHERE state NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TERMINATED', 'CONTINUED', 'NEEDS_ATTENTION')";
const BEHIND: &str = "SELECT count(*)::bigint FROM projection_checkpoints
    WHERE position < (SELECT COALESCE(max(position), 0) FROM events)";

/// Whether the stored log is what was written.
async fn is_whole(pool: &PgPool) -> Result<bool, Failure> {
    let core = Core::start(pool, &writer_name()).await?;
    let verified = store::audit::verify(pool, core.repository().as_ref(), DEFAULT_SHARD, |_| {}).await;
    core.close().await;
    Ok(verified.is_ok())
}

/// Every action that was open when the trouble ended has its outcome.
async fn settled(scene: &mut Scene, deadline: Instant) -> Result<(), Failure> {
    let open: Vec<Uuid> = sqlx::query_scalar("SELECT action_id FROM actions WHERE status = 'OPEN'")
        .fetch_all(scene.pool())
        .await
        .map_err(failed)?;
    loop {
        scene.revive_workers().await;
        let left: i64 = sqlx::query_scalar(&format!("{OPEN_ACTIONS} AND action_id = ANY($1)"))
            .bind(&open)
            .fetch_one(scene.pool())
            .await
            .map_err(failed)?;
        if left == 0 {
            return Ok(());
        }
        late(deadline, "the outcome of open actions")?;
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until the first action has its outcome: only then there is something to disturb.
pub async fn first_action(scene: &mut Scene, deadline: Instant) -> Result<(), Failure> {
    let settled = "SELECT count(*)::bigint FROM actions WHERE status <> 'OPEN'";
    wait(scene, deadline, "the first action", settled, |count| count > 0).await
}

async fn wait(
    scene: &mut Scene,
    deadline: Instant,
    what: &str,
    count: &str,
    is: impl Fn(i64) -> bool,
) -> Result<(), Failure> {
    loop {
        scene.revive_workers().await;
        if is(sqlx::query_scalar(count).fetch_one(scene.pool()).await.map_err(failed)?) {
            return Ok(());
        }
        late(deadline, what)?;
        sleep(LOOK_EVERY).await;
    }
}

fn late(deadline: Instant, what: &str) -> Result<(), Failure> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(Failure::new("CHAOS_TIMEOUT", Exit::TryLater, format!("{what} took too long"))
        .hint("the folder is kept: look at the logs, and at the tables jobs and commands"))
}

/// Jobs that need a person, wait for nothing that anybody knows of, or could go on and do not.
async fn stuck(scene: &mut Scene) -> Result<Vec<String>, Failure> {
    const IDLE: &str = "SELECT job_id::text || ' ' || state || ' ' || COALESCE(waiting_for, ''), last_sequence
           FROM jobs
          WHERE state = 'NEEDS_ATTENTION'
             OR (state IN ('PENDING', 'RUNNING', 'CANCELLING')
                 AND (runnable OR wake_at <= $1 OR (waiting_for IS NULL AND wake_at IS NULL)))";
    let until = Instant::now() + STUCK_AFTER;
    let mut stuck: Option<BTreeMap<String, i64>> = None;
    loop {
        scene.revive_workers().await;
        let rows: Vec<(String, i64)> =
            sqlx::query_as(IDLE).bind(scene.now()).fetch_all(scene.pool()).await.map_err(failed)?;
        // Only who was like this in every look, at the same event, stands still.
        let is_still = |job: &str, sequence: i64| stuck.as_ref().is_none_or(|it| it.get(job) == Some(&sequence));
        let still: BTreeMap<String, i64> = rows.into_iter().filter(|(job, at)| is_still(job, *at)).collect();
        if still.is_empty() || Instant::now() >= until {
            return Ok(still.into_keys().collect());
        }
        stuck = Some(still);
        sleep(LOOK_EVERY).await;
    }
}

async fn states(pool: &PgPool) -> Result<BTreeMap<String, i64>, Failure> {
    pairs(pool, "SELECT state, count(*)::bigint FROM jobs GROUP BY state").await
}

async fn dead(pool: &PgPool) -> Result<BTreeMap<String, i64>, Failure> {
    let dead = "SELECT kind || ' ' || COALESCE(reason_code, ''), count(*)::bigint FROM commands
                 WHERE status = 'DEAD' GROUP BY 1";
    pairs(pool, dead).await
}

async fn pairs(pool: &PgPool, query: &str) -> Result<BTreeMap<String, i64>, Failure> {
    let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(pool).await.map_err(failed)?;
    Ok(rows.into_iter().collect())
}

#[derive(Debug, FromRow)]
struct Counted {
    kind: String,
    reserved: i64,
    performed: i64,
    refused: i64,
    failed: i64,
    doubted: i64,
    found_done: i64,
    found_undone: i64,
    read_performed: i64,
    read_reserved: i64,
}

async fn of_bot(scene: &Scene, bot: &Bot) -> Result<Vec<Line>, Failure> {
    let counted: Vec<Counted> = sqlx::query_as(
        "WITH told AS (
             SELECT payload ->> 'kind' AS kind, event_type, payload ->> 'settlement' AS settlement
               FROM events
              WHERE aggregate_type = 'Bot' AND aggregate_id = $1 AND event_type LIKE 'Action%'
         ), counted AS (
             SELECT kind, sum(performed)::bigint AS performed, sum(reserved)::bigint AS reserved
               FROM bot_counters WHERE bot_id = $2 GROUP BY kind
         )
         SELECT told.kind,
                count(*) FILTER (WHERE event_type = 'ActionReserved') AS reserved,
                count(*) FILTER (WHERE event_type = 'ActionPerformed') AS performed,
                count(*) FILTER (WHERE event_type = 'ActionRefused') AS refused,
                count(*) FILTER (WHERE event_type = 'ActionFailed') AS failed,
                count(*) FILTER (WHERE event_type = 'ActionInDoubt') AS doubted,
                count(*) FILTER (WHERE event_type = 'ActionReconciled' AND settlement = 'PERFORMED') AS found_done,
                count(*) FILTER (WHERE event_type = 'ActionReconciled' AND settlement <> 'PERFORMED') AS found_undone,
                COALESCE(max(counted.performed), 0) AS read_performed,
                COALESCE(max(counted.reserved), 0) AS read_reserved
           FROM told LEFT JOIN counted ON counted.kind = told.kind
          WHERE event_type <> 'ActionKindBlocked'
          GROUP BY told.kind
          ORDER BY told.kind",
    )
    .bind(bot.id.to_string())
    .bind(bot.id)
    .fetch_all(scene.pool())
    .await
    .map_err(failed)?;
    let ledger =
        get_json(&scene.http, &format!("{}/sandbox/ledger?account={}", scene.sandbox_url(), bot.account)).await?;
    Ok(counted.into_iter().map(|counted| line(bot, counted, &ledger)).collect())
}

fn line(bot: &Bot, counted: Counted, ledger: &Value) -> Line {
    let entries = ledger["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = || entries.iter().filter(|entry| entry["kind"] == counted.kind.as_str() && entry["injected"] == false);
    let count = |entries: usize| i64::try_from(entries).unwrap_or(i64::MAX);
    let reconciled = counted.found_done + counted.found_undone;
    let in_doubt = counted.doubted - reconciled;
    Line {
        account: bot.account.clone(),
        reserved: counted.reserved,
        performed: counted.performed,
        refused: counted.refused,
        failed: counted.failed,
        reconciled,
        in_doubt,
        open: counted.reserved - counted.performed - counted.refused - counted.failed - counted.doubted,
        counted: counted.read_performed,
        counted_reserved: counted.read_reserved,
        ledger: count(ours().filter(|entry| entry["outcome"] != "REFUSED").count()),
        duplicates: count(ours().filter(|entry| entry["duplicate"] == true).count()),
        found_done: counted.found_done,
        kind: counted.kind,
    }
}

fn failed(error: sqlx::Error) -> Failure {
    store::StoreError::from(error).into()
}
