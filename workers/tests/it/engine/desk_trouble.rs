//! Code that does what it must not, cancellation of what runs, and limits that are changed while jobs run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::engine::{BotChange, SettingsChange};
use domain::job::{JobCommand, JobPriority, JobState, RetryPolicy};
use serde_json::{Value, json};
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
async fn urgent_jobs_go_first_whether_that_was_set_before_the_take_over_or_after() {
    let (world, let_go) = (World::new().await, Arc::default());
    let office = Office::new(&world);
    let whole = |paused: Option<&str>| SettingsChange {
        max_running: Some(1),
        paused: Some(paused.map(str::to_owned)),
        ..SettingsChange::default()
    };
    office.set_engine(whole(Some("until all are there"))).await;
    let bot = bot();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(office.create(bot, "quick", Value::Null).await);
    }
    let prioritize = |priority| JobCommand::Prioritize { priority, at: world.now() };
    office.ask(jobs[0], prioritize(JobPriority::Low)).await;
    office.ask(jobs[2], prioritize(JobPriority::Urgent)).await;
    let head = world.office.repository.head(store::repository::DEFAULT_SHARD).await.expect("it reads");
    for view in ["jobs", "engine_settings"] {
        world.projections.wait_until(view, head, Duration::from_secs(30)).await.expect("it follows");
    }
    let workers = world.workers_knowing(config(), registry(&let_go)).await;
    until("the three", || async { (workers.desk().status().ready == 3).then_some(()) }).await;
    let late = office.create(bot, "quick", Value::Null).await;
    until("the fourth", || async { (workers.desk().status().ready == 4).then_some(()) }).await;
    office.ask(late, prioritize(JobPriority::Low)).await;
    office.ask(jobs[0], prioritize(JobPriority::Urgent)).await;
    // The log is heard in order: with this one, what was asked before is known.
    let last = office.create(bot, "quick", Value::Null).await;
    until("the fifth", || async { (workers.desk().status().ready == 5).then_some(()) }).await;
    office.set_engine(whole(None)).await;
    let mut begun = Vec::new();
    for job in [jobs[0], jobs[1], jobs[2], late, last] {
        office.reaches(job, JobState::Completed).await;
        let started = world.history(job).await.into_iter().find(|event| event.event_type == "JobStarted");
        begun.push((started.expect("it began").position, job));
    }
    begun.sort_unstable();
    assert_eq!(begun.into_iter().map(|(_, job)| job).collect::<Vec<_>>(), [jobs[2], jobs[0], jobs[1], last, late]);
    workers.stop().await;
}

#[tokio::test]
async fn limits_are_changed_while_jobs_run() {
    let (world, let_go) = (World::new().await, Arc::default());
    let office = Office::new(&world);
    let (quiet, other) = (bot(), bot());
    let change = async |quiet_paused: Option<&str>, whole: Option<&str>| {
        let own = BotChange { bot_id: quiet, max_running: None, weight: None, paused: quiet_paused.map(str::to_owned) };
        let change =
            SettingsChange { paused: Some(whole.map(str::to_owned)), bots: vec![own], ..SettingsChange::default() };
        office.set_engine(change).await;
    };
    change(Some("a look"), None).await;
    let workers = world.workers_knowing(config(), registry(&let_go)).await;
    let held = office.create(quiet, "quick", Value::Null).await;
    until("the limit", || async { (workers.desk().held(held) == Some(Held::BotPaused)).then_some(()) }).await;
    let free = office.create(other, "quick", Value::Null).await;
    office.reaches(free, JobState::Completed).await;
    change(None, Some("maintenance")).await;
    until("the pause", || async { (workers.desk().held(held) == Some(Held::EnginePaused)).then_some(()) }).await;
    assert_eq!(workers.desk().status().held[&Held::EnginePaused], 1);
    change(None, None).await;
    office.reaches(held, JobState::Completed).await;
    workers.stop().await;
}
