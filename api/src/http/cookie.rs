//! The session cookie. Over HTTPS it has the `__Host-` prefix, which ties it to this host and to HTTPS; browsers take
//! no such cookie over plain HTTP, so on a loopback address it has a plain name.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use crate::auth::SessionToken;

/// How the cookie is named and protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieKind {
    /// People come over HTTPS.
    Secure,
    /// Plain HTTP on this machine.
    Loopback,
}

impl CookieKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Secure => "__Host-reprise",
            Self::Loopback => "reprise",
        }
    }

    const fn attributes(self) -> &'static str {
        match self {
            Self::Secure => "Path=/; HttpOnly; SameSite=Lax; Secure",
            Self::Loopback => "Path=/; HttpOnly; SameSite=Lax",
        }
    }

    /// `Set-Cookie` for a new session.
    pub fn set(self, token: &SessionToken, lives: Duration) -> Option<HeaderValue> {
        let (name, attributes, seconds) = (self.name(), self.attributes(), lives.as_secs());
        let mut value =
            HeaderValue::from_str(&format!("{name}={}; {attributes}; Max-Age={seconds}", token.reveal())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `Set-Cookie` that takes it away.
    pub fn clear(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{}=; {}; Max-Age=0", self.name(), self.attributes())).ok()
    }

    /// The token that a request carries.
    pub fn token(self, headers: &HeaderMap) -> Option<SessionToken> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name()).and_then(|(_, value)| SessionToken::parse(value))
    }

    /// Whether a request carries the cookie, valid or not.
    pub fn is_in(self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .any(|pair| pair.trim().split_once('=').is_some_and(|(name, _)| name == self.name()))
    }
}
