//! One request and its answer: limits of time and size, and what a failure is called. It sends
//! each request once; nothing of the gateway's texts gets out of here.

use std::{borrow::Cow, sync::Arc, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{HeaderName, HeaderValue},
    redirect::Policy,
};
use serde::Deserialize;

use super::{
    config::{GatewayConfig, GatewayConfigError},
    route::{self, Kind, Route},
    wire::{Broken, Wire},
};
use crate::platform::{Deadline, ExcType, PlatformError, PlatformErrorKind, Sent, SessionId};

const SESSION_HEADER: HeaderName = HeaderName::from_static("x-session-id");

/// The parameters of a call; a list is the same name repeated.
pub(super) type Fields<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// A request to one gateway.
pub(super) struct Request<'a> {
    pub(super) route: &'static Route,
    pub(super) session: Option<&'a SessionId>,
    pub(super) fields: Fields<'a>,
}

impl Request<'_> {
    pub(super) fn fails(&self, kind: PlatformErrorKind) -> PlatformError {
        let mut error = PlatformError::new(kind, self.route.name);
        if self.route.kind == Kind::Read {
            error.sent = Sent::NotSent;
        }
        error
    }

    fn carries_code(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == "verification_code")
    }
}

/// The client for all gateways. It keeps no connection open: one that the gateway has just closed
/// would turn a write into an unknown outcome, and a connection costs nothing beside a call.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    /// Carries requests instead of the network.
    wire: Option<Arc<dyn Wire>>,
    call_timeout: Duration,
    max_answer_bytes: usize,
}

impl Http {
    pub(super) fn try_new(config: &GatewayConfig, wire: Option<Arc<dyn Wire>>) -> Result<Self, GatewayConfigError> {
        let client = Client::builder()
            .connect_timeout(config.connect_timeout)
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .referer(false)
            .build()
            .map_err(GatewayConfigError::Client)?;
        Ok(Self { client, wire, call_timeout: config.call_timeout, max_answer_bytes: config.max_answer_bytes })
    }

    /// Sends the request once and gives the body of a 200.
    pub(super) async fn send(
        &self,
        base: &str,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<Vec<u8>, PlatformError> {
        let limit = match deadline.remaining() {
            Some(Duration::ZERO) => return Err(request.fails(PlatformErrorKind::DeadlinePassed)),
            Some(remaining) => remaining.min(self.call_timeout),
            None => self.call_timeout,
        };
        let builder = self.form(base, request)?;
        match tokio::time::timeout(limit, self.exchange(builder, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(request.fails(PlatformErrorKind::NoAnswer)),
        }
    }

    fn form(&self, base: &str, request: &Request<'_>) -> Result<RequestBuilder, PlatformError> {
        let route = request.route;
        let mut builder = self.client.request(route.method.clone(), format!("{base}{}", route.path));
        if let Some(session) = request.session {
            let mut value = HeaderValue::from_str(session.expose())
                .map_err(|_| request.fails(PlatformErrorKind::RequestInvalid))?;
            value.set_sensitive(true);
            builder = builder.header(SESSION_HEADER, value);
        }
        Ok(if matches!(route.method, Method::GET | Method::DELETE) {
            builder.query(&request.fields)
        } else {
            builder.form(&request.fields)
        })
    }

    async fn exchange(&self, builder: RequestBuilder, request: &Request<'_>) -> Result<Vec<u8>, PlatformError> {
        let (status, body) = match &self.wire {
            None => {
                let response = builder.send().await.map_err(|error| not_answered(request, &error))?;
                let status = response.status().as_u16();
                (status, self.body(response, request).await.map_err(|error| error.with_status(status))?)
            }
            Some(wire) => {
                let built = builder.build().map_err(|error| not_answered(request, &error))?;
                wire.carry(built).await.map_err(|Broken| request.fails(PlatformErrorKind::AnswerLost))?
            }
        };
        if status == 200 { Ok(body) } else { Err(failure(request, status, &body)) }
    }

    async fn body(&self, mut response: Response, request: &Request<'_>) -> Result<Vec<u8>, PlatformError> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|_| request.fails(PlatformErrorKind::AnswerLost))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(request.fails(PlatformErrorKind::AnswerTooLarge));
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// What it means that no answer came: only a failed connection proves that nothing was sent.
fn not_answered(request: &Request<'_>, error: &reqwest::Error) -> PlatformError {
    if error.is_builder() {
        request.fails(PlatformErrorKind::RequestInvalid)
    } else if error.is_connect() {
        request.fails(PlatformErrorKind::NotConnected)
    } else if error.is_timeout() {
        request.fails(PlatformErrorKind::NoAnswer)
    } else {
        request.fails(PlatformErrorKind::AnswerLost)
    }
}

/// The gateway's own form of a failure.
#[derive(Deserialize)]
struct Failure {
    exc_type: Option<String>,
    #[serde(default)]
    detail: serde_json::Value,
}

fn failure(request: &Request<'_>, status: u16, body: &[u8]) -> PlatformError {
    let named = serde_json::from_slice::<Failure>(body).ok();
    let Some((name, detail)) = named.and_then(|failure| Some((failure.exc_type?, failure.detail))) else {
        return request.fails(unnamed(status)).with_status(status);
    };
    let lost = detail.as_str().is_some_and(|detail| detail.starts_with("Session not found"));
    let kind = match name.as_str() {
        "Exception" if lost => PlatformErrorKind::SessionLost,
        "ResponseValidationError" if request.route.name == route::FRIENDSHIP.name => {
            PlatformErrorKind::FriendshipHidden
        }
        "UnknownError" if request.carries_code() => PlatformErrorKind::CodeTurnedDown,
        name => PlatformErrorKind::named(name),
    };
    let unlisted = match kind {
        PlatformErrorKind::Unlisted => ExcType::try_new(&name),
        _ => None,
    };
    request.fails(kind).with_status(status).with_unlisted(unlisted)
}

/// A failure that does not say what it is; then the status is all there is.
fn unnamed(status: u16) -> PlatformErrorKind {
    match status {
        401 | 404 | 405 | 422 => PlatformErrorKind::RequestRefused,
        200..=399 => PlatformErrorKind::AnswerUnreadable,
        500..=599 => PlatformErrorKind::GatewayFailed,
        _ => PlatformErrorKind::Unlisted,
    }
}
