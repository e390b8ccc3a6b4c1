//! Logins: asked for once, proved, kept sealed; and whatever the platform answers instead.

use domain::bot::{BotCommand, BotEvent, BotState, LoginFailureReason};
use store::vault::Purpose;
use workers::platform::sandbox::{FaultKind, VERIFICATION_CODE};

use super::scene::{ACCOUNT, User, World};
use crate::platform::support::control;

async fn failure(user: &User<'_>) -> LoginFailureReason {
    let BotEvent::LoginFailed { reason, .. } = user.event("LoginFailed").await else { unreachable!() };
    reason
}

fn fail(exc_type: &str) -> FaultKind {
    FaultKind::Fail { exc_type: exc_type.to_owned(), detail: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_of_a_login_is_kept_sealed_and_is_in_no_event() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let bot = user.bot().await;
    let secret = bot.login().session.expect("a session");
    let open =
        world.vault.get(secret, user.bot_id.owner(), Purpose::Session).await.expect("it opens").expect("it is there");
    let open: serde_json::Value = serde_json::from_slice(&open).expect("it is JSON");
    let session = open["session_id"].as_str().expect("the gateway's name of it");
    assert!(open["settings"].as_str().expect("its export").contains("authorization_data"));

    let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed FROM account_secrets WHERE secret_id = $1")
        .bind(secret.uuid())
        .fetch_one(world.database.pool())
        .await
        .expect("it is stored");
    assert!(!sealed.windows(session.len()).any(|part| part == session.as_bytes()));
    let events = format!("{:?}", user.events().await);
    assert!(!events.contains(session) && !events.contains(workers::platform::sandbox::PASSWORD));
    assert_eq!(user.requests("POST /auth/login").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_factor_login_needs_the_code_which_is_erased_after_its_use() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user("two.factor");
    user.link().await;
    user.request_login(None).await;
    user.event("TwoFactorRequired").await;
    let code = user.secret(Purpose::VerificationCode, VERIFICATION_CODE).await;
    user.request_login(Some(code)).await;
    user.reaches(BotState::LoggedIn).await;
    super::scene::until("the erasure of the code", || async {
        let left = world.vault.get(code, user.bot_id.owner(), Purpose::VerificationCode).await.expect("it reads");
        left.is_none().then_some(())
    })
    .await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_code_is_told_from_a_wrong_password() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user("two.factor");
    user.link().await;
    user.request_login(None).await;
    user.event("TwoFactorRequired").await;
    let code = user.secret(Purpose::VerificationCode, "000000").await;
    user.request_login(Some(code)).await;
    assert_eq!(failure(&user).await, LoginFailureReason::WrongTwoFactorCode);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password_is_tried_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user("wrong.password");
    user.link().await;
    user.request_login(None).await;
    assert_eq!(failure(&user).await, LoginFailureReason::WrongPassword);
    assert_eq!(user.requests("POST /auth/login").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenge_at_login_locks_it_until_the_person_has_settled_it() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user("challenge.met");
    user.link().await;
    user.request_login(None).await;
    user.event("ChallengeRaised").await;
    assert_eq!(user.bot().await.state(), BotState::LoggedOut);
    let settled = serde_json::json!({ "account": user.account });
    control(&world.sandbox, "POST", "/sandbox/challenges/settle", Some(settled)).await;
    user.tell(BotCommand::ResolveChallenge { at: world.now() }).await;
    user.request_login(None).await;
    user.reaches(BotState::LoggedIn).await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_a_challenge_interrupted_is_restored_without_a_new_login() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.inject("GET /account", fail("ChallengeRequired"), 1);
    user.tell(BotCommand::RequestConnectionTest { at: world.now() }).await;
    user.event("ChallengeRaised").await;
    user.tell(BotCommand::ResolveChallenge { at: world.now() }).await;
    user.request_login(None).await;
    user.reaches(BotState::LoggedIn).await;
    assert_eq!(user.requests("POST /auth/login").await, 1);
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 1);
    user.verify().await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_session_that_has_ended_is_followed_by_the_password() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.tell(BotCommand::RaiseChallenge { kind: "test".to_owned(), at: world.now() }).await;
    user.tell(BotCommand::ResolveChallenge { at: world.now() }).await;
    user.inject("GET /account", FaultKind::SessionDeath, 1);
    user.request_login(None).await;
    user.reaches(BotState::LoggedIn).await;
    assert_eq!(user.requests("POST /auth/login").await, 2);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_to_another_account_is_not_kept() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let body = serde_json::json!({ "pk": "1", "username": "somebody.else" }).to_string();
    let other = FaultKind::Raw { status: 200, content_type: Some("application/json".to_owned()), body };
    user.inject("GET /account", other, 1);
    user.request_login(None).await;
    assert_eq!(failure(&user).await, LoginFailureReason::WrongAccount);
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM account_secrets WHERE purpose = 'SESSION'")
        .fetch_one(world.database.pool())
        .await
        .expect("it reads");
    assert_eq!(sessions, 0);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_is_away_fails_the_login_without_a_word_on_the_account() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    world.sandbox.refuse_connections(std::time::Duration::from_secs(30)).await;
    user.request_login(None).await;
    assert_eq!(failure(&user).await, LoginFailureReason::GatewayUnavailable);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platform_that_asks_to_slow_down_postpones_the_next_login() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    user.inject("POST /auth/login", fail("PleaseWaitFewMinutes"), 1);
    user.request_login(None).await;
    assert_eq!(failure(&user).await, LoginFailureReason::SlowDown);
    let until = user.bot().await.login().retry_not_before.expect("a wait");
    assert!(until - world.now() > chrono::TimeDelta::minutes(25));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_that_is_gone_asks_the_platform_nothing() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let password = user.bot().await.account().expect("an account").password;
    world.vault.erase(user.bot_id.owner(), &[password]).await.expect("it is erased");
    user.request_login(None).await;
    assert_eq!(failure(&user).await, LoginFailureReason::SecretUnavailable);
    assert_eq!(user.requests("POST /auth/login").await, 0);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logged_out_account_leaves_no_secret_but_its_password() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    let session = user.bot().await.login().session.expect("a session");
    let password = user.bot().await.account().expect("an account").password;
    sqlx::query("UPDATE account_secrets SET created_at = created_at - interval '1 hour'")
        .execute(world.database.pool())
        .await
        .expect("the statement is good");
    user.tell(BotCommand::Logout { at: world.now() }).await;
    let owner = user.bot_id.owner();
    super::scene::until("the erasure of the session", || async {
        world.vault.get(session, owner, Purpose::Session).await.expect("it reads").is_none().then_some(())
    })
    .await;
    assert!(world.vault.get(password, owner, Purpose::Password).await.expect("it reads").is_some());
    workers.stop().await;
}

#[cfg(feature = "failpoints")]
mod killed {
    use super::*;
    use crate::engine::crash::snared;

    async fn killed_at(point: &'static str, logins: u64) {
        let world = World::new().await;
        let (doomed, hits) = snared(point);
        let doomed = world.workers_with(doomed).await;
        let user = world.user(ACCOUNT);
        user.link().await;
        user.request_login(None).await;
        crate::engine::scene::until("the point", || async {
            (hits.load(std::sync::atomic::Ordering::SeqCst) == 1).then_some(())
        })
        .await;
        doomed.kill().await;
        let heirs = world.workers().await;
        assert_eq!(failure(&user).await, LoginFailureReason::Interrupted);
        assert_eq!(user.requests("POST /auth/login").await, logins);
        heirs.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn login_whose_worker_died_before_the_call_is_left_to_the_person() {
        killed_at("login.reserved", 0).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn login_whose_worker_died_after_the_call_is_not_made_again() {
        killed_at("login.called", 1).await;
    }
}
