//! The sandbox speaks the gateway's contract, traps included, and goes wrong when told to.

use std::time::Duration;

use serde_json::{Value, json};
use workers::platform::{
    Platform, PlatformErrorKind, Tab,
    sandbox::{Fault, FaultKind, PASSWORD, Sandbox, SandboxConfig},
};

use super::support::{ACCOUNT, HASHTAG, TestClock, World, call, control, log_in, plain_client};

/// A bare request with the session; gives status and body.
async fn ask(world: &World, method: &str, path: &str, form: Option<&str>) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = plain_client()
        .request(method, format!("{}{path}", world.sandbox.url()))
        .header("X-Session-ID", world.session.expose());
    if let Some(form) = form {
        request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn wrong_paths_methods_bodies_and_parameters_are_answered_as_the_gateway_does() {
    let world = World::new().await;
    for (method, path, form, status) in [
        ("GET", "/nowhere", None, 404),
        ("POST", "/auth/logout", Some(""), 404),
        ("PUT", "/media/like", Some("media_id=1"), 405),
        ("POST", "/media/like", Some(""), 422),
        ("GET", "/user", None, 422),
        ("GET", "/user?user_id=1&username=x", None, 422),
        ("GET", "/hashtag/media/top?name=handmade&amount=201", None, 422),
        ("GET", "/hashtag/media/top?name=handmade&amount=0", None, 422),
        ("GET", "/hashtag/media/top?name=handmade&amount=x", None, 422),
        ("GET", "/location?location_pk=here", None, 422),
        ("GET", "/media", None, 422),
        ("GET", "/direct/inbox?box=secret", None, 422),
        ("POST", "/direct/message", Some("text=x"), 422),
        ("POST", "/direct/message", Some("text=x&user_ids=1&thread_ids=2"), 422),
        ("POST", "/media/comment", Some("media_id=1&text=x&replied_to_comment_id=first"), 422),
        ("PATCH", "/auth/settings", Some(""), 422),
        ("GET", "/hashtag/media/top?name=handmade&cursor=made-up", None, 500),
    ] {
        let (answered, body) = ask(&world, method, path, form).await;
        assert_eq!(answered, status, "{method} {path} {body}");
        assert!(!body["detail"].is_null(), "{method} {path}");
    }
    assert!(world.sandbox.ledger(None).is_empty());
}

#[tokio::test]
async fn a_json_body_is_not_a_form() {
    let world = World::new().await;
    let response = plain_client()
        .post(format!("{}/auth/login", world.sandbox.url()))
        .json(&json!({ "username": ACCOUNT, "password": PASSWORD }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 422);
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["detail"][0]["loc"], json!(["body", "username"]));
}

#[tokio::test]
async fn without_a_session_the_answer_is_401_and_carries_no_name() {
    let world = World::new().await;
    let response = plain_client().get(format!("{}/account", world.sandbox.url())).send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    let body: Value = response.json().await.expect("JSON");
    assert!(body["exc_type"].is_null() && body["detail"].is_string());
}

#[tokio::test]
async fn an_unknown_session_is_lost() {
    let world = World::new().await;
    let unknown = workers::platform::SessionId::new("1%3Aabc%3A1");
    let error = world.gateway.account(call(), &unknown).await.expect_err("unknown");
    assert_eq!(error.kind, PlatformErrorKind::SessionLost);
}

#[tokio::test]
async fn some_of_the_sessions_routes_never_work() {
    let world = World::new().await;
    let (status, body) = ask(&world, "PATCH", "/auth/relogin", Some("")).await;
    assert_eq!((status, &body["exc_type"]), (500, &json!("BadCredentials")));
    let (status, body) = ask(&world, "POST", "/auth/challenge/resolve", Some("last_json={}")).await;
    assert_eq!((status, &body["exc_type"]), (403, &json!("ChallengeRequired")));
    let (status, body) = ask(&world, "PATCH", "/auth/settings", Some("settings=%7B")).await;
    assert_eq!((status, &body["exc_type"]), (500, &json!("JSONDecodeError")));
    let (status, body) = ask(&world, "POST", "/auth/login/by/sessionid", Some("sessionid=short")).await;
    assert_eq!((status, &body["exc_type"]), (500, &json!("AssertionError")));
}

#[tokio::test]
async fn a_login_by_session_overwrites_the_device() {
    let world = World::new().await;
    let before = ask(&world, "GET", "/auth/settings", None).await.1;
    let form = format!("sessionid={}", world.session.expose());
    let (status, session) = ask(&world, "POST", "/auth/login/by/sessionid", Some(&form)).await;
    assert_eq!((status, session.as_str()), (200, Some(world.session.expose())));
    let after = ask(&world, "GET", "/auth/settings", None).await.1;
    assert_ne!(before["uuids"], after["uuids"]);
    assert_eq!(before["authorization_data"]["sessionid"], after["authorization_data"]["sessionid"]);
}

#[tokio::test]
async fn the_cache_shows_one_account_what_another_saw() {
    let world = World::new().await;
    let media = world.media().await;
    world.gateway.like(call(), &world.session, &media).await.expect("a like");
    let path = format!("/media?pk={}", media.pk());
    assert_eq!(ask(&world, "GET", &path, None).await.1["has_liked"], true);
    let credentials = workers::platform::LoginCredentials::new("two.factor", PASSWORD)
        .with_code(workers::platform::sandbox::VERIFICATION_CODE);
    let other = world.gateway.login(call(), &credentials).await.expect("a login");
    let cached = plain_client()
        .get(format!("{}{path}", world.sandbox.url()))
        .header("X-Session-ID", other.expose())
        .send()
        .await
        .expect("an answer");
    assert_eq!(cached.json::<Value>().await.expect("JSON")["has_liked"], true, "the trap");
    let read = world.gateway.media(call(), &other, &media.pk()).await.expect("a read");
    assert_eq!(read.has_liked, Some(false), "the client avoids it");
}

#[tokio::test]
async fn several_people_in_one_message_are_one_group() {
    let world = World::new().await;
    let about = control(&world.sandbox, "GET", "/sandbox", None).await;
    let pks: Vec<&str> = (10..12).filter_map(|index| about["accounts"][index]["pk"].as_str()).collect();
    let form = format!("text=hello&user_ids={}&user_ids={}", pks[0], pks[1]);
    assert_eq!(ask(&world, "POST", "/direct/message", Some(&form)).await.0, 200);
    let inbox = world.gateway.inbox(call(), &world.session, None).await.expect("an inbox");
    assert_eq!(inbox.items.len(), 1);
    assert_eq!((inbox.items[0].is_group, inbox.items[0].users.len()), (Some(true), 2));
    let person = pks[0].parse().expect("an id");
    assert_eq!(world.gateway.thread_with(call(), &world.session, &person).await.expect("a read"), None);
}

#[tokio::test]
async fn a_message_with_a_link_and_a_message_into_a_thread_arrive() {
    let world = World::new().await;
    let person = world.person(false).await;
    let sent = world.gateway.send_direct_message(call(), &world.session, &person, "see http://a.example").await;
    let thread = sent.expect("sent").thread_id.expect("a thread");
    let form = format!("thread_id={thread}&text=again");
    assert_eq!(ask(&world, "POST", "/direct/thread/message", Some(&form)).await.0, 200);
    let messages = world.gateway.direct_messages(call(), &world.session, thread, 20).await.expect("messages");
    let shown: Vec<_> =
        messages.iter().map(|message| (message.item_type.as_deref(), message.text.as_deref())).collect();
    assert_eq!(shown, [(Some("text"), Some("again")), (Some("link"), Some("see http://a.example"))]);
    let form = format!("?thread_id={thread}&message_id={}", messages[0].id);
    assert_eq!(ask(&world, "DELETE", &format!("/direct/message{form}"), None).await.0, 200);
    let left = world.gateway.direct_messages(call(), &world.session, thread, 20).await.expect("messages");
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn more_followers_than_asked_for_can_come_and_places_ignore_the_amount() {
    let world = World::new().await;
    let person = world.person(false).await;
    let page = world.gateway.followers(call(), &world.session, &person, 3, None).await.expect("a page");
    assert_eq!(page.items.len(), 10);
    let places = world.gateway.search_places(call(), &world.session, "forest", Some((58.0, 26.0))).await;
    let place = places.expect("places").remove(0).pk.expect("a pk");
    let page = world.gateway.location_medias(call(), &world.session, &place, Tab::Recent, 1, None).await;
    assert!(page.expect("a page").items.len() > 1);
    assert_eq!(world.gateway.location(call(), &world.session, &place).await.expect("a place").name, "Forest Lake");
}

#[tokio::test]
async fn private_people_and_missing_things_are_refused_by_name() {
    let world = World::new().await;
    let (gateway, session) = (&world.gateway, &world.session);
    let private = world.person(true).await;
    let kind = |error: workers::platform::PlatformError| error.kind;
    let posts = gateway.user_medias(call(), session, &private, 10, None).await;
    assert_eq!(posts.map_err(kind), Err(PlatformErrorKind::PrivateAccount));
    let stories = gateway.user_stories(call(), session, &private).await;
    assert_eq!(stories.map_err(kind), Err(PlatformErrorKind::PrivateAccount));
    let followers = gateway.followers(call(), session, &private, 10, None).await;
    assert_eq!(followers.map_err(kind), Err(PlatformErrorKind::PrivateAccount));
    assert_eq!(gateway.user(call(), session, &1.into()).await.map_err(kind), Err(PlatformErrorKind::UserNotFound));
    assert_eq!(gateway.media(call(), session, &1.into()).await.map_err(kind), Err(PlatformErrorKind::MediaNotFound));
    assert_eq!(gateway.story(call(), session, &1.into()).await.map_err(kind), Err(PlatformErrorKind::StoryNotFound));
    let place = gateway.location(call(), session, &1.into()).await;
    assert_eq!(place.map_err(kind), Err(PlatformErrorKind::LocationNotFound));
    let hashtag = gateway.hashtag(call(), session, "nosuchtag").await;
    assert_eq!(hashtag.map_err(kind), Err(PlatformErrorKind::HashtagNotFound));
    let nobody = gateway.send_direct_message(call(), session, &1.into(), "hello").await;
    assert_eq!(nobody.map_err(kind), Err(PlatformErrorKind::InvalidTargetUser));
}

#[tokio::test]
async fn people_are_found_by_name_and_their_pages_agree() {
    let world = World::new().await;
    let (gateway, session) = (&world.gateway, &world.session);
    let found = gateway.search_users(call(), session, "demo.acc").await.expect("people");
    assert_eq!(found[0].username, ACCOUNT);
    let by_name = gateway.user_by_name(call(), session, ACCOUNT).await.expect("a page");
    let by_pk = gateway.user(call(), session, &found[0].pk).await.expect("a page");
    assert_eq!(by_name, by_pk);
    let posts = gateway.user_medias(call(), session, &by_pk.pk, 200, None).await.expect("a page");
    assert_eq!(posts.items.len() as u64, by_pk.media_count);
}

#[tokio::test]
async fn comments_and_likers_are_read_back() {
    let world = World::new().await;
    let (gateway, session) = (&world.gateway, &world.session);
    let media = world.medias().await.into_iter().find(|media| media.comments_disabled == Some(false)).expect("a media");
    let closed = world.medias().await.into_iter().find(|media| media.comments_disabled == Some(true)).expect("a media");
    let made = gateway.comment(call(), session, &media.id(), "so calm").await.expect("a comment");
    let comments = gateway.media_comments(call(), session, &media.id(), 20, None).await.expect("comments");
    assert_eq!((&comments.items[0].pk, comments.items[0].text.as_str()), (&made.pk, "so calm"));
    gateway.like(call(), session, &media.id()).await.expect("a like");
    let likers = gateway.media_likers(call(), session, &media.id()).await.expect("people");
    assert!(likers.iter().any(|person| person.username == ACCOUNT));
    let error = gateway.comment(call(), session, &closed.id(), "so calm").await.expect_err("turned off");
    assert_eq!(error.kind, PlatformErrorKind::CommentsDisabled);
}

#[tokio::test]
async fn the_same_seed_is_the_same_world_and_another_is_not() {
    let tags = |seed| async move {
        let config = SandboxConfig { seed, ..SandboxConfig::new(TestClock::shared()) };
        let sandbox = Sandbox::start(config).await.expect("a start");
        let gateway = super::support::client(&sandbox.url());
        let session = log_in(&gateway, ACCOUNT).await;
        let page = gateway.hashtag_medias(call(), &session, HASHTAG, Tab::Top, 20, None).await.expect("a page");
        page.items.into_iter().map(|media| media.pk.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tags(3).await, tags(3).await);
    assert_ne!(tags(3).await, tags(4).await);
}

#[tokio::test]
async fn faults_come_over_http_and_meet_only_their_calls() {
    let world = World::new().await;
    let fault = json!({ "account": ACCOUNT, "route": "GET /account", "skip": 1, "times": 2,
                        "fault": { "kind": "FAIL", "exc_type": "RateLimitError" } });
    control(&world.sandbox, "POST", "/sandbox/faults", Some(fault)).await;
    let credentials = workers::platform::LoginCredentials::new("two.factor", PASSWORD)
        .with_code(workers::platform::sandbox::VERIFICATION_CODE);
    let other = world.gateway.login(call(), &credentials).await.expect("a login");
    let mut met = Vec::new();
    for _ in 0..4 {
        world.gateway.account(call(), &other).await.expect("another account");
        met.push(world.gateway.account(call(), &world.session).await.is_err());
    }
    assert_eq!(met, [false, true, true, false]);
    let waiting = control(&world.sandbox, "GET", "/sandbox/faults", None).await;
    assert_eq!(waiting["faults"], json!([]));
}

#[tokio::test]
async fn a_fault_without_a_route_waits_for_a_call_of_an_account() {
    let world = World::new().await;
    world.sandbox.inject(Fault::new(FaultKind::LostRequest));
    world.gateway.health(call()).await.expect("health");
    world.gateway.build(call()).await.expect("a build");
    let media = "11_22".parse().expect("an id");
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!(error.kind, PlatformErrorKind::AnswerLost);
}

#[tokio::test]
async fn a_probability_repeats_with_its_seed_and_lasts_until_disarmed() {
    let world = World::new().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let fault = json!({ "route": "GET /account", "probability": 0.5, "seed": 11,
                            "fault": { "kind": "FAIL", "exc_type": "RateLimitError" } });
        control(&world.sandbox, "POST", "/sandbox/faults", Some(fault)).await;
        let mut met = Vec::new();
        for _ in 0..30 {
            met.push(world.gateway.account(call(), &world.session).await.is_err());
        }
        control(&world.sandbox, "DELETE", "/sandbox/faults", None).await;
        world.gateway.account(call(), &world.session).await.expect("disarmed");
        runs.push(met);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let world = World::new().await;
    control(&world.sandbox, "POST", "/sandbox/outage", Some(json!({ "ms": 200 }))).await;
    let refused = plain_client().get(format!("{}/health", world.sandbox.url())).send().await;
    assert!(refused.expect_err("closed").is_connect());
    let patient = super::support::client_with(&world.sandbox.url(), |config| {
        config.read_retry_delays = vec![Duration::from_millis(20); 200];
    });
    patient.account(call(), &world.session).await.expect("open again, sessions kept");
}

#[tokio::test]
async fn a_raw_reply_is_sent_as_it_is() {
    let world = World::new().await;
    let raw = FaultKind::Raw { status: 502, content_type: None, body: "<html>".to_owned() };
    world.sandbox.inject(Fault::new(raw).on("POST /media/like"));
    let media = world.media().await;
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!((error.kind, error.status), (PlatformErrorKind::GatewayFailed, Some(502)));
}

#[tokio::test]
async fn a_stopped_sandbox_frees_its_port() {
    let world = World::new().await;
    let addr = world.sandbox.addr();
    world.sandbox.stop().await;
    let config = SandboxConfig { addr, ..SandboxConfig::new(TestClock::shared()) };
    let again = Sandbox::start(config.clone()).await.expect("the same port");
    let error = Sandbox::start(config).await.expect_err("taken");
    assert_eq!(error.code(), "SANDBOX_CANNOT_LISTEN");
    again.stop().await;
}
