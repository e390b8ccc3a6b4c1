//! Around every request: its id, its log lines, its checks that need no session, its deadline, and the headers and
//! body of its answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::origin::{check_csrf_header, is_safe};
use super::problem::Problem;
use crate::auth::throttle::network_of;
use crate::code::Code;
use crate::router::{Api, ROUTES};

/// The longest that an answer may take. Sockets are upgraded long before.
const LONGEST: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Routes that machines ask often and that nobody needs in the log.
const QUIET: &[&str] = &["/health/live", "/health/ready", "/metrics"];

/// What is known of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext {
    /// Also the correlation id of the events that it leads to.
    pub request_id: Uuid,
    /// Unknown when the server was started without it.
    pub peer: Option<IpAddr>,
}

/// The outermost layer.
pub async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = given_id(request.headers()).unwrap_or_else(|| api.services.deps.entropy.uuid());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    request.extensions_mut().insert(RequestContext { request_id, peer });
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = ROUTES.iter().copied().find(|route| *route == path).unwrap_or("none");
    let span = tracing::info_span!(
        "request",
        request.id = %request_id,
        correlation.id = %request_id,
        http.method = %method,
        http.route = route,
    );
    let mut response = answer(&api, request, next, peer, route).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = write(problem, request_id, path.starts_with("/graphql"), response.headers().clone());
    }
    finish(&api, &mut response, request_id);
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    api.metrics.observe(method.as_str(), route, status, seconds);
    if !QUIET.contains(&route) {
        span.in_scope(|| tracing::info!(http.status = status.as_u16(), duration_ms = seconds * 1_000.0, "answered"));
    }
    response
}

async fn answer(api: &Api, request: Request, next: Next, peer: Option<IpAddr>, route: &str) -> Response {
    if let Err(problem) = check(api, &request, peer, route) {
        return problem.into_response();
    }
    let Ok(response) = tokio::time::timeout(LONGEST, next.run(request)).await else {
        tracing::error!("the request took longer than a minute and was given up");
        return Problem::unavailable().into_response();
    };
    plain_refusal(response)
}

/// The checks that need no session.
fn check(api: &Api, request: &Request, peer: Option<IpAddr>, route: &str) -> Result<(), Problem> {
    let services = &api.services;
    if !QUIET.contains(&route) {
        api.peers.take(peer.map(network_of)).map_err(|throttled| Problem::throttled(throttled.seconds()))?;
        services.origins.check_host(request.uri(), request.headers())?;
    }
    if !is_safe(request.method()) {
        services.origins.check_page(request.uri(), request.headers())?;
        // Signing in makes nothing of a cookie that may be there.
        if route != "/auth/login" && services.cookie.is_in(request.headers()) {
            check_csrf_header(request.headers())?;
        }
    }
    Ok(())
}

/// What axum refuses by itself has no code; it gets one here.
fn plain_refusal(response: Response) -> Response {
    if response.extensions().get::<Problem>().is_some() {
        return response;
    }
    let (code, message) = match response.status() {
        StatusCode::NOT_FOUND => (Code::RouteNotFound, "there is nothing under this path"),
        StatusCode::METHOD_NOT_ALLOWED => (Code::MethodNotAllowed, "this path does not take this method"),
        _ => return response,
    };
    let has_own_body = response.headers().contains_key(header::CONTENT_TYPE);
    if has_own_body {
        return response;
    }
    let allowed = response.headers().get(header::ALLOW).cloned();
    let mut refused = Problem::new(response.status(), code, message).into_response();
    if let Some(allowed) = allowed {
        refused.headers_mut().insert(header::ALLOW, allowed);
    }
    refused
}

fn write(problem: Problem, request_id: Uuid, for_graphql: bool, mut headers: HeaderMap) -> Response {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_TYPE);
    let status = problem.status;
    let mut response = (status, Json(problem.body(request_id, for_graphql))).into_response();
    response.headers_mut().extend(headers);
    response
}

/// A request id of the client's, if it can be one.
fn given_id(headers: &HeaderMap) -> Option<Uuid> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    Uuid::try_parse(text).ok().filter(|id| !id.is_nil())
}

fn finish(api: &Api, response: &mut Response<Body>, request_id: Uuid) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if api.services.cookie == super::CookieKind::Secure {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
}
