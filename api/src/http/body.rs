//! JSON bodies: their type, their size and their shape, each refused with its own code.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::Problem;
use crate::code::Code;

/// The largest body that is read.
const LARGEST: usize = 256 * 1024;
/// How much of a body that is too large is taken, and for how long.
const MOST_DISCARDED: usize = 64 * 1024 * 1024;
const DISCARD_LIMIT: Duration = Duration::from_secs(5);

/// A JSON body of the right shape.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let bytes = read(request.into_body()).await.ok_or_else(|| {
            let message = format!("the body is larger than {LARGEST} bytes, or ended early");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, message)
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // Its text names what is wrong, not what was sent.
            let (status, code) = if error.is_data() {
                (StatusCode::UNPROCESSABLE_ENTITY, Code::BodyInvalid)
            } else {
                (StatusCode::BAD_REQUEST, Code::BodyNotJson)
            };
            Problem::new(status, code, format!("the body does not read: {}", without_values(&error)))
        })
    }
}

/// The whole body, unless it is too large. Of one that is, the rest is taken and thrown away, so that a client that is
/// still sending reads the answer instead of finding its connection cut.
async fn read(body: Body) -> Option<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        if bytes.len() + chunk.len() > LARGEST {
            // What is larger still, or slow, is cut off after all.
            let _ = timeout(DISCARD_LIMIT, discard(chunks)).await;
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

async fn discard(mut chunks: BodyDataStream) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        seen += chunk.len();
        if seen > MOST_DISCARDED {
            return;
        }
    }
}

/// Where and how the body is wrong; a message of serde's can quote what was sent, which may be a password.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = ["missing field", "unknown field", "duplicate field"];
    if known.iter().any(|start| text.starts_with(start)) {
        return text;
    }
    let what = if error.is_data() { "a field has the wrong type" } else { "it is not valid JSON" };
    format!("{what} at line {} column {}", error.line(), error.column())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| {
        let lower = parameter.to_ascii_lowercase();
        !lower.starts_with("charset=")
            || matches!(lower.trim_start_matches("charset=").trim_matches('"'), "utf-8" | "utf8")
    });
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ContentTypeUnsupported,
        "send a body of the type application/json, in UTF-8",
    ))
}
