//! Replies in the gateway's forms: what it answers when all is well, and its failures.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::world::Refused;

/// An answer, ready to send.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self { status, content_type: "application/json".to_owned(), body }
    }

    pub(super) fn ok(value: &impl Serialize) -> Self {
        Self::json(200, value)
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8".to_owned(), body: text.as_bytes().to_vec() }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Ok(value) = HeaderValue::from_str(&self.content_type) {
            response.headers_mut().insert(CONTENT_TYPE, value);
        }
        response
    }
}

/// Why a call is not answered with a 200.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// By the name of an exception; the platform or the library said so.
    Named { exc_type: String, detail: String },
    /// The parameters are wrong: text, or a list of what is wrong.
    Invalid(Value),
    /// No session id was sent.
    NoSession,
}

impl Refusal {
    pub(super) fn named(exc_type: &str) -> Self {
        // Like the gateway's own texts, this one must not be shown to anybody.
        let detail = format!("{exc_type} at https://i.instagram.example/api/v1/ (see /app/db.json)");
        Self::Named { exc_type: exc_type.to_owned(), detail }
    }

    pub(super) fn with_detail(exc_type: &str, detail: impl Into<String>) -> Self {
        Self::Named { exc_type: exc_type.to_owned(), detail: detail.into() }
    }

    pub(super) fn session_not_found() -> Self {
        Self::with_detail("Exception", "Session not found (e.g. after reload process), please relogin")
    }

    pub(super) fn invalid(text: &str) -> Self {
        Self::Invalid(json!(text))
    }

    pub(super) fn field(location: &str, name: &str, kind: &str, message: &str, input: Option<&str>) -> Self {
        Self::Invalid(json!([{ "type": kind, "loc": [location, name], "msg": message, "input": input }]))
    }

    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::NoSession => Reply::json(401, &json!({ "detail": "Session ID required" })),
            Self::Invalid(detail) => Reply::json(422, &json!({ "detail": detail })),
            Self::Named { exc_type, detail } => {
                let mut body = json!({ "detail": detail, "exc_type": exc_type });
                if let Some(hint) = hint(exc_type) {
                    body["hint"] = json!(hint);
                }
                Reply::json(status(exc_type), &body)
            }
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::named(refused.0)
    }
}

fn status(exc_type: &str) -> u16 {
    match exc_type {
        "TwoFactorRequired" => 401,
        "ChallengeRequired" => 403,
        "FeedbackRequired" | "PleaseWaitFewMinutes" | "RateLimitError" => 429,
        _ => 500,
    }
}

fn hint(exc_type: &str) -> Option<&'static str> {
    match exc_type {
        "TwoFactorRequired" => Some("Call POST /auth/login again with verification_code."),
        "ChallengeRequired" => Some("Settle the challenge, then log in again or import a session."),
        "FeedbackRequired" | "PleaseWaitFewMinutes" | "RateLimitError" => Some("Pause, and come back later."),
        _ => None,
    }
}
