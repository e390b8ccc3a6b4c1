//! Logins and the life of a session.

use std::sync::atomic::{AtomicU32, Ordering};

use domain::bot::FailureClass;
use serde_json::{Value, json};
use workers::platform::{
    LoginCredentials, Platform, PlatformError, PlatformErrorKind, SessionBlob, SessionId,
    sandbox::{Fault, FaultKind, PASSWORD, VERIFICATION_CODE},
    with_session,
};

use super::support::{ACCOUNT, World, call, control, log_in};

async fn login_error(world: &World, credentials: LoginCredentials) -> PlatformError {
    world.gateway.login(call(), &credentials).await.expect_err("no login")
}

fn settings(blob: &SessionBlob) -> Value {
    serde_json::from_str(blob.expose()).expect("JSON")
}

#[tokio::test]
async fn every_way_to_fail_a_login_is_told_apart() {
    let world = World::new().await;
    let error = |name: &'static str, password: &'static str| login_error(&world, LoginCredentials::new(name, password));
    assert_eq!(error(ACCOUNT, "wrong").await.kind, PlatformErrorKind::BadPassword);
    assert_eq!(error("wrong.password", PASSWORD).await.kind, PlatformErrorKind::BadPassword);
    assert_eq!(error("nobody.here", PASSWORD).await.kind, PlatformErrorKind::ProxyAddressIsBlocked);
    assert_eq!(error("two.factor", PASSWORD).await.kind, PlatformErrorKind::TwoFactorRequired);
    assert_eq!(error("challenge.met", PASSWORD).await.kind, PlatformErrorKind::ChallengeRequired);
    let wrong_code = LoginCredentials::new("two.factor", PASSWORD).with_code("000000");
    let wrong_code = login_error(&world, wrong_code).await;
    assert_eq!((wrong_code.kind, wrong_code.class), (PlatformErrorKind::CodeTurnedDown, FailureClass::LoginEnded));
}

#[tokio::test]
async fn a_two_factor_login_repeats_the_call_with_the_code() {
    let world = World::new().await;
    let credentials = LoginCredentials::new("two.factor", PASSWORD).with_code(VERIFICATION_CODE);
    let session = world.gateway.login(call(), &credentials).await.expect("a login");
    let account = world.gateway.account(call(), &session).await.expect("an account");
    assert_eq!(account.username, "two.factor");
}

#[tokio::test]
async fn a_failed_login_is_not_tried_again() {
    let world = World::new().await;
    let before = world.sandbox.requests("POST /auth/login");
    let fail = FaultKind::Fail { exc_type: "ClientUnknownError".to_owned(), detail: None };
    world.sandbox.inject(Fault::new(fail).on("POST /auth/login"));
    let error = login_error(&world, LoginCredentials::new(ACCOUNT, PASSWORD)).await;
    assert_eq!(error.class, FailureClass::Transport);
    assert_eq!(world.sandbox.requests("POST /auth/login"), before + 1);
}

#[tokio::test]
async fn a_challenge_is_over_when_the_person_has_settled_it() {
    let world = World::new().await;
    control(&world.sandbox, "POST", "/sandbox/challenges/settle", Some(json!({ "account": "challenge.met" }))).await;
    log_in(&world.gateway, "challenge.met").await;
    control(&world.sandbox, "POST", "/sandbox/challenges/raise", Some(json!({ "account": ACCOUNT }))).await;
    let error = login_error(&world, LoginCredentials::new(ACCOUNT, PASSWORD)).await;
    assert_eq!(error.class, FailureClass::PersonNeeded);
}

#[tokio::test]
async fn every_login_invents_a_device_and_an_import_keeps_it() {
    let world = World::new().await;
    let first = world.gateway.export_session(call(), &world.session).await.expect("an export");
    let other = log_in(&world.gateway, ACCOUNT).await;
    let second = world.gateway.export_session(call(), &other).await.expect("an export");
    assert_ne!(settings(&first)["uuids"], settings(&second)["uuids"]);
    let imported = world.gateway.import_session(call(), &first).await.expect("an import");
    assert_eq!(imported, world.session);
    let again = world.gateway.export_session(call(), &imported).await.expect("an export");
    assert_eq!(settings(&again), settings(&first));
}

#[tokio::test]
async fn both_forms_of_a_session_id_are_the_same_session() {
    let world = World::new().await;
    assert!(world.session.expose().contains("%3A"));
    let decoded = SessionId::new(world.session.expose().replace("%3A", ":"));
    let account = world.gateway.account(call(), &decoded).await.expect("an account");
    assert_eq!(account.username, ACCOUNT);
}

#[tokio::test]
async fn a_lost_session_is_imported_once_and_the_call_repeated_once() {
    let world = World::new().await;
    let blob = world.gateway.export_session(call(), &world.session).await.expect("an export");
    let media = world.media().await;
    world.sandbox.lose_sessions(None);
    let fetched = AtomicU32::new(0);
    let fetch = || {
        fetched.fetch_add(1, Ordering::Relaxed);
        let blob = blob.clone();
        async move { Ok::<_, PlatformError>(Some(blob)) }
    };
    let (gateway, like) = (&world.gateway, &media);
    let answer = with_session(gateway, call(), &world.session, fetch, |session| async move {
        gateway.like(call(), &session, like).await
    })
    .await;
    answer.expect("a like");
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 1);
    assert_eq!(world.sandbox.requests("POST /media/like"), 2);
    assert_eq!(world.sandbox.totals(Some(ACCOUNT)).by_kind["LIKE"], 1);
}

#[tokio::test]
async fn a_session_that_is_lost_again_is_told_and_not_imported_again() {
    let world = World::new().await;
    let blob = world.gateway.export_session(call(), &world.session).await.expect("an export");
    world.sandbox.inject(Fault::new(FaultKind::SessionLost).on("GET /account").times(2));
    let gateway = &world.gateway;
    let fetch = || async { Ok::<_, PlatformError>(Some(blob)) };
    let answer = with_session(gateway, call(), &world.session, fetch, |session| async move {
        gateway.account(call(), &session).await
    })
    .await;
    let error = answer.expect_err("lost twice");
    assert_eq!((error.class, error.kind), (FailureClass::SessionLost, PlatformErrorKind::SessionLost));
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 1);
    assert_eq!(world.sandbox.requests("GET /account"), 2);
}

#[tokio::test]
async fn a_lost_session_without_an_export_stays_lost() {
    let world = World::new().await;
    world.sandbox.lose_sessions(Some(ACCOUNT));
    let gateway = &world.gateway;
    let fetch = || async { Ok::<_, PlatformError>(None) };
    let answer = with_session(gateway, call(), &world.session, fetch, |session| async move {
        gateway.account(call(), &session).await
    })
    .await;
    assert_eq!(answer.expect_err("lost").class, FailureClass::SessionLost);
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 0);
}

#[tokio::test]
async fn other_failures_import_nothing() {
    let world = World::new().await;
    for exc_type in ["LoginRequired", "ChallengeRequired", "Exception"] {
        let fail = FaultKind::Fail { exc_type: exc_type.to_owned(), detail: Some("Session ended".to_owned()) };
        world.sandbox.inject(Fault::new(fail).on("GET /account"));
        let gateway = &world.gateway;
        let fetch = || async { panic!("nothing to fetch") };
        let answer: Result<_, PlatformError> =
            with_session(gateway, call(), &world.session, fetch, |session| async move {
                gateway.account(call(), &session).await
            })
            .await;
        assert_ne!(answer.expect_err(exc_type).class, FailureClass::SessionLost);
    }
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 0);
}

#[tokio::test]
async fn a_session_that_the_platform_has_ended_cannot_be_imported() {
    let world = World::new().await;
    let blob = world.gateway.export_session(call(), &world.session).await.expect("an export");
    world.sandbox.inject(Fault::new(FaultKind::SessionDeath).on("GET /account"));
    let error = world.gateway.account(call(), &world.session).await.expect_err("ended");
    assert_eq!((error.class, error.kind), (FailureClass::LoginEnded, PlatformErrorKind::LoginRequired));
    let media = "11_22".parse().expect("an id");
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("ended for good");
    assert_eq!(error.class, FailureClass::LoginEnded);
    let error = world.gateway.import_session(call(), &blob).await.expect_err("ended");
    assert_eq!(error.class, FailureClass::LoginEnded);
    assert!(world.sandbox.ledger(None).is_empty());
    log_in(&world.gateway, ACCOUNT).await;
}

#[tokio::test]
async fn an_export_that_turns_certificate_checks_off_is_not_imported() {
    let world = World::new().await;
    let blob = world.gateway.export_session(call(), &world.session).await.expect("an export");
    let mut unsafe_settings = settings(&blob);
    unsafe_settings["tls_verify"] = json!(false);
    let error =
        world.gateway.import_session(call(), &SessionBlob::new(unsafe_settings.to_string())).await.expect_err("unsafe");
    assert_eq!(error.kind, PlatformErrorKind::SessionUnsafe);
    assert_eq!(world.sandbox.requests("PATCH /auth/settings"), 0);
}

#[tokio::test]
async fn an_export_without_a_login_is_refused_by_the_gateway() {
    let world = World::new().await;
    let error = world.gateway.import_session(call(), &SessionBlob::new("{}")).await.expect_err("no login in it");
    assert_eq!(error.kind, PlatformErrorKind::PreLoginRequired);
    let error = world.gateway.import_session(call(), &SessionBlob::new("{")).await.expect_err("no JSON");
    assert_eq!(error.class, FailureClass::ContractBroken);
}
