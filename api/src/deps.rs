//! What the API is given by whoever starts it, and what it makes of that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::clock::Clock;
use domain::entropy::Entropy;
use projections::Projections;
use prometheus::Registry;
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::command_queue::CommandQueue;
use store::vault::Vault;
use store::wakeup::Wakeup;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::auth::throttle::Rate;
use crate::auth::{AuthError, PasswordError, Passwords, SessionLimits, Users};
use crate::http::{CookieKind, PublicOrigins};
use crate::idempotency::IdempotencyKeys;

/// What the API needs. Made by the composition root.
#[derive(Clone)]
pub struct ApiDeps {
    pub pool: PgPool,
    pub bus: CommandBus,
    /// Where what a person wants of the workers waits.
    pub queue: CommandQueue,
    pub wakeup: Wakeup,
    pub projections: Projections,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The accelerated clock of the sandbox; `None` with a gateway.
    pub clock_control: Option<Arc<dyn ClockControl>>,
    /// What `/health/ready` asks beside the database and the projections, such as the gateway.
    pub probes: Vec<Arc<dyn Probe>>,
    pub registry: Registry,
    pub settings: ApiSettings,
    /// Cancelled when the process stops; open sockets are closed then.
    pub stopping: CancellationToken,
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Origins under which people reach the API, such as `https://reprise.example.org`; none for a local one.
    /// With an `https` one, cookies are for HTTPS only.
    pub public_origins: Vec<String>,
    /// The operator lets a plan go live without a dry run.
    pub dry_run_waived: bool,
    pub sessions: SessionLimits,
    /// Requests of one session.
    pub session_rate: Rate,
    /// Requests of one address.
    pub peer_rate: Rate,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            public_origins: Vec::new(),
            dry_run_waived: false,
            sessions: SessionLimits::default(),
            session_rate: Rate { burst: 200, refill: Duration::from_millis(25) },
            peer_rate: Rate { burst: 600, refill: Duration::from_millis(10) },
        }
    }
}

impl ApiSettings {
    fn cookie(&self) -> CookieKind {
        let https = self.public_origins.iter().any(|origin| origin.to_lowercase().starts_with("https://"));
        if https { CookieKind::Secure } else { CookieKind::Loopback }
    }
}

/// The sandbox's clock, which may run faster than the world.
pub trait ClockControl: Send + Sync {
    /// Makes the clock run `speed` times as fast from now on.
    fn set_speed(&self, speed: f64) -> Result<(), ClockSpeedError>;
}

/// A speed at which the clock cannot run.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the clock cannot run at {speed} times the usual speed; {allowed}")]
pub struct ClockSpeedError {
    pub speed: f64,
    /// What is allowed, in words.
    pub allowed: String,
}

/// Something without which the service is not ready.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Its name in `/health/ready`.
    fn name(&self) -> &'static str;

    /// How it is. Called with a deadline.
    async fn check(&self) -> ProbeResult;
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    pub ready: bool,
    /// For people; without secrets.
    pub detail: String,
}

/// The API could not be put together.
#[derive(Debug, Error)]
pub enum ApiError {
    #[error("password hashing does not work")]
    Password(#[from] PasswordError),
    #[error("the metrics are registered already")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl ApiError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Password(error) => error.code(),
            Self::Metrics(_) => "INTERNAL",
            Self::Auth(error) => error.code(),
        }
    }
}

/// What the API works with.
#[derive(Clone)]
pub(crate) struct Services {
    pub deps: ApiDeps,
    pub users: Users,
    pub accounts: Accounts,
    pub keys: IdempotencyKeys,
    pub origins: PublicOrigins,
    pub cookie: CookieKind,
}

impl ApiDeps {
    /// The users, for whoever makes the first administrator or manages users without the API.
    pub fn users(&self) -> Result<Users, ApiError> {
        let entropy = Arc::clone(&self.entropy);
        Ok(Users::new(&self.pool, self.bus.clone(), entropy, Passwords::try_new()?, self.settings.sessions))
    }
}

impl Services {
    pub fn try_new(deps: ApiDeps) -> Result<Self, ApiError> {
        let users = deps.users()?;
        let accounts = Accounts::new(deps.bus.clone(), deps.vault.clone(), users.clone(), Arc::clone(&deps.entropy));
        let keys = IdempotencyKeys::new(deps.pool.clone(), deps.vault.clone(), Arc::clone(&deps.entropy));
        let origins = PublicOrigins::new(deps.settings.public_origins.iter().cloned());
        let cookie = deps.settings.cookie();
        Ok(Self { deps, users, accounts, keys, origins, cookie })
    }
}
