//! The one error of every platform call. It carries no text of the gateway's, no URL and no
//! parameter, so that it can be logged and stored as it is.

use std::time::Duration;

use domain::bot::FailureClass;

use super::failure::PlatformErrorKind;

/// Whether a write may have taken effect on the platform although the call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// It did not: the request never got there, or was turned down.
    NotSent,
    /// Not known: read the target before any second try.
    MaybeSent,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}", kind.words())]
pub struct PlatformError {
    pub kind: PlatformErrorKind,
    pub class: FailureClass,
    pub sent: Sent,
    /// Method and path, such as `POST /media/like`.
    pub call: &'static str,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// How long to leave the platform alone before the same read is asked for again.
    pub retry_after: Option<Duration>,
    /// The name that the gateway gave to a failure that is in no table.
    pub unlisted: Option<ExcType>,
}

impl PlatformError {
    #[must_use]
    pub fn new(kind: PlatformErrorKind, call: &'static str) -> Self {
        Self { kind, class: kind.class(), sent: kind.sent(), call, status: None, retry_after: None, unlisted: None }
    }

    /// One code for each class; `kind.code()` is the finer one.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.class {
            FailureClass::PersonNeeded => "PLATFORM_PERSON_NEEDED",
            FailureClass::LoginEnded => "PLATFORM_LOGIN_ENDED",
            FailureClass::ActionBlocked => "PLATFORM_ACTION_BLOCKED",
            FailureClass::SlowDown => "PLATFORM_SLOW_DOWN",
            FailureClass::SkipTarget => "PLATFORM_TARGET_UNUSABLE",
            FailureClass::Transport => "PLATFORM_NO_ANSWER",
            FailureClass::SessionLost => "PLATFORM_SESSION_LOST",
            FailureClass::ContractBroken => "PLATFORM_CONTRACT_BROKEN",
            FailureClass::Unknown => "PLATFORM_REFUSED",
        }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(super) fn with_unlisted(mut self, name: Option<ExcType>) -> Self {
        self.unlisted = name;
        self
    }
}

/// The name of an exception class: letters and digits only, so that no secret fits through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcType(String);

impl ExcType {
    const MAX: usize = 48;

    /// `None` for anything that does not look like the name of an exception.
    #[must_use]
    pub fn try_new(text: &str) -> Option<Self> {
        let ends = ["Error", "Exception", "Required", "NotFound", "Block", "Failed", "Exceeded"];
        let valid = text.len() <= Self::MAX
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic())
            && ends.iter().any(|end| text.ends_with(end));
        valid.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
