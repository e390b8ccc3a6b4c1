//! `/graphql/ws`: subscriptions and queries over a WebSocket, protocol `graphql-transport-ws`.
//!
//! A socket lives no longer than its session: when that ends, in this process or another, the socket is closed.

use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_stream::StreamMap;
use uuid::Uuid;

use super::document::{self, Refused};
use super::http::{GraphqlRequest, check_restricted, prepared};
use super::respond;
use crate::auth::session::Revoked;
use crate::code::Code;
use crate::http::{Caller, Problem};
use crate::router::Api;

const PROTOCOL: &str = "graphql-transport-ws";
const LARGEST_MESSAGE: usize = 128 * 1024;
const MOST_OPERATIONS: usize = 20;
/// How long a client may take to say who it is, and to take what is sent to it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether the session still stands, and whether the client is still there.
const CHECK: Duration = Duration::from_secs(10);
/// A client that says nothing at all for so long, not even pong, is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// How many seconds whoever has too many sockets should wait.
const SOCKET_PAUSE: u64 = 10;

/// Why a socket is closed: code and reason, as the protocol has them.
type Closed = (u16, &'static str);

const GOING_AWAY: Closed = (1001, "The server stops");
const GONE: Closed = (1002, "No answer");
const INTERNAL: Closed = (1011, "Internal error");
const INVALID: Closed = (4400, "Invalid message received");
const UNAUTHORIZED: Closed = (4401, "Unauthorized");
const FORBIDDEN: Closed = (4403, "The session ended");
const WRONG_PROTOCOL: Closed = (4406, "Subprotocol not acceptable");
const LATE: Closed = (4408, "Connection initialisation timeout");
const DUPLICATE: Closed = (4409, "Subscriber already exists");
const TOO_MANY_INITS: Closed = (4429, "Too many initialisation requests");

/// `GET /graphql/ws`
pub async fn upgrade(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    caller: Caller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    // A page of somebody else would come with our cookie.
    api.services.origins.check_page(&uri, &headers)?;
    let Some(open) = api.open_sockets.open(caller.session.user_id) else {
        return Err(Problem::throttled(SOCKET_PAUSE));
    };
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(LARGEST_MESSAGE).max_frame_size(LARGEST_MESSAGE);
    let agreed = upgrade.selected_protocol().is_some_and(|protocol| protocol == PROTOCOL);
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        if !agreed {
            close(&mut socket, WRONG_PROTOCOL).await;
            return;
        }
        let closed = Connection::new(api, caller).run(&mut socket).await;
        drop(open);
        if let Some(reason) = closed {
            close(&mut socket, reason).await;
        }
    }))
}

async fn close(socket: &mut WebSocket, (code, reason): Closed) {
    let frame = CloseFrame { code, reason: reason.into() };
    // A client that is gone needs no good-bye.
    let _ = timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
}

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    ConnectionInit {},
    Ping { payload: Option<Map<String, Value>> },
    Pong {},
    Subscribe { id: String, payload: GraphqlRequest },
    Complete { id: String },
}

struct Connection {
    api: Api,
    caller: Caller,
    acknowledged: bool,
    heard_at: Instant,
    operations: StreamMap<String, BoxStream<'static, Told>>,
}

/// What an operation tells.
enum Told {
    Response(Value),
    End,
}

impl Connection {
    fn new(api: Api, caller: Caller) -> Self {
        Self { api, caller, acknowledged: false, heard_at: Instant::now(), operations: StreamMap::new() }
    }

    /// Serves the socket; gives why it should be closed, or `None` when it is.
    async fn run(mut self, socket: &mut WebSocket) -> Option<Closed> {
        let mut revocations = self.api.services.users.sessions().revocations();
        let stopping = self.api.services.deps.stopping.clone();
        let late = Instant::now() + PATIENCE;
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                () = stopping.cancelled() => Err(GOING_AWAY),
                () = sleep_until(late), if !self.acknowledged => Err(LATE),
                revoked = revocations.recv() => match revoked {
                    Ok(revoked) if Revoked::ends(revoked, &self.caller.session) => Err(FORBIDDEN),
                    Ok(_) => Ok(()),
                    // Some were missed: ask.
                    Err(_) => check_session(&self.api, self.caller.session.session_id).await,
                },
                _ = checks.tick() => self.check(socket).await,
                Some((id, told)) = self.operations.next(), if !self.operations.is_empty() => {
                    self.tell(socket, id, told).await
                }
                message = socket.recv() => match message {
                    Some(Ok(message)) => self.hear(socket, message).await,
                    Some(Err(_)) | None => return None,
                },
            };
            if let Err(reason) = step {
                return Some(reason);
            }
        }
    }

    async fn check(&mut self, socket: &mut WebSocket) -> Result<(), Closed> {
        if self.heard_at.elapsed() > SILENCE {
            return Err(GONE);
        }
        check_session(&self.api, self.caller.session.session_id).await?;
        send(socket, Message::Ping(Vec::new().into())).await
    }

    async fn hear(&mut self, socket: &mut WebSocket, message: Message) -> Result<(), Closed> {
        self.heard_at = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(INVALID),
            // The library answers these; after a close, the next read ends.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
        };
        match serde_json::from_str(&text) {
            Ok(Said::ConnectionInit {}) if self.acknowledged => Err(TOO_MANY_INITS),
            Ok(Said::ConnectionInit {}) => {
                self.acknowledged = true;
                say(socket, json!({ "type": "connection_ack" })).await
            }
            Ok(Said::Ping { payload: Some(payload) }) => {
                say(socket, json!({ "type": "pong", "payload": payload })).await
            }
            Ok(Said::Ping { payload: None }) => say(socket, json!({ "type": "pong" })).await,
            Ok(Said::Pong {}) => Ok(()),
            Ok(Said::Complete { id }) => {
                self.operations.remove(&id);
                Ok(())
            }
            Ok(Said::Subscribe { .. }) if !self.acknowledged => Err(UNAUTHORIZED),
            Ok(Said::Subscribe { id, .. }) if self.operations.contains_key(&id) => Err(DUPLICATE),
            Ok(Said::Subscribe { id, payload }) => self.subscribe(socket, id, payload).await,
            Err(_) => Err(INVALID),
        }
    }

    async fn subscribe(&mut self, socket: &mut WebSocket, id: String, request: GraphqlRequest) -> Result<(), Closed> {
        let executed = request.executed(&self.caller);
        let request = match self.read(request) {
            Ok(request) => request,
            Err(errors) => return say(socket, json!({ "type": "error", "id": id, "payload": errors })).await,
        };
        let told = self.api.schema.execute_stream(request);
        let told = told.map(move |response| Told::Response(respond::body(response, &executed)));
        let told = told.chain(futures_util::stream::once(async { Told::End }));
        self.operations.insert(id, told.boxed());
        Ok(())
    }

    /// The request as the schema takes it, or the errors that the client is told.
    fn read(&self, request: GraphqlRequest) -> Result<async_graphql::Request, Value> {
        let request_id = self.caller.context.request_id;
        let refused = |refused: &Refused| respond::refused(refused, request_id)["errors"].take();
        let problem = |problem: &Problem| problem.body(request_id, true)["errors"].take();
        let session_id = self.caller.session.session_id;
        self.api.sessions.take(session_id).map_err(|slow| problem(&Problem::throttled(slow.seconds())))?;
        if self.operations.len() >= MOST_OPERATIONS {
            let message = format!("a socket has at most {MOST_OPERATIONS} operations at a time");
            return Err(refused(&Refused { code: Code::QueryTooWide, message, position: None }));
        }
        let document = document::read(&request.query, request.operation_name.as_deref()).map_err(|no| refused(&no))?;
        check_restricted(&self.caller, &document).map_err(|no| problem(&no))?;
        if document.kind == OperationType::Mutation {
            let message = "mutations are sent by POST /graphql".to_owned();
            return Err(refused(&Refused { code: Code::MutationNeedsPost, message, position: None }));
        }
        Ok(prepared(&self.api, request, document, self.caller.clone()))
    }

    async fn tell(&mut self, socket: &mut WebSocket, id: String, told: Told) -> Result<(), Closed> {
        let Told::Response(mut body) = told else {
            self.operations.remove(&id);
            return say(socket, json!({ "type": "complete", "id": id })).await;
        };
        let failed = body.get("data").is_none_or(Value::is_null) && body.get("errors").is_some();
        if failed {
            self.operations.remove(&id);
            let errors = body["errors"].take();
            return say(socket, json!({ "type": "error", "id": id, "payload": errors })).await;
        }
        say(socket, json!({ "type": "next", "id": id, "payload": body })).await
    }
}

async fn check_session(api: &Api, session_id: Uuid) -> Result<(), Closed> {
    match api.services.users.sessions().stands(session_id).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(FORBIDDEN),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a socket's session cannot be checked");
            Err(INTERNAL)
        }
    }
}

async fn say(socket: &mut WebSocket, message: Value) -> Result<(), Closed> {
    send(socket, Message::Text(message.to_string().into())).await
}

/// A client that takes nothing is given up, so that it holds nobody else up.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Closed> {
    match timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(GONE),
    }
}
