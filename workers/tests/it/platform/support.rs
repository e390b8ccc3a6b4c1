//! What the platform tests share: a sandbox with a client for it, and a server that answers
//! whatever a test tells it to.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{clock::Clock, ids::AccountId};
use serde_json::Value;
use uuid::Uuid;
use workers::platform::{
    Call, Deadline, Gateway, GatewayConfig, LoginCredentials, Media, MediaId, Platform, SessionId, Tab, UserPk,
    sandbox::{PASSWORD, Sandbox, SandboxConfig, SandboxHandle},
};

pub const ACCOUNT: &str = "demo.account";
pub const HASHTAG: &str = "handmade";

/// Runs at the real pace from a fixed instant.
pub struct TestClock {
    base: DateTime<Utc>,
    begun: Instant,
}

impl TestClock {
    pub fn shared() -> Arc<dyn Clock> {
        let base = DateTime::from_timestamp(1_750_000_000, 0).expect("a valid instant");
        Arc::new(Self { base, begun: Instant::now() })
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.base + TimeDelta::from_std(self.begun.elapsed()).expect("a short test")
    }
}

pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("the first provider");
    });
}

/// A client whose read retries wait no time to speak of.
pub fn client(url: &str) -> Gateway {
    client_with(url, |_| {})
}

pub fn client_with(url: &str, change: impl FnOnce(&mut GatewayConfig)) -> Gateway {
    install_tls();
    let mut config = GatewayConfig::new(url);
    config.read_retry_delays = vec![Duration::from_millis(1); 3];
    change(&mut config);
    Gateway::try_new(config).expect("a valid configuration")
}

pub fn call() -> Call {
    Call::of(AccountId::from_uuid(Uuid::from_u128(7)), Deadline::within(Duration::from_secs(30)))
}

/// A sandbox, a client, and a session of the plain account.
pub struct World {
    pub sandbox: SandboxHandle,
    pub gateway: Gateway,
    pub session: SessionId,
}

impl World {
    pub async fn new() -> Self {
        Self::kept_in(None).await
    }

    pub async fn kept_in(ledger_file: Option<PathBuf>) -> Self {
        let config = SandboxConfig { ledger_file, ..SandboxConfig::new(TestClock::shared()) };
        let sandbox = Sandbox::start(config).await.expect("a free port");
        let gateway = client(&sandbox.url());
        let session = log_in(&gateway, ACCOUNT).await;
        Self { sandbox, gateway, session }
    }

    /// Some media of the hashtag that the account does not like yet.
    pub async fn medias(&self) -> Vec<Media> {
        let page = self.gateway.hashtag_medias(call(), &self.session, HASHTAG, Tab::Recent, 27, None).await;
        page.expect("a known hashtag").items.into_iter().filter(|media| media.has_liked == Some(false)).collect()
    }

    pub async fn media(&self) -> MediaId {
        self.medias().await.first().expect("a media").id()
    }

    /// Somebody, by privacy.
    pub async fn person(&self, private: bool) -> UserPk {
        let about = control(&self.sandbox, "GET", "/sandbox", None).await;
        let accounts = about["accounts"].as_array().expect("a list");
        let person = accounts.iter().find(|person| person["is_private"] == private && person["username"] != ACCOUNT);
        person.and_then(|person| person["pk"].as_str()).expect("such a person").parse().expect("digits")
    }

    /// Somebody who shows stories to everybody.
    pub async fn storyteller(&self) -> UserPk {
        let about = control(&self.sandbox, "GET", "/sandbox", None).await;
        let accounts = about["accounts"].as_array().expect("a list");
        let person = accounts.iter().find(|person| person["is_private"] == false && person["has_story"] == true);
        person.and_then(|person| person["pk"].as_str()).expect("such a person").parse().expect("digits")
    }
}

pub async fn log_in(gateway: &Gateway, username: &str) -> SessionId {
    let credentials = LoginCredentials::new(username, PASSWORD);
    gateway.login(call(), &credentials).await.expect("a login")
}

/// A call of the sandbox's control surface.
pub async fn control(sandbox: &SandboxHandle, method: &str, path: &str, body: Option<Value>) -> Value {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = plain_client().request(method, format!("{}{path}", sandbox.url()));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.json().await.expect("JSON")
}

pub fn plain_client() -> reqwest::Client {
    install_tls();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A server that answers every call but `GET /build` the same way, and keeps what it was asked.
pub struct RawServer {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub struct RawReply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Never answers.
    pub silent: bool,
}

impl RawReply {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), silent: false }
    }
}

impl RawServer {
    pub async fn answering(status: u16, body: impl Into<String>) -> Self {
        Self::with(RawReply::new(status, body)).await
    }

    pub async fn with(reply: RawReply) -> Self {
        Self::of_version("6.0.0", reply).await
    }

    pub async fn of_version(version: &str, reply: RawReply) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let build = serde_json::json!({ "name": "aiograpi-rest", "version": version }).to_string();
        let book = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (book, build, reply) = (Arc::clone(&book), build.clone(), reply.clone());
            async move { respond(&book, build, reply, request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// What it was asked, `GET /build` left out.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().filter(|request| !request.path.ends_with("/build")).cloned().collect()
    }

    pub fn seen_everything(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn respond(book: &Mutex<Vec<Seen>>, build: String, reply: RawReply, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let is_build = parts.uri.path().ends_with("/build");
    book.lock().expect("no panic").push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    if is_build {
        return Response::new(build.into());
    }
    if reply.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(reply.body.into());
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

/// Asks again until the answer is there; fails after two seconds.
pub async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
