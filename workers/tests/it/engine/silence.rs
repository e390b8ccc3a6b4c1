//! When a bot must not act, the platform sees no write of its account.

use std::time::Duration;

use domain::bot::{ActionKind, BotCommand, BotState, Mode};
use domain::campaign::Module;
use domain::ids::JobId;
use workers::platform::sandbox::FaultKind;

use super::scene::{ACCOUNT, Plot, User, World, until};

async fn like(world: &World, user: &User<'_>, plot: Plot) -> JobId {
    let target = world.targets().await.media.remove(0);
    user.plan(plot, ActionKind::Like, &target).await
}

/// What a person should see of an action that was not carried out.
async fn is_withdrawn(world: &World, job: JobId) {
    // The job sees it by itself, unless the end of automation reaches it first.
    let ended = world.ended(job).await;
    assert!(["NOT_RUNNING", "JobCancelled"].contains(&ended.as_str()), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_login_nothing_is_written() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    is_withdrawn(&world, like(&world, &user, Plot::stale()).await).await;
    assert_eq!(user.writes(), []);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_logging_in_nothing_is_written() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    user.inject("POST /auth/login", FaultKind::Latency { delay_ms: 600 }, 1);
    user.request_login(None).await;
    let job = like(&world, &user, Plot::stale()).await;
    assert_eq!(user.bot().await.state(), BotState::LoggingIn);
    is_withdrawn(&world, job).await;
    assert_eq!(user.bot().await.state(), BotState::LoggedIn);
    assert_eq!(user.writes(), []);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_paused_nothing_is_written_and_once_resumed_it_is_written_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.tell(BotCommand::PauseAutomation { reason: "lunch".to_owned(), at: world.now() }).await;
    let job = like(&world, &user, plot).await;
    world.held_up(job, "HELD").await;
    assert_eq!(user.writes(), []);
    user.tell(BotCommand::ResumeAutomation { at: world.now() }).await;
    assert_eq!(world.ended(job).await, "PERFORMED");
    assert_eq!(user.effects().len(), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_error_nothing_is_written() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.tell(BotCommand::FailBot { reason: "test".to_owned(), at: world.now() }).await;
    is_withdrawn(&world, like(&world, &user, plot).await).await;
    assert_eq!(user.bot().await.state(), BotState::Error);
    assert_eq!(user.writes(), []);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_session_has_died_nothing_is_written() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::SessionDeath, 1);
    let first = like(&world, &user, plot).await;
    world.ended(first).await;
    assert_eq!(user.bot().await.state(), BotState::LoggedOut);
    assert_eq!(user.count("SessionExpired").await, 1);
    is_withdrawn(&world, like(&world, &user, plot).await).await;
    assert_eq!(user.effects(), []);
    assert_eq!(user.requests("POST /media/like").await, 1);
    assert_eq!(user.requests("POST /auth/login").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_automation_writes_nothing_of_what_was_planned() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.tell(BotCommand::DisableAutomation { reason: "enough".to_owned(), at: world.now() }).await;
    is_withdrawn(&world, like(&world, &user, plot).await).await;
    assert_eq!(user.writes(), []);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_nothing_is_written_before_the_session_is_proved() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    workers.stop().await;
    world.projected().await;
    let unreachable = FaultKind::Fail { exc_type: "ConnectProxyError".to_owned(), detail: None };
    user.inject("GET /account", unreachable, 1_000);
    let job = like(&world, &user, plot).await;

    let workers = world.workers().await;
    world.held_up(job, "SESSION_NOT_VERIFIED").await;
    until("both checks", || async { (user.count("ConnectionTestFailed").await >= 2).then_some(()) }).await;
    assert_eq!(user.bot().await.state(), BotState::Running);
    assert_eq!(user.writes(), []);

    world.clear_faults().await;
    world.clock.set_speed(600.0);
    assert_eq!(world.ended(job).await, "PERFORMED");
    assert_eq!(user.effects().len(), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bot_left_running_is_checked_when_a_process_takes_it_over() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.live().await;
    workers.kill().await;
    world.projected().await;
    let proofs = user.count("ConnectionVerified").await;
    let workers = world.workers().await;
    until("the proof", || async { (user.count("ConnectionVerified").await > proofs).then_some(()) }).await;
    assert_eq!(user.requests("POST /auth/login").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dry_run_writes_nothing() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign_id = user.campaign_on("nothing_at_all", Module::Like, 1).await;
    let enablement_id = user.enable(campaign_id, Mode::DryRun).await;
    user.event("RunFinished").await;
    let job = like(&world, &user, Plot { campaign_id, enablement_id }).await;
    assert_eq!(world.ended(job).await, "SIMULATED");
    assert_eq!(user.counters(Mode::DryRun).await.simulated, 1);
    assert_eq!(user.writes(), []);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_of_another_account_is_never_used() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    workers.stop().await;
    world.projected().await;
    let other = serde_json::json!({ "pk": "1", "username": "somebody.else" }).to_string();
    let other = FaultKind::Raw { status: 200, content_type: Some("application/json".to_owned()), body: other };
    user.inject("GET /account", other, 1);
    let job = like(&world, &user, plot).await;
    let workers = world.workers().await;
    user.event("SessionExpired").await;
    world.ended(job).await;
    assert_eq!(user.writes(), []);
    tokio::time::timeout(Duration::from_secs(20), workers.stop()).await.expect("it stops");
}
