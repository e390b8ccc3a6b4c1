//! What machines ask: whether the process lives, whether it is ready, and its metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::{Probe, ProbeResult};
use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::client::Answer;

struct Gateway(AtomicBool);

#[async_trait]
impl Probe for Gateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    async fn check(&self) -> ProbeResult {
        let ready = self.0.load(Ordering::SeqCst);
        ProbeResult { ready, detail: if ready { "answers" } else { "does not answer" }.to_owned() }
    }
}

fn named<'a>(body: &'a Value, name: &str) -> &'a Value {
    body["checks"]
        .as_array()
        .expect("a list of checks")
        .iter()
        .find(|check| check["name"] == name)
        .expect("the check is named")
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_names_everything_and_is_not_when_one_is_not() {
    let gateway = Arc::new(Gateway(AtomicBool::new(true)));
    let app = TestApp::with_probe(gateway.clone()).await;
    app.user("marta").await;
    let stranger = app.server.stranger();
    assert_eq!(Answer::of(stranger.get("/health/live")).await.body, json!({ "status": "live" }));
    let ready = Answer::of(stranger.get("/health/ready")).await;
    assert_eq!((ready.status, &ready.body["status"]), (StatusCode::OK, &json!("ready")), "{}", ready.body);
    for name in ["database", "projections", "gateway"] {
        assert_eq!(named(&ready.body, name)["state"], "ready");
    }
    gateway.0.store(false, Ordering::SeqCst);
    let not_ready = Answer::of(stranger.get("/health/ready")).await;
    assert_eq!(not_ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(named(&not_ready.body, "gateway")["state"], "not ready");
    assert_eq!(named(&not_ready.body, "database")["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_that_are_far_behind_are_not_ready() {
    let app = TestApp::start().await;
    app.user("marta").await;
    app.world.execute("UPDATE shards SET head = head + 5000").await;
    let answer = Answer::of(app.server.stranger().get("/health/ready")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    let detail = named(&answer.body, "projections")["detail"].as_str().unwrap();
    assert!(detail.contains("events behind"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_alone() {
    let app = TestApp::start().await;
    let stranger = app.server.stranger();
    Answer::of(stranger.get("/health/live")).await;
    let metrics = Answer::of(stranger.get("/metrics")).await;
    assert_eq!(metrics.status, StatusCode::OK);
    let line = r#"reprise_http_requests_total{method="GET",route="/health/live",status="200"} 1"#;
    assert!(metrics.body.as_str().unwrap().contains(line), "{}", metrics.body);
    let forwarded = Answer::of(stranger.get("/metrics").header("x-forwarded-for", "10.0.0.1")).await;
    assert_eq!((forwarded.status, forwarded.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
}
