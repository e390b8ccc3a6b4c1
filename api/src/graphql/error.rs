//! Errors of the schema. A refusal is a `UserError` in the payload; what breaks is a top-level error with a code, and
//! its cause is in the log alone.

use async_graphql::{Context, Error, ErrorExtensions, Result, SimpleObject};
use domain::bot::BotError;
use domain::campaign::CampaignError;
use domain::campaign::schedule::ScheduleError;
use domain::engine::EngineError;
use domain::job::JobError;
use domain::user::UserError as UserRefusal;
use projections::ProjectionError;
use serde::{Deserialize, Serialize};

use crate::auth::{AuthError, PasswordError};
use crate::code::Code;
use crate::deps::Services;
use crate::http::{Caller, Problem};
use crate::idempotency::IdempotencyError;

/// Why an input was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject, Serialize, Deserialize)]
pub struct UserError {
    /// A stable code; docs/errors has a page for each.
    pub code: String,
    /// What happened and what to do, in words.
    pub message: String,
    /// Which part of the input it is about, such as `["input", "username"]`; empty when it is about none.
    pub path: Vec<String>,
}

impl UserError {
    /// A refusal of the API's own.
    pub fn new(code: Code, message: impl Into<String>, path: &[&str]) -> Self {
        Self::coded(code.code(), message.into(), path)
    }

    fn coded(code: &str, message: String, path: &[&str]) -> Self {
        let whole = if path.is_empty() { &[][..] } else { &["input"][..] };
        let path = whole.iter().chain(path).map(|part| (*part).to_owned()).collect();
        Self { code: code.to_owned(), message, path }
    }

    /// Why a schedule is wrong that is an argument of its own.
    pub fn of_argument(error: &ScheduleError) -> Self {
        let path = error.path().split('.').map(camel).collect();
        Self { code: error.code().to_owned(), message: error.to_string(), path }
    }

    /// Something that is not there, or is somebody else's.
    pub fn not_found(what: &str, path: &[&str]) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"), path)
    }
}

impl From<&BotError> for UserError {
    fn from(error: &BotError) -> Self {
        let field;
        let path: &[&str] = match error {
            BotError::InvalidUsername { .. } | BotError::AccountAlreadyLinked { .. } => &["username"],
            BotError::ConsentMissing => &["consent"],
            BotError::TwoFactorCodeRequired => &["verificationCode"],
            BotError::PlanChanged => &["planHash"],
            BotError::DryRunRequired => &["mode"],
            BotError::LimitAboveCeiling { counter, .. } => {
                field = counter.as_str().to_lowercase();
                &[&field]
            }
            BotError::InvalidHours { .. } => &["workingHours"],
            BotError::NotInDoubt { .. } => &["actionId"],
            BotError::TooLong { field, .. } => &[field],
            _ => &[],
        };
        Self::coded(error.code(), error.to_string(), path)
    }
}

impl From<&CampaignError> for UserError {
    fn from(error: &CampaignError) -> Self {
        let path: Vec<String> = match error {
            CampaignError::NotAllowed { .. } => vec!["campaignId".to_owned()],
            _ => error.path().into_iter().map(camel).collect(),
        };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Self::coded(error.code(), error.to_string(), &path)
    }
}

impl From<&EngineError> for UserError {
    fn from(error: &EngineError) -> Self {
        let path: Vec<String> = error.path().iter().map(|part| camel(part)).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Self::coded(error.code(), error.to_string(), &path)
    }
}

impl From<&JobError> for UserError {
    fn from(error: &JobError) -> Self {
        let path: &[&str] = match error {
            JobError::NotAllowed { .. } => &["jobId"],
            JobError::NoSuchStep { .. } | JobError::UnderWay { .. } => &["index"],
            JobError::TooLarge { what: "the signal's payload", .. } => &["payload"],
            JobError::TooLarge { what: "the input", .. } => &["input"],
            JobError::TooLong { field: "the signal's name", .. } => &["name"],
            JobError::TooLong { field: "the reason", .. } => &["reason"],
            JobError::TooLarge { .. } | JobError::TooLong { .. } | JobError::OutOfStep { .. } => &[],
        };
        Self::coded(error.code(), error.to_string(), path)
    }
}

impl From<&UserRefusal> for UserError {
    fn from(error: &UserRefusal) -> Self {
        let path: &[&str] = match error {
            UserRefusal::InvalidUsername => &["username"],
            UserRefusal::NotAllowed { .. } => &["userId"],
        };
        Self::coded(error.code(), error.to_string(), path)
    }
}

impl From<&AuthError> for UserError {
    fn from(error: &AuthError) -> Self {
        let path: &[&str] = match error {
            AuthError::Refused(refusal) => return refusal.into(),
            AuthError::Bot(refusal) => return refusal.into(),
            AuthError::UsernameTaken { .. } => &["username"],
            AuthError::Password(PasswordError::Weak { .. }) => &["password"],
            AuthError::UnknownUser | AuthError::OwnDeactivation => &["userId"],
            _ => &[],
        };
        Self::coded(error.code(), error.to_string(), path)
    }
}

/// A field's name as the schema has it.
fn camel(field: &str) -> String {
    let mut parts = field.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (initial, rest) = part.split_at(part.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

/// A top-level error.
pub fn coded(code: Code, message: impl Into<String>) -> Error {
    Error::new(message.into()).extend_with(|_, extensions| extensions.set("code", code.code()))
}

/// Something broke. The problem has logged it.
pub fn fault(problem: impl Into<Problem>) -> Error {
    let Problem { code, message, retry_after, .. } = problem.into();
    Error::new(message).extend_with(|_, extensions| {
        extensions.set("code", code);
        if let Some(seconds) = retry_after {
            extensions.set("retryAfterSeconds", seconds);
        }
    })
}

impl From<ProjectionError> for Problem {
    fn from(error: ProjectionError) -> Self {
        tracing::error!(
            error.code = error.code(),
            error = &error as &dyn std::error::Error,
            "a read model cannot be read"
        );
        match error {
            ProjectionError::NotReached { .. } => Self::unavailable(),
            _ => Self::internal(),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Database(error) => error.into(),
            IdempotencyError::Vault(error) => error.into(),
        }
    }
}

/// What the API works with.
pub fn services<'a>(ctx: &Context<'a>) -> Result<&'a Services> {
    Ok(ctx.data::<std::sync::Arc<Services>>().map_err(|_| fault(Problem::internal()))?.as_ref())
}

/// Who asks, even if they may only change their password.
pub fn restricted_caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller> {
    ctx.data::<Caller>().map_err(|_| fault(Problem::unauthenticated()))
}

/// Who asks.
pub fn caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller> {
    let caller = restricted_caller(ctx)?;
    if caller.session.must_change_password { Err(fault(Problem::password_change_required())) } else { Ok(caller) }
}

/// Who asks, if they are an administrator.
pub fn admin<'a>(ctx: &Context<'a>) -> Result<&'a Caller> {
    let caller = caller(ctx)?;
    match caller.session.role {
        domain::user::Role::Admin => Ok(caller),
        domain::user::Role::User => Err(coded(Code::Forbidden, "this is for administrators")),
    }
}
