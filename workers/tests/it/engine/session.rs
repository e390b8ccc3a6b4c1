//! The session's tests: proved, lost and restored, ended, unknown.

use std::time::Duration;

use chrono::TimeDelta;
use domain::bot::{ActionKind, BotCommand, BotEvent, BotState, Settlement};
use store::command_queue::CommandStatus;
use workers::WorkerConfig;
use workers::platform::sandbox::FaultKind;

use super::scene::{ACCOUNT, User, World, config};

async fn ask(world: &World, user: &User<'_>) {
    user.tell(BotCommand::RequestConnectionTest { at: world.now() }).await;
}

async fn expiry(user: &User<'_>) -> String {
    let BotEvent::SessionExpired { code, .. } = user.event("SessionExpired").await else { unreachable!() };
    assert_eq!(user.bot().await.state(), BotState::LoggedOut);
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_the_gateway_lost_is_imported_once_and_no_login_is_made() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    world.sandbox.lose_sessions(Some(ACCOUNT));
    user.verify().await;
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 1);
    assert_eq!(user.requests("POST /auth/login").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn like_with_a_session_that_the_gateway_lost_is_made_once_it_is_back() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::SessionLost, 1);
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    assert_eq!(world.ended(job).await, "PERFORMED");
    assert_eq!((user.effects().len(), user.writes().len()), (1, 1));
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_the_platform_ended_logs_the_account_out() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.inject("GET /account", FaultKind::SessionDeath, 1);
    ask(&world, &user).await;
    assert_eq!(expiry(&user).await, "LOGIN_REQUIRED");
    assert_eq!(user.requests("POST /auth/login").await, 1, "nobody logs in but the person");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_does_not_answer_says_nothing_of_the_session() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.inject("GET /account", FaultKind::LostRequest, 3);
    ask(&world, &user).await;
    user.event("ConnectionTestFailed").await;
    assert_eq!(user.bot().await.state(), BotState::LoggedIn);
    user.verify().await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_does_not_open_any_more_logs_the_account_out() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let session = user.bot().await.login().session.expect("a session");
    world.vault.erase(user.bot_id.owner(), &[session]).await.expect("it is erased");
    ask(&world, &user).await;
    assert_eq!(expiry(&user).await, "SESSION_UNREADABLE");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_past_its_age_is_not_used_any_more() {
    let world = World::new().await;
    let short = WorkerConfig { session_lifetime: TimeDelta::milliseconds(1), ..config() };
    let workers = world.workers_with(short).await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let asked = user.requests("GET /account").await;
    ask(&world, &user).await;
    assert_eq!(expiry(&user).await, "SESSION_TOO_OLD");
    assert_eq!(user.requests("GET /account").await, asked);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_lets_a_call_that_is_under_way_end_and_records_it() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::Latency { delay_ms: 500 }, 1);
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    user.event("ActionReserved").await;
    tokio::time::timeout(Duration::from_secs(20), workers.stop()).await.expect("it stops");
    assert!(world.is_over(job).await);
    assert_eq!((user.count("ActionPerformed").await, user.effects().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_no_version_knows_is_dead_with_the_reason() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let command = user.enqueue("dance", serde_json::json!({ "work": "dance" })).await;
    let dead = world.settled(command, |command| command.settled_at.is_some()).await;
    assert_eq!((dead.status, dead.reason_code.as_deref()), (CommandStatus::Dead, Some("WORK_UNKNOWN")));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_unlinked_during_a_call_leaves_no_doubt_once_the_answer_is_there() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::Latency { delay_ms: 600 }, 1);
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    user.event("ActionReserved").await;
    user.tell(BotCommand::Logout { at: world.now() }).await;
    user.tell(BotCommand::UnlinkAccount { at: world.now() }).await;
    assert_eq!(user.count("ActionInDoubt").await, 1);
    world.ended(job).await;
    let BotEvent::ActionReconciled { settlement, .. } = user.event("ActionReconciled").await else { unreachable!() };
    assert_eq!((settlement, user.effects().len()), (Settlement::Performed, 1));
    workers.stop().await;
}
