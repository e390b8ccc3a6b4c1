//! `/metrics`: Prometheus text, for this machine alone.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};

use crate::code::Code;
use crate::http::{Problem, RequestContext};
use crate::router::Api;

/// `GET /metrics`. What a proxy on this machine passes on is not from this machine.
pub async fn metrics(State(api): State<Api>, context: RequestContext, headers: HeaderMap) -> Result<Response, Problem> {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    let local = context.peer.is_some_and(|peer| peer.is_loopback());
    if !local || forwarded {
        return Err(Problem::new(StatusCode::FORBIDDEN, Code::Forbidden, "metrics are for this machine alone"));
    }
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder.encode(&api.services.deps.registry.gather(), &mut text).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the metrics cannot be written");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}
