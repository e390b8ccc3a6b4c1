//! The client of the gateway: `Platform` over HTTP. It holds no session, knows no account and
//! keeps nothing but which gateways it has already found to be of a known version.

mod config;
mod http;
mod platform;
mod route;
mod version;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{Build, Call, Cursor, Page, PlatformError, PlatformErrorKind, Sent, WriteAnswer};
pub use config::{GatewayConfig, GatewayConfigError};
use domain::bot::FailureClass;
use http::{Http, Request};
pub use wire::{Broken, Wire};

/// Speaks to one gateway for all accounts, or to one an account, as the URL says.
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    http: Http,
    /// The builds by base URL that were found to be known; forgotten when a connection fails,
    /// since another version may come back.
    known: Mutex<HashMap<String, Build>>,
}

impl Gateway {
    /// Checks the URL; contacts nobody. A provider for rustls must be installed before.
    pub fn try_new(config: GatewayConfig) -> Result<Self, GatewayConfigError> {
        Self::build_with(config, None)
    }

    /// As [`Gateway::try_new`], over `wire` instead of the network.
    pub fn over(wire: Arc<dyn Wire>, config: GatewayConfig) -> Result<Self, GatewayConfigError> {
        Self::build_with(config, Some(wire))
    }

    fn build_with(config: GatewayConfig, wire: Option<Arc<dyn Wire>>) -> Result<Self, GatewayConfigError> {
        config.check()?;
        let http = Http::try_new(&config, wire)?;
        Ok(Self { config, http, known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Build>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self, call: Call, request: &Request<'_>) -> Result<String, PlatformError> {
        self.config.base(call.account).ok_or_else(|| request.fails(PlatformErrorKind::AccountMissing))
    }

    /// Asks for the build and remembers it when it is known.
    async fn check_build(&self, base: &str, call: Call) -> Result<Build, PlatformError> {
        let request = Request { route: &route::BUILD, session: None, fields: Vec::new() };
        let body = self.http.send(base, &request, call.deadline).await?;
        let build = version::known(&body).ok_or_else(|| request.fails(PlatformErrorKind::VersionUnknown))?;
        self.known().insert(base.to_owned(), build.clone());
        Ok(build)
    }

    /// One try, after the version is known.
    async fn try_once(&self, call: Call, request: &Request<'_>) -> Result<Vec<u8>, PlatformError> {
        let base = self.base(call, request)?;
        let is_known = self.known().contains_key(&base);
        if !is_known {
            self.check_build(&base, call).await?;
        }
        let answer = self.http.send(&base, request, call.deadline).await;
        if let Err(error) = &answer {
            tracing::debug!(
                platform.call = error.call,
                platform.kind = error.kind.code(),
                platform.status = error.status,
                "the gateway call failed"
            );
            if error.kind == PlatformErrorKind::NotConnected {
                self.known().remove(&base);
            }
        }
        answer
    }

    /// A write: one try, whatever comes.
    async fn write(&self, call: Call, request: Request<'_>) -> Result<Vec<u8>, PlatformError> {
        self.try_once(call, &request).await
    }

    /// A read: tried again after transport failures while the deadline allows it.
    async fn read(&self, call: Call, request: Request<'_>) -> Result<Vec<u8>, PlatformError> {
        self.retried(call, || self.try_once(call, &request)).await
    }

    async fn retried<T, F>(&self, call: Call, attempt: impl Fn() -> F) -> Result<T, PlatformError>
    where
        F: Future<Output = Result<T, PlatformError>>,
    {
        let mut delays = self.config.read_retry_delays.iter().copied();
        loop {
            let mut error = match attempt().await {
                Err(error) if is_retryable(&error) => error,
                other => return other,
            };
            error.sent = Sent::NotSent;
            error.retry_after = delays.next();
            let Some(delay) = error.retry_after else { return Err(error) };
            if delays.len() == 0 || !has_time_for(call, delay) {
                return Err(error);
            }
            tokio::time::sleep(delay).await;
        }
    }
}

fn is_retryable(error: &PlatformError) -> bool {
    error.class == FailureClass::Transport && error.kind != PlatformErrorKind::DeadlinePassed
}

fn has_time_for(call: Call, delay: Duration) -> bool {
    call.deadline.remaining().is_none_or(|remaining| remaining > delay)
}

/// The answer as the type that the route documents.
fn decode<T: DeserializeOwned>(route: &route::Route, body: &[u8]) -> Result<T, PlatformError> {
    serde_json::from_slice(body).map_err(|_| {
        let mut error = PlatformError::new(PlatformErrorKind::AnswerUnreadable, route.name);
        if route.kind == route::Kind::Read {
            error.sent = Sent::NotSent;
        }
        error
    })
}

/// Pages as they come.
#[derive(serde::Deserialize)]
#[serde(bound = "T: serde::de::Deserialize<'de>")]
struct PageAnswer<T> {
    #[serde(deserialize_with = "super::lenient::list")]
    items: Vec<T>,
    #[serde(default, deserialize_with = "super::lenient::or_default")]
    next_cursor: Option<String>,
}

impl<T> From<PageAnswer<T>> for Page<T> {
    fn from(answer: PageAnswer<T>) -> Self {
        Self { items: answer.items, next: answer.next_cursor.and_then(Cursor::new) }
    }
}

/// `false` is no proof of failure: the state has to be read.
fn write_answer(confirmed: bool) -> WriteAnswer {
    if confirmed { WriteAnswer::Confirmed } else { WriteAnswer::Unconfirmed }
}
