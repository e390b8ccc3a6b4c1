//! The client's own manners: limits of time and size, retries, versions, and what it sends.

use std::time::{Duration, Instant};

use domain::{bot::FailureClass, ids::AccountId};
use uuid::Uuid;
use workers::platform::{
    Call, Deadline, Gateway, GatewayConfig, Platform, PlatformErrorKind, Sent, SessionId, Tab,
    sandbox::{Fault, FaultKind},
};

use super::support::{RawReply, RawServer, World, call, client, client_with, install_tls};

fn session() -> SessionId {
    SessionId::new("77%3Aabc%3A1")
}

#[tokio::test]
async fn a_request_is_a_form_with_the_session_in_a_header() {
    let server = RawServer::answering(200, "true").await;
    let media = "11_22".parse().expect("an id");
    client(&server.url).like(call(), &session(), &media).await.expect("an answer");
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/media/like"));
    assert_eq!(seen[0].body, "media_id=11_22");
    assert_eq!(seen[0].query, "");
    assert_eq!(seen[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(seen[0].headers["x-session-id"], "77%3Aabc%3A1");
}

#[tokio::test]
async fn deletes_send_a_query_and_lists_repeat_the_field() {
    let server = RawServer::answering(200, "true").await;
    let gateway = client(&server.url);
    gateway.unfollow(call(), &session(), &5.into()).await.expect("an answer");
    gateway.see_stories(call(), &session(), &[7.into(), 8.into()]).await.expect("an answer");
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].query.as_str()), ("DELETE", "user_id=5"));
    assert_eq!((seen[1].method.as_str(), seen[1].body.as_str()), ("PATCH", "story_pks=7&story_pks=8"));
}

#[tokio::test]
async fn the_shared_cache_is_never_asked() {
    let server = RawServer::answering(200, r#"{"pk":"1"}"#).await;
    let gateway = client(&server.url);
    gateway.media(call(), &session(), &1.into()).await.expect("a media");
    gateway.story(call(), &session(), &1.into()).await.expect("a story");
    assert!(server.seen().iter().all(|seen| seen.query.contains("use_cache=false")));
}

#[tokio::test]
async fn a_direct_message_goes_to_one_person() {
    let server = RawServer::answering(200, r#"{"id":"1"}"#).await;
    client(&server.url).send_direct_message(call(), &session(), &9.into(), "hi & bye").await.expect("sent");
    assert_eq!(server.seen()[0].body, "text=hi+%26+bye&user_ids=9");
}

#[tokio::test]
async fn the_delays_of_the_contract_are_the_default() {
    let config = GatewayConfig::new("http://127.0.0.1:1");
    assert_eq!(config.read_retry_delays, [5, 30, 180].map(Duration::from_secs));
    assert_eq!(config.connect_timeout, Duration::from_secs(3));
    assert_eq!(config.call_timeout, Duration::from_secs(120));
}

#[tokio::test]
async fn the_last_delay_is_told_and_not_waited() {
    let server = RawServer::answering(503, "").await;
    let gateway = client_with(&server.url, |config| {
        config.read_retry_delays = vec![Duration::from_millis(1), Duration::from_millis(2), Duration::from_secs(180)];
    });
    let error = gateway.account(call(), &session()).await.expect_err("no answer");
    assert_eq!(error.retry_after, Some(Duration::from_secs(180)));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_retry_that_would_pass_the_deadline_is_not_begun() {
    let server = RawServer::answering(503, "").await;
    let gateway = client_with(&server.url, |config| config.read_retry_delays = vec![Duration::from_secs(60); 3]);
    let begun = Instant::now();
    let error = gateway.account(call(), &session()).await.expect_err("no answer");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(error.class, FailureClass::Transport);
    assert_eq!(error.retry_after, Some(Duration::from_secs(60)));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_write_ends_before_its_deadline_and_is_in_doubt() {
    let server = RawServer::with(RawReply { silent: true, ..RawReply::new(200, "true") }).await;
    let gateway = client(&server.url);
    let until = Call::of(AccountId::from_uuid(Uuid::nil()), Deadline::within(Duration::from_millis(300)));
    let begun = Instant::now();
    let error = gateway.follow(until, &session(), &5.into()).await.expect_err("no answer");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::NoAnswer, Sent::MaybeSent));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let server = RawServer::answering(200, "true").await;
    let late = Call::of(AccountId::from_uuid(Uuid::nil()), Deadline::within(Duration::ZERO));
    let error = client(&server.url).follow(late, &session(), &5.into()).await.expect_err("too late");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::DeadlinePassed, Sent::NotSent));
    assert!(server.seen_everything().is_empty());
}

#[tokio::test]
async fn the_clients_own_limit_ends_a_call_without_a_deadline() {
    let server = RawServer::with(RawReply { silent: true, ..RawReply::new(200, "true") }).await;
    let gateway = client_with(&server.url, |config| config.call_timeout = Duration::from_millis(200));
    let forever = Call::of(AccountId::from_uuid(Uuid::nil()), Deadline::NONE);
    let error = gateway.follow(forever, &session(), &5.into()).await.expect_err("no answer");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::NoAnswer, Sent::MaybeSent));
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let world = World::new().await;
    let media = world.media().await;
    world.sandbox.refuse_connections(Duration::from_secs(20)).await;
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no connection");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::NotConnected, Sent::NotSent));
    assert_eq!(error.class, FailureClass::Transport);
}

#[tokio::test]
async fn a_lost_reply_leaves_a_write_in_doubt() {
    let world = World::new().await;
    let media = world.media().await;
    world.sandbox.inject(Fault::new(FaultKind::LostReply { exc_type: None }).on("POST /media/like"));
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::AnswerLost, Sent::MaybeSent));
    assert_eq!(world.sandbox.requests("POST /media/like"), 1);
    let read = world.gateway.media(call(), &world.session, &media.pk()).await.expect("a read");
    assert_eq!(read.has_liked, Some(true));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let long = format!("\"{}\"", "x".repeat(5_000));
    let server = RawServer::answering(200, long).await;
    let gateway = client_with(&server.url, |config| config.max_answer_bytes = 4_096);
    let error = gateway.follow(call(), &session(), &5.into()).await.expect_err("too long");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::AnswerTooLarge, Sent::MaybeSent));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = RawServer::answering(200, "true").await;
    let mut reply = RawReply::new(307, "");
    reply.headers.push(("location", format!("{}/media/like", elsewhere.url)));
    let server = RawServer::with(reply).await;
    let media = "11_22".parse().expect("an id");
    let error = client(&server.url).like(call(), &session(), &media).await.expect_err("a redirect");
    assert_eq!(error.class, FailureClass::ContractBroken);
    assert!(elsewhere.seen_everything().is_empty());
}

#[tokio::test]
async fn a_gateway_of_an_unknown_version_is_asked_for_nothing() {
    for version in ["2.3.0", "4.8.0", "7.0.0", ""] {
        let server = RawServer::of_version(version, RawReply::new(200, "true")).await;
        let gateway = client(&server.url);
        let error = gateway.follow(call(), &session(), &5.into()).await.expect_err(version);
        assert_eq!((error.kind, error.sent), (PlatformErrorKind::VersionUnknown, Sent::NotSent));
        assert_eq!(gateway.build(call()).await.expect_err(version).class, FailureClass::ContractBroken);
        assert!(server.seen().is_empty(), "{version}");
    }
}

#[tokio::test]
async fn a_write_is_not_sent_while_the_version_cannot_be_read() {
    let world = World::new().await;
    let media = world.media().await;
    let fresh = client(&world.sandbox.url());
    let raw = FaultKind::Raw { status: 503, content_type: None, body: String::new() };
    world.sandbox.inject(Fault::new(raw).on("GET /build"));
    let error = fresh.like(call(), &world.session, &media).await.expect_err("no version");
    assert_eq!((error.kind, error.sent), (PlatformErrorKind::GatewayFailed, Sent::NotSent));
    assert!(world.sandbox.ledger(None).is_empty());
    fresh.like(call(), &world.session, &media).await.expect("a like");
}

#[tokio::test]
async fn what_an_older_gateway_lacks_is_not_offered() {
    for (version, complete) in [("4.9.0", false), ("5.1.0", true), ("6.0.0", true)] {
        let server = RawServer::of_version(version, RawReply::new(200, "true")).await;
        let gateway = client(&server.url);
        assert!(!gateway.capabilities().bulk_relationships, "not known yet");
        assert_eq!(gateway.build(call()).await.expect("known").version, version);
        assert_eq!(gateway.capabilities().bulk_relationships, complete, "{version}");
    }
}

#[tokio::test]
async fn the_version_is_asked_once_and_again_after_a_failed_connection() {
    let world = World::new().await;
    world.gateway.account(call(), &world.session).await.expect("an account");
    assert_eq!(world.sandbox.requests("GET /build"), 1);
    world.sandbox.refuse_connections(Duration::from_millis(50)).await;
    let media = "11_22".parse().expect("an id");
    world.gateway.like(call(), &world.session, &media).await.expect_err("no connection");
    let gateway = client_with(&world.sandbox.url(), |config| {
        config.read_retry_delays = vec![Duration::from_millis(20); 200];
    });
    gateway.build(call()).await.expect("back again");
    world.gateway.account(call(), &world.session).await.expect("an account");
    assert_eq!(world.sandbox.requests("GET /build"), 3);
}

#[tokio::test]
async fn a_url_template_has_a_gateway_for_each_account() {
    let server = RawServer::answering(200, r#"{"pk":"1"}"#).await;
    let gateway = client(&format!("{}/{{account}}/api/", server.url));
    let account = AccountId::from_uuid(Uuid::from_u128(42));
    gateway.account(Call::of(account, Deadline::NONE), &session()).await.expect("an answer");
    assert_eq!(server.seen()[0].path, format!("/{account}/api/account"));
    assert!(gateway.capabilities().gateway_per_account);
    let error = gateway.health(Call::service(Deadline::NONE)).await.expect_err("no account");
    assert_eq!(error.kind, PlatformErrorKind::AccountMissing);
}

#[test]
fn a_url_that_cannot_be_a_gateway_is_refused() {
    install_tls();
    for url in ["", "gateway:8000", "ftp://host", "http://user:secret@host", "http://host/?key=1", "http://host/#x"] {
        let error = Gateway::try_new(GatewayConfig::new(url)).expect_err(url);
        assert_eq!(error.code(), "GATEWAY_URL_INVALID");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
}

#[tokio::test]
async fn a_page_ends_where_the_cursor_is_empty() {
    let world = World::new().await;
    let mut cursor = None;
    let mut pks = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let page = world
            .gateway
            .hashtag_medias(call(), &world.session, super::support::HASHTAG, Tab::Recent, 10, cursor.as_ref())
            .await
            .expect("a page");
        assert!(page.items.len() <= 10);
        pks.extend(page.items.into_iter().map(|media| media.pk));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(cursor.is_none(), "the pages end");
    let hashtag = world.gateway.hashtag(call(), &world.session, super::support::HASHTAG).await.expect("a hashtag");
    assert_eq!(hashtag.media_count, Some(pks.len() as u64));
}
