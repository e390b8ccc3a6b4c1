//! Our own server of the gateway's contract, over a seeded world: for the first run, the demo and
//! the tests. Over HTTP it behaves as the gateway does; nothing but the URL tells them apart.
//!
//! **Who can log in.** Every person of the world, with the password [`PASSWORD`]; `GET /sandbox`
//! lists some. Four are in every world: `demo.account` logs in at once; `two.factor` needs the
//! code [`VERIFICATION_CODE`]; `challenge.met` meets a challenge until
//! `POST /sandbox/challenges/settle`; for `wrong.password` no password is right.
//!
//! **Control surface**, JSON, which no gateway has:
//!
//! | call | does |
//! |---|---|
//! | `GET /sandbox` | seed, accounts, hashtags, places |
//! | `GET /sandbox/ledger?account=` | every write that the platform saw, and sums |
//! | `GET /sandbox/requests?account=` | how often each route was asked |
//! | `GET`, `POST`, `DELETE /sandbox/faults` | faults that wait; arm a [`Fault`]; disarm all |
//! | `POST /sandbox/sessions/lose` `{account?}` | the gateway forgets sessions |
//! | `POST /sandbox/sessions/end` `{account}` | the platform ends sessions |
//! | `POST /sandbox/challenges/raise`, `/settle` `{account}` | logins meet a challenge, or no more |
//! | `POST /sandbox/outage` `{ms}` | connections are refused for so long |
//! | `POST /sandbox/reset` `{seed?}` | a new world; everything is forgotten |
//!
//! State lives in memory. With a ledger file, every write is in the file before it is answered, and
//! a restart rebuilds the world from it; the gateway's sessions are lost then, as they would be.

mod calls;
mod control;
mod fault;
#[cfg(feature = "failpoints")]
mod in_process;
mod ledger;
mod listener;
mod logins;
mod params;
mod reply;
mod server;
mod shapes;
mod state;
mod world;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use domain::clock::Clock;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use fault::{Fault, FaultKind};
#[cfg(feature = "failpoints")]
pub(crate) use in_process::InProcess;
pub use ledger::{LedgerEntry, LedgerOutcome, LedgerTotals};
use server::Server;
#[cfg(feature = "failpoints")]
pub(crate) use world::{BUSY, World};

/// The password of everybody in the sandbox. It protects nothing.
pub const PASSWORD: &str = "sandbox-password";

/// The two-factor code of everybody who needs one.
pub const VERIFICATION_CODE: &str = "246810";

/// The version of the gateway that the sandbox stands for.
const VERSION: &str = "6.0.0";

/// How long a stop waits for calls that are under way.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How to start a sandbox.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Port 0 takes a free one.
    pub addr: SocketAddr,
    /// The same seed makes the same world.
    pub seed: u64,
    /// Dates posts, messages and the ledger.
    pub clock: Arc<dyn Clock>,
    /// Keeps the ledger, in JSON lines; absent, it is in memory alone.
    pub ledger_file: Option<PathBuf>,
    /// Every call takes at least so long.
    pub latency: Duration,
}

impl SandboxConfig {
    /// A free port of the loopback, seed 1, nothing kept, no latency.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { addr, seed: 1, clock, ledger_file: None, latency: Duration::ZERO }
    }
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox cannot listen on {addr}")]
    Listen {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the sandbox's ledger {} cannot be used", path.display())]
    Ledger {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of the sandbox's ledger {} is not understood", path.display())]
    LedgerLine {
        path: PathBuf,
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "the sandbox's ledger is of seed {stored}, but seed {asked} is asked for; move the file away to begin anew"
    )]
    OtherSeed { stored: u64, asked: u64 },
}

impl SandboxError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "SANDBOX_CANNOT_LISTEN",
            Self::Ledger { .. } => "SANDBOX_LEDGER_UNUSABLE",
            Self::LedgerLine { .. } => "SANDBOX_LEDGER_CORRUPT",
            Self::OtherSeed { .. } => "SANDBOX_OTHER_SEED",
        }
    }
}

/// Starts sandboxes.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox;

impl Sandbox {
    /// Opens the ledger and the port, and serves until the handle is stopped or dropped.
    pub async fn start(config: SandboxConfig) -> Result<SandboxHandle, SandboxError> {
        let stopping = CancellationToken::new();
        let (listener, outage) = listener::SandboxListener::bind(config.addr)
            .await
            .map_err(|source| SandboxError::Listen { addr: config.addr, source })?;
        let addr = listener.addr();
        let server = Arc::new(Server::open(&config, outage, stopping.clone())?);
        let app = server::router(Arc::clone(&server));
        let serving = tokio::spawn(async move {
            let service = app.into_make_service_with_connect_info::<listener::Connection>();
            let stopped = stopping.clone().cancelled_owned();
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        });
        tracing::info!(sandbox.addr = %addr, sandbox.seed = config.seed, "the sandbox is ready");
        let stop_on_drop = server.stopping().clone().drop_guard();
        Ok(SandboxHandle { addr, server, serving, stop_on_drop })
    }
}

/// A running sandbox. The control surface does the same over HTTP.
#[derive(Debug)]
pub struct SandboxHandle {
    addr: SocketAddr,
    server: Arc<Server>,
    serving: JoinHandle<()>,
    stop_on_drop: DropGuard,
}

impl SandboxHandle {
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.server.state().faults.arm(fault);
    }

    /// Every write that the platform saw, of one account (pk or user name) or of all.
    #[must_use]
    pub fn ledger(&self, account: Option<&str>) -> Vec<LedgerEntry> {
        control::entries(&self.server.state(), account)
    }

    /// Sums over the same.
    #[must_use]
    pub fn totals(&self, account: Option<&str>) -> LedgerTotals {
        LedgerTotals::of(&self.ledger(account))
    }

    /// How often a route, such as `POST /media/like`, was asked.
    #[must_use]
    pub fn requests(&self, route: &str) -> u64 {
        let state = self.server.state();
        state.requests.iter().filter(|((name, _), _)| *name == route).map(|(_, count)| count).sum()
    }

    /// The gateway forgets the sessions of one account, or of all.
    pub fn lose_sessions(&self, account: Option<&str>) {
        let mut state = self.server.state();
        let account = account.and_then(|account| state.account_named(account));
        state.logins.lose(account);
    }

    /// Closes the port for so long; returns when it is closed.
    pub async fn refuse_connections(&self, length: Duration) {
        self.server.outage().begin(length).await;
    }

    /// Stops serving and frees the port. What had been due later is not carried out any more.
    pub async fn stop(self) {
        drop(self.stop_on_drop);
        let mut serving = self.serving;
        if tokio::time::timeout(STOP_LIMIT, &mut serving).await.is_err() {
            serving.abort();
        }
        self.server.finish(STOP_LIMIT).await;
    }
}
