//! Runners: they follow, hear or poll, win or lose a batch, survive lost connections, and stand back for newer programs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::bot::BotState;
use projections::{
    LogEvent, Projection, ProjectionError, Projections, Runner, RunnerState, bot_status, catalogue, checkpoint,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::life::Life;
use crate::support::{World, poll};

const SOON: Duration = Duration::from_secs(20);

/// Counts events; one that is applied twice shows.
struct Tally;

#[async_trait]
impl Projection for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["tally"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        sqlx::query(
            "INSERT INTO tally (stream, events) VALUES ($1, 1)
             ON CONFLICT (stream) DO UPDATE SET events = tally.events + 1",
        )
        .bind(&event.stored.aggregate_id)
        .execute(db)
        .await?;
        Ok(())
    }
}

async fn with_tally() -> World {
    let world = World::create().await;
    world.execute("CREATE TABLE tally (stream text PRIMARY KEY, events bigint NOT NULL)").await;
    world
}

struct Running {
    projections: Projections,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    fn start(world: &World) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let all = catalogue::all(&world.queue);
        let projections = Projections::start(all, world.pool(), &world.log(), &tasks, &stop);
        tasks.close();
        Self { projections, tasks, stop }
    }

    fn state(&self, name: &str) -> RunnerState {
        let runners = self.projections.runners();
        runners.iter().find(|runner| runner.projection == name).expect("it runs here").state
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.tasks.wait()).await.expect("runners stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_reads_what_it_wrote() {
    let world = World::create().await;
    let running = Running::start(&world);
    let mut life = Life::of("ada");
    for _ in 0..3 {
        let events = if life.now == 0 { life.link() } else { life.link_again() };
        let appended = world.append("Bot", &life.id(), &events).await;
        running.projections.wait_until("bot_status", appended.last_position, SOON).await.expect("it is reached");
        let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs").expect("a row");
        assert_eq!(status.last_sequence, appended.last_sequence);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_that_hears_nothing_polls() {
    let world = with_tally().await;
    let runner = Runner::new(Arc::new(Tally), world.pool().clone(), world.deaf_log());
    let mut position = runner.position();
    let stop = CancellationToken::new();
    let task = tokio::spawn(runner.run(stop.clone()));
    let appended = world.append("Bot", &Life::of("ada").id(), &Life::of("ada").link()).await;
    let reached = position.wait_for(|at| *at >= appended.last_position);
    tokio::time::timeout(SOON, reached).await.expect("in time").expect("the runner is there");
    stop.cancel();
    task.await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_of_one_projection_apply_every_event_once() {
    let world = with_tally().await;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    for _ in 0..3 {
        // As other processes would: own connections, own ears.
        let runner = Runner::new(Arc::new(Tally), world.database.another_pool(4), world.log());
        tasks.spawn(runner.run(stop.clone()));
    }
    tasks.close();
    let mut last = 0;
    for number in 0..60 {
        let (life, events) = Life::running(&number.to_string());
        last = world.append("Bot", &life.id(), &events).await.last_position;
    }
    let watch = Projections::watch(&[Arc::new(Tally)], world.pool(), 0);
    watch.wait_until("tally", last, SOON).await.expect("it is reached");
    stop.cancel();
    tasks.wait().await;
    assert_eq!(world.value::<i64>("SELECT sum(events)::bigint FROM tally").await, last);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connection_parks_nothing() {
    let world = World::create().await;
    let running = Running::start(&world);
    let mut life = Life::of("ada");
    world.append("Bot", &life.id(), &life.link()).await;
    for _ in 0..5 {
        // Whatever the runners are doing at this moment, they lose it.
        let _ = sqlx::query(
            "SELECT pg_terminate_backend(pid)
               FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND query LIKE '%projection%'",
        )
        .execute(&world.database.another_pool(1))
        .await
        .expect("the query runs");
        let last = world.append("Bot", &life.id(), &life.link_again()).await.last_position;
        for name in ["bot_status", "actions", "audit_trail"] {
            running.projections.wait_until(name, last, SOON).await.expect("it is reached");
        }
    }
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    running.stop().await;
}

#[tokio::test]
async fn waiting_for_a_projection_that_nobody_runs_ends_with_an_error() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    let last = world.append("Bot", &life.id(), &life.link()).await.last_position;
    let watch = Projections::watch(&catalogue::read_models(), world.pool(), 0);
    let waited = watch.wait_until("bot_status", last, Duration::from_millis(50)).await;
    assert_eq!(waited.expect_err("nobody runs it").code(), "PROJECTION_NOT_REACHED");
    let unknown = watch.wait_until("nonsense", last, SOON).await;
    assert_eq!(unknown.expect_err("no such projection").code(), "PROJECTION_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_stands_back_for_a_newer_program() {
    let world = World::create().await;
    world.catch_up().await;
    world.execute("UPDATE projection_checkpoints SET version = 99 WHERE projection = 'bot_status'").await;
    let running = Running::start(&world);
    let mut life = Life::of("ada");
    let last = world.append("Bot", &life.id(), &life.link()).await.last_position;
    running.projections.wait_until("audit_trail", last, SOON).await.expect("the others go on");
    poll::until("it stands back", || async { running.state("bot_status") == RunnerState::Superseded }).await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM bot_status").await, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_older_shape_are_built_again() {
    let world = World::create().await;
    let (life, events) = Life::running("ada");
    world.append("Bot", &life.id(), &events).await;
    world.catch_up().await;
    world.execute("UPDATE projection_checkpoints SET version = 0 WHERE projection = 'bot_status'").await;
    world.execute("UPDATE bot_status SET state = 'ERROR'").await;
    let running = Running::start(&world);
    poll::until("the rows are built again", || async {
        let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs");
        status.is_some_and(|status| status.state == BotState::Running)
    })
    .await;
    let found = checkpoint::load(world.pool(), "bot_status", 0).await.expect("the query runs").expect("a row");
    assert_eq!(found.version, 1);
    running.stop().await;
}

#[tokio::test]
async fn standing_says_how_far_behind_a_projection_is() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    world.append("Bot", &life.id(), &life.link()).await;
    world.catch_up().await;
    for _ in 0..4 {
        world.append("Bot", &life.id(), &life.link_again()).await;
    }
    let standings = checkpoint::standings(world.pool()).await.expect("the query runs");
    assert_eq!(standings.len(), catalogue::all(&world.queue).len());
    for standing in standings {
        assert_eq!(standing.behind_events(), 4, "{}", standing.projection);
        // Appends are a second of engine time apart.
        assert!((standing.behind_seconds() - 4.0).abs() < 1e-9, "{}", standing.projection);
        assert_eq!(standing.parked_events, 0);
    }
}
