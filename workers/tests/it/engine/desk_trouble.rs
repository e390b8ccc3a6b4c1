//! Code that does what it must not, cancellation of what runs, and limits that are changed while jobs run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::job::{JobCommand, JobState, RetryPolicy};
use serde_json::{Value, json};
use store::engine_settings::{self, BotSettings};
use workers::WorkerConfig;
use workers::job::desk::Held;
use workers::job::{Context, Registry, StepContext, Workflow};

use super::desk::{Office, bot};
use super::scene::{World, config, until};

/// Never gives its thread back, until it is let go.
fn spinning(let_go: &Arc<AtomicBool>) -> Workflow {
    let let_go = Arc::clone(let_go);
    Workflow::new("spinning", move |_: Context, _: Value| {
        let let_go = Arc::clone(&let_go);
        async move {
            while !let_go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            Ok(())
        }
    })
}

/// One step that takes for ever, and one that cleans up.
fn endless() -> Workflow {
    Workflow::new("endless", |ctx: Context, _: Value| async move {
        let policy = RetryPolicy { timeout: Duration::from_secs(3_600), ..RetryPolicy::once() };
        let waited = ctx.step("wait", &policy, |_| async { std::future::pending::<Result<(), _>>().await }).await;
        ctx.cleanup().step("tidy", &RetryPolicy::once(), |_| async { Ok(()) }).await?;
        Ok(waited?)
    })
}

fn silent() -> Workflow {
    Workflow::new("silent", |ctx: Context, beats: bool| async move {
        let policy = RetryPolicy { heartbeat: Some(Duration::from_millis(400)), ..RetryPolicy::once() };
        let work = move |step: StepContext| async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            for _ in 0..8 {
                ticks.tick().await;
                if beats {
                    step.heartbeat();
                }
            }
            Ok(())
        };
        Ok(ctx.step("work", &policy, work).await?)
    })
}

fn huge() -> Workflow {
    Workflow::new("huge", |ctx: Context, _: Value| async move {
        Ok(ctx.step("fill", &RetryPolicy::default(), |_| async { Ok("x".repeat(300 * 1024)) }).await?)
    })
}

fn quick() -> Workflow {
    Workflow::new("quick", |ctx: Context, _: Value| async move {
        Ok(ctx.step("nothing", &RetryPolicy::once(), |_| async { Ok(()) }).await?)
    })
}

fn registry(let_go: &Arc<AtomicBool>) -> Registry {
    Registry::default().with(spinning(let_go)).with(endless()).with(silent()).with(huge()).with(quick())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_keeps_its_thread_ends_its_own_job_only() {
    let (world, let_go) = (World::new().await, Arc::new(AtomicBool::new(false)));
    let office = Office::new(&world);
    let config = WorkerConfig { stall_limit: Duration::from_secs(2), ..config() };
    let workers = world.workers_knowing(config, registry(&let_go)).await;
    let mut stuck = Vec::new();
    for _ in 0..3 {
        stuck.push(office.create(bot(), "spinning", Value::Null).await);
    }
    let waits = office.create(bot(), "endless", Value::Null).await;
    for job in stuck {
        office.reaches(job, JobState::Failed).await;
        assert_eq!(office.last(job).await["code"], "WORKFLOW_STALLED");
    }
    let quick = office.create(bot(), "quick", Value::Null).await;
    office.reaches(quick, JobState::Completed).await;
    office.ask(waits, JobCommand::RequestCancel { reason: "enough".to_owned(), at: world.now() }).await;
    office.reaches(waits, JobState::Cancelled).await;
    let_go.store(true, Ordering::Release);
    workers.stop().await;
}

#[tokio::test]
async fn cancellation_reaches_a_step_that_runs_and_its_cleanup_runs() {
    let (world, let_go) = (World::new().await, Arc::default());
    let office = Office::new(&world);
    let workers = world.workers_knowing(config(), registry(&let_go)).await;
    let job = office.create(bot(), "endless", Value::Null).await;
    office.reaches(job, JobState::Running).await;
    office.ask(job, JobCommand::RequestCancel { reason: "enough".to_owned(), at: world.now() }).await;
    office.reaches(job, JobState::Cancelled).await;
    let expected = ["JobCreated", "JobStarted", "JobCancelRequested", "StepCompleted", "JobCancelled"];
    assert_eq!(office.history(job).await, expected);
    workers.stop().await;
}

#[tokio::test]
async fn steps_that_break_a_rule_fail_with_its_code() {
    let (world, let_go) = (World::new().await, Arc::default());
    let office = Office::new(&world);
    let workers = world.workers_knowing(config(), registry(&let_go)).await;
    let silent = office.create(bot(), "silent", json!(false)).await;
    let beating = office.create(bot(), "silent", json!(true)).await;
    let huge = office.create(bot(), "huge", Value::Null).await;
    office.reaches(silent, JobState::Failed).await;
    office.reaches(beating, JobState::Completed).await;
    office.reaches(huge, JobState::Failed).await;
    assert_eq!(office.last(silent).await["code"], "STEP_HEARTBEAT_LOST");
    assert_eq!(office.last(huge).await["code"], "JOB_VALUE_TOO_LARGE");
    assert_eq!(office.history(huge).await, ["JobCreated", "JobStarted", "StepFailed", "JobFailed"]);
    workers.stop().await;
}

#[tokio::test]
async fn limits_are_changed_while_jobs_run() {
    let (world, let_go) = (World::new().await, Arc::default());
    let office = Office::new(&world);
    let pool = world.database.pool();
    let change = async |bot, own: BotSettings, paused: Option<String>| {
        let apply = |settings: &mut engine_settings::EngineSettings| {
            settings.paused = paused;
            settings.bots.insert(bot, own);
        };
        engine_settings::change(pool, "system:test", world.now(), apply).await.expect("it is stored");
    };
    let (quiet, other) = (bot(), bot());
    change(quiet, BotSettings { paused: Some("a look".to_owned()), ..BotSettings::default() }, None).await;
    let workers = world.workers_knowing(config(), registry(&let_go)).await;
    let held = office.create(quiet, "quick", Value::Null).await;
    until("the limit", || async { (workers.desk().held(held) == Some(Held::BotPaused)).then_some(()) }).await;
    let free = office.create(other, "quick", Value::Null).await;
    office.reaches(free, JobState::Completed).await;
    change(quiet, BotSettings::default(), Some("maintenance".to_owned())).await;
    until("the pause", || async { (workers.desk().held(held) == Some(Held::EnginePaused)).then_some(()) }).await;
    assert_eq!(workers.desk().status().held[&Held::EnginePaused], 1);
    change(quiet, BotSettings::default(), None).await;
    office.reaches(held, JobState::Completed).await;
    workers.stop().await;
}
