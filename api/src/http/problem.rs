//! Answers that say no: a status, a stable code and what to do. The body is written where the request's id is known.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use store::StoreError;
use store::command_queue::QueueError;
use store::vault::VaultError;
use uuid::Uuid;

use crate::accounts::AccountError;
use crate::auth::{AuthError, PasswordError, SessionError};
use crate::code::Code;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self::with_code(status, code.code(), message.into())
    }

    /// A refusal of somebody else's, with their code.
    pub fn with_code(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message, retry_after: None }
    }

    /// Nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, "sign in first: POST /auth/login")
    }

    /// The session may do nothing but change the password.
    pub fn password_change_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            Code::PasswordChangeRequired,
            "this password is known to somebody else; change it first: POST /auth/change-password",
        )
    }

    /// Too many requests.
    pub fn throttled(retry_after: u64) -> Self {
        let message = format!("too many requests; the next may come in {retry_after} seconds");
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, Code::Throttled, message) }
    }

    /// Something broke that the client cannot help. The cause is in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            "internal error; the log has the cause under this request's id",
        )
    }

    /// Something that is needed does not answer now.
    pub fn unavailable() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "the service cannot do this now; try again, with the same idempotency key if there was one",
            )
        }
    }

    /// `{"error": {…}}`, or the list of errors that GraphQL clients read.
    pub fn body(&self, request_id: Uuid, for_graphql: bool) -> Value {
        let request_id = request_id.to_string();
        if for_graphql {
            let mut extensions = json!({ "code": self.code, "requestId": request_id });
            if let Some(seconds) = self.retry_after {
                extensions["retryAfterSeconds"] = seconds.into();
            }
            return json!({ "errors": [{ "message": self.message, "extensions": extensions }] });
        }
        json!({ "error": { "code": self.code, "message": self.message, "requestId": request_id } })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let passing = matches!(
            error,
            StoreError::Unavailable { .. } | StoreError::Fenced | StoreError::Full { .. } | StoreError::Conflict { .. }
        );
        tracing::error!(error.code = error.code(), error = &error as &dyn std::error::Error, "the store failed");
        if passing { Self::unavailable() } else { Self::internal() }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Store(error) => error.into(),
            error => {
                tracing::error!(
                    error.code = error.code(),
                    error = &error as &dyn std::error::Error,
                    "the queue failed"
                );
                Self::internal()
            }
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let broken = matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_));
        tracing::error!(error = &error as &dyn std::error::Error, "the database failed");
        if broken { Self::internal() } else { Self::unavailable() }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Database(error) => error.into(),
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "a session cannot be read or opened");
                Self::internal()
            }
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let refused = |status| Self::with_code(status, code, message);
        match error {
            AuthError::InvalidCredentials => refused(StatusCode::UNAUTHORIZED),
            AuthError::WrongPassword => refused(StatusCode::FORBIDDEN),
            AuthError::SamePassword | AuthError::Refused(_) | AuthError::Bot(_) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY)
            }
            AuthError::UsernameTaken { .. } | AuthError::OwnDeactivation => refused(StatusCode::CONFLICT),
            AuthError::UnknownUser => refused(StatusCode::NOT_FOUND),
            AuthError::Throttled(throttled) => Self::throttled(throttled.seconds()),
            AuthError::Password(PasswordError::Weak { .. }) => refused(StatusCode::UNPROCESSABLE_ENTITY),
            AuthError::Password(PasswordError::Busy) => {
                Self { retry_after: Some(2), ..refused(StatusCode::SERVICE_UNAVAILABLE) }
            }
            AuthError::Password(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a password cannot be hashed");
                Self::internal()
            }
            AuthError::Session(error) => error.into(),
            AuthError::Store(error) => error.into(),
            AuthError::Database(error) => error.into(),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            error => {
                tracing::error!(
                    error.code = error.code(),
                    error = &error as &dyn std::error::Error,
                    "the vault failed"
                );
                Self::internal()
            }
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Auth(error) => error.into(),
            AccountError::Store(error) => error.into(),
            AccountError::Vault(error) => error.into(),
            AccountError::Database(error) => error.into(),
            // Refusals are told by whoever asked.
            AccountError::Refused(_)
            | AccountError::Taken { .. }
            | AccountError::InvalidPassword
            | AccountError::InvalidCode => Self::internal(),
        }
    }
}
