//! One request through the sandbox: its route, its session, the fault that it meets, its effect,
//! its reply. A request is carried out to its end even when the client has gone, as it would be
//! behind a gateway.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
    response::Response,
};
use chrono::{DateTime, Utc};
use domain::clock::Clock;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    SandboxConfig, SandboxError,
    calls::{Answer, FRIENDSHIP, ROUTES, Route, Session},
    control,
    fault::{FaultKind, Met},
    listener::{Connection, Outage},
    logins::decoded,
    params::Params,
    reply::{Refusal, Reply},
    state::{Asking, State},
};

const FORM: &str = "application/x-www-form-urlencoded";
const MOST_BYTES: usize = 1024 * 1024;

/// The running server.
pub(super) struct Server {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    latency: Duration,
    outage: Outage,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// How a request ends.
pub(super) enum Outcome {
    Reply(Reply),
    /// The connection is closed without a word.
    Drop,
}

/// A request that has found its route and its session.
#[derive(Clone)]
struct Call {
    route: &'static Route,
    params: Params,
    account: Option<u64>,
    session: Option<String>,
}

pub(super) fn router(server: Arc<Server>) -> Router {
    Router::new().nest("/sandbox", control::router(Arc::clone(&server))).fallback(
        move |connection: ConnectInfo<Connection>, request: Request| {
            let server = Arc::clone(&server);
            async move { server.answer(connection.0, request).await }
        },
    )
}

impl Server {
    pub(super) fn open(
        config: &SandboxConfig,
        outage: Outage,
        stopping: CancellationToken,
    ) -> Result<Self, SandboxError> {
        let state = State::open(config.seed, config.clock.now(), config.ledger_file.as_deref())?;
        Ok(Self::of(state, config, outage, stopping))
    }

    pub(super) fn of(state: State, config: &SandboxConfig, outage: Outage, stopping: CancellationToken) -> Self {
        Self {
            state: Mutex::new(state),
            clock: Arc::clone(&config.clock),
            latency: config.latency,
            outage,
            stopping,
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn outage(&self) -> &Outage {
        &self.outage
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    #[cfg(feature = "failpoints")]
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits for the requests that are under way.
    pub(super) async fn finish(&self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("some calls of the sandbox did not end in time");
        }
    }

    async fn answer(self: Arc<Self>, connection: Connection, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MOST_BYTES).await else {
            return Reply::text(413, "too large").into_response();
        };
        let tasks = self.tasks.clone();
        // On a task of its own, so that it outlives a client that gives up.
        let outcome = tasks.spawn(async move { self.serve(&parts, &body).await }).await;
        match outcome {
            Ok(Outcome::Reply(reply)) => reply.into_response(),
            Ok(Outcome::Drop) | Err(_) => {
                connection.drop_it();
                Response::default()
            }
        }
    }

    pub(super) async fn serve(self: Arc<Self>, parts: &Parts, body: &Bytes) -> Outcome {
        let (call, fault) = match self.begin(parts, body) {
            Ok(begun) => begun,
            Err(reply) => return Outcome::Reply(reply),
        };
        if !self.wait(self.latency).await {
            return Outcome::Drop;
        }
        match fault {
            None => Outcome::Reply(self.run(&call, false)),
            Some(fault) => self.go_wrong(call, fault).await,
        }
    }

    /// Finds the route, the parameters, the session and the fault.
    fn begin(&self, parts: &Parts, body: &Bytes) -> Result<(Call, Option<FaultKind>), Reply> {
        let route = find(parts.method.as_str(), parts.uri.path())?;
        let params = parameters(parts, body).map_err(|refusal| refusal.reply())?;
        let mut state = self.state();
        let header = session_header(&parts.headers);
        let stored = header.as_ref().and_then(|key| state.logins.stored(key)).map(|stored| stored.account);
        let named = || params.text("username").and_then(|name| state.account_named(name));
        let account = stored.or_else(|| (route.session == Session::None).then(named).flatten());
        *state.requests.entry((route.name, account)).or_default() += 1;
        match (route.session, &header, stored) {
            (Session::Required, None, _) => return Err(Refusal::NoSession.reply()),
            (Session::Required | Session::Optional, Some(_), None) => {
                return Err(Refusal::session_not_found().reply());
            }
            _ => {}
        }
        let pk = account.map(|account| account.to_string());
        let name = account.and_then(|pk| state.world.person(pk)).map(|person| person.username.clone());
        let is_service = route.session == Session::None && !route.path.starts_with("/auth/");
        let met = Met { route: route.name, is_service, account_pk: pk.as_deref(), account_name: name.as_deref() };
        let fault = state.faults.meet(&met);
        let session = header.filter(|_| route.session != Session::None);
        Ok((Call { route, params, account, session }, fault))
    }

    async fn go_wrong(self: Arc<Self>, call: Call, fault: FaultKind) -> Outcome {
        match fault {
            FaultKind::Fail { exc_type, detail } => Outcome::Reply(self.refuse(&call, &exc_type, detail)),
            FaultKind::Raw { status, content_type, body } => Outcome::Reply(Reply {
                status,
                content_type: content_type.unwrap_or_else(|| "text/html".to_owned()),
                body: body.into_bytes(),
            }),
            FaultKind::SessionDeath => {
                if let Some(key) = &call.session {
                    self.state().end_session(key);
                }
                Outcome::Reply(self.run(&call, false))
            }
            FaultKind::SessionLost => {
                self.state().logins.lose(call.account);
                Outcome::Reply(Refusal::session_not_found().reply())
            }
            FaultKind::LostRequest => Outcome::Drop,
            FaultKind::LostReply { exc_type } => {
                self.run(&call, false);
                lost(&call, exc_type.as_deref())
            }
            FaultKind::LateSuccess { delay_ms, exc_type } => {
                let outcome = lost(&call, exc_type.as_deref());
                let tasks = self.tasks.clone();
                tasks.spawn(async move {
                    if self.wait(Duration::from_millis(delay_ms)).await {
                        self.run(&call, false);
                    }
                });
                outcome
            }
            FaultKind::Duplicate => {
                let reply = self.run(&call, false);
                self.run(&call, true);
                Outcome::Reply(reply)
            }
            FaultKind::Latency { delay_ms } => {
                if self.wait(Duration::from_millis(delay_ms)).await {
                    Outcome::Reply(self.run(&call, false))
                } else {
                    Outcome::Drop
                }
            }
        }
    }

    /// Carries a call out.
    fn run(&self, call: &Call, injected: bool) -> Reply {
        self.attempt(call, injected, None)
    }

    /// Carries a call out on a platform that says no to it.
    fn refuse(&self, call: &Call, exc_type: &str, detail: Option<String>) -> Reply {
        let refusal = match detail {
            Some(detail) => Refusal::with_detail(exc_type, detail),
            None => Refusal::named(exc_type),
        };
        if call.route.writes {
            // For the ledger: the platform saw the write, and turned it down.
            self.attempt(call, false, Some(exc_type.to_owned()));
        }
        reply(call.route, Err(refusal))
    }

    fn attempt(&self, call: &Call, injected: bool, refuse: Option<String>) -> Reply {
        let mut state = self.state();
        let asking =
            Asking { account: call.account, session: call.session.clone(), now: self.clock.now(), injected, refuse };
        // Every call with a session proves it to the platform first.
        let answer = match &call.session {
            Some(key) if !state.logins.is_valid(key) => Err(Refusal::named("LoginRequired")),
            _ => (call.route.run)(&mut state, &asking, &call.params),
        };
        reply(call.route, answer)
    }

    /// `false` when the sandbox stops meanwhile.
    async fn wait(&self, length: Duration) -> bool {
        if length.is_zero() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(length) => true,
            () = self.stopping.cancelled() => false,
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

fn lost(call: &Call, exc_type: Option<&str>) -> Outcome {
    match exc_type {
        Some(exc_type) => Outcome::Reply(reply(call.route, Err(Refusal::named(exc_type)))),
        None => Outcome::Drop,
    }
}

/// The friendship call hides whatever the platform said.
fn reply(route: &Route, answer: Answer) -> Reply {
    match answer {
        Ok(reply) => reply,
        Err(Refusal::Named { exc_type, .. }) if route.name == FRIENDSHIP && exc_type != "Exception" => {
            Refusal::named("ResponseValidationError").reply()
        }
        Err(refusal) => refusal.reply(),
    }
}

fn find(method: &str, path: &str) -> Result<&'static Route, Reply> {
    let mut same_path = ROUTES.iter().filter(|route| route.path == path).peekable();
    if same_path.peek().is_none() {
        return Err(Reply::json(404, &json!({ "detail": "Not Found" })));
    }
    same_path
        .find(|route| route.method == method)
        .ok_or_else(|| Reply::json(405, &json!({ "detail": "Method Not Allowed" })))
}

/// A query on GET and DELETE; a form, and nothing else, on the others.
fn parameters(parts: &Parts, body: &Bytes) -> Result<Params, Refusal> {
    if matches!(parts.method.as_str(), "GET" | "DELETE") {
        return Params::query(parts.uri.query().unwrap_or_default()).ok_or_else(|| Refusal::invalid("bad query"));
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = if content_type.starts_with(FORM) { std::str::from_utf8(body).ok() } else { Some("") };
    text.and_then(Params::form).ok_or_else(|| Refusal::invalid("bad form"))
}

fn session_header(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-session-id")?.to_str().ok()?;
    Some(decoded(text)).filter(|key| !key.is_empty())
}
