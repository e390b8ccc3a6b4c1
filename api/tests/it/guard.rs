//! What every request is checked for before it is looked at: host, page, header, type, size and rate.

use std::time::Duration;

use api::CSRF_HEADER;
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;
use crate::support::client::Answer;

const QUERY: &str = r#"{"query":"{ viewer { user { id } } }"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_cannot_act_with_our_cookie() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let own = format!("http://{}", marta.address);
    let post = || marta.bare_post("/graphql").header("content-type", "application/json").body(QUERY);
    let refused = [
        ("no header", post(), "CSRF_HEADER_MISSING"),
        ("other origin", post().header(CSRF_HEADER, "1").header("origin", "http://evil.example"), "CROSS_ORIGIN"),
        ("no origin", post().header(CSRF_HEADER, "1").header("origin", "null"), "CROSS_ORIGIN"),
        ("cross-site", post().header(CSRF_HEADER, "1").header("sec-fetch-site", "cross-site"), "CROSS_ORIGIN"),
        ("same-site", post().header(CSRF_HEADER, "1").header("sec-fetch-site", "same-site"), "CROSS_ORIGIN"),
    ];
    for (what, request, code) in refused {
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, code), "{what}");
    }
    let taken = post().header(CSRF_HEADER, "1").header("origin", &own).header("sec-fetch-site", "same-origin");
    assert_eq!(Answer::of(taken).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_is_guarded_against_pages_of_others_but_needs_no_header() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let body = json!({ "username": "marta", "password": crate::support::PASSWORD });
    let crossing = marta.bare_post("/auth/login").json(&body).header("origin", "http://evil.example");
    assert_eq!(Answer::of(crossing).await.code(), "CROSS_ORIGIN");
    assert_eq!(Answer::of(marta.bare_post("/auth/login").json(&body)).await.status, StatusCode::OK);
    let form = marta.bare_post("/auth/login").form(&[("username", "marta"), ("password", "x")]);
    let form = Answer::of(form).await;
    assert_eq!((form.status, form.code()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE_UNSUPPORTED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_origin_is_given_permission() {
    let app = TestApp::start().await;
    let stranger = app.server.stranger();
    let preflight = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("http://{}/graphql", stranger.address))
        .header("origin", "http://evil.example")
        .header("access-control-request-method", "POST");
    let answer = Answer::of(preflight).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_other_hosts_are_not_answered_unless_they_are_ours() {
    let app =
        TestApp::start_with(|deps| deps.settings.public_origins = vec!["http://reprise.example".to_owned()]).await;
    let stranger = app.server.stranger();
    let of = |host: &'static str| stranger.get("/graphql?query={__typename}").header("host", host);
    let evil = Answer::of(of("evil.example")).await;
    assert_eq!((evil.status, evil.code()), (StatusCode::MISDIRECTED_REQUEST, "HOST_NOT_ALLOWED"));
    assert_eq!(Answer::of(of("reprise.example")).await.code(), "UNAUTHENTICATED");
    assert_eq!(Answer::of(of("localhost:9999")).await.code(), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_guarding_headers() {
    let app = TestApp::start().await;
    let stranger = app.server.stranger();
    let given = "0193a1b2-c3d4-7000-8000-00000000abcd";
    let answer = Answer::of(stranger.get("/nowhere").header("x-request-id", given)).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND"));
    assert_eq!(answer.header("x-request-id"), given);
    assert_eq!(answer.body["error"]["requestId"], given);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    for bad in ["not an id", "00000000-0000-0000-0000-000000000000", "1'; DROP TABLE events"] {
        let answer = Answer::of(stranger.get("/health/live").header("x-request-id", bad)).await;
        let own = answer.header("x-request-id");
        assert!(own != bad && own.parse::<Uuid>().is_ok(), "{own}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_fit_are_refused_with_a_code_and_without_their_content() {
    let app = TestApp::start().await;
    let stranger = app.server.stranger();
    let send = |body: String| stranger.bare_post("/auth/login").header("content-type", "application/json").body(body);
    let large = Answer::of(send(format!(r#"{{"username":"{}"}}"#, "x".repeat(300_000)))).await;
    assert_eq!((large.status, large.code()), (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"));
    let broken = Answer::of(send(r#"{"username":"#.to_owned())).await;
    assert_eq!((broken.status, broken.code()), (StatusCode::BAD_REQUEST, "BODY_NOT_JSON"));
    for body in [
        r#"{"username":"marta"}"#,
        r#"{"username":7,"password":"hunter2secret"}"#,
        r#"{"username":"marta","password":"hunter2secret","role":"ADMIN"}"#,
        r#"["hunter2secret"]"#,
    ] {
        let answer = Answer::of(send(body.to_owned())).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "BODY_INVALID"), "{body}");
        assert!(!answer.body.to_string().contains("hunter2secret"), "{}", answer.body);
    }
    let wrong_method = Answer::of(stranger.get("/auth/login")).await;
    assert_eq!((wrong_method.status, wrong_method.code()), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"));
    assert_eq!(wrong_method.header("allow"), "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_asks_too_often_is_told_when_to_come_back() {
    let slow = api::auth::throttle::Rate { burst: 3, refill: Duration::from_secs(60) };
    let app = TestApp::start_with(|deps| deps.settings.session_rate = slow).await;
    let marta = app.user("marta").await.client;
    let ask = || marta.graphql("{ viewer { user { id } } }", json!({}));
    for _ in 0..3 {
        assert_eq!(ask().await.status, StatusCode::OK);
    }
    let throttled = ask().await;
    assert_eq!((throttled.status, throttled.code()), (StatusCode::TOO_MANY_REQUESTS, "THROTTLED"));
    let wait: u64 = throttled.header("retry-after").parse().expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(throttled.body["errors"][0]["extensions"]["retryAfterSeconds"], wait);
}

#[tokio::test(flavor = "multi_thread")]
async fn address_that_asks_too_often_waits_but_probes_are_answered() {
    let slow = api::auth::throttle::Rate { burst: 2, refill: Duration::from_secs(60) };
    let app = TestApp::start_with(|deps| deps.settings.peer_rate = slow).await;
    let stranger = app.server.stranger();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(Answer::of(stranger.get("/graphql?query={__typename}")).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429, 429]);
    assert_eq!(Answer::of(stranger.get("/health/live")).await.status, StatusCode::OK);
}
