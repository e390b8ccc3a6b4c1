//! The sandbox without a socket: the same contract, carried in memory, on whatever clock the caller brings.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::server::{Outcome, Server};
use super::state::State;
use super::world::World;
use super::{Fault, LedgerEntry, SandboxConfig, control, listener::Outage};
use crate::platform::{Broken, Wire};

/// A sandbox that is called in memory.
#[derive(Clone)]
pub struct InProcess(Arc<Server>);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl InProcess {
    /// A sandbox whose ledger is in memory, and that begins with `world`. Of `config` only the clock and the latency count.
    pub(crate) fn of(world: World, config: &SandboxConfig) -> Self {
        let state = State::of(world, config.seed, config.clock.now(), Ledger::in_memory());
        Self(Arc::new(Server::of(state, config, Outage::none(), CancellationToken::new())))
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.0.state().faults.arm(fault);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.0.state().faults.clear();
    }

    /// Every write that the platform saw, of one account (pk or user name) or of all.
    #[must_use]
    pub fn ledger(&self, account: Option<&str>) -> Vec<LedgerEntry> {
        control::entries(&self.0.state(), account)
    }

    /// The gateway forgets all sessions; an import brings each back.
    pub fn lose_sessions(&self) {
        self.0.state().logins.lose(None);
    }
}

#[async_trait]
impl Wire for InProcess {
    async fn carry(&self, request: reqwest::Request) -> Result<(u16, Vec<u8>), Broken> {
        let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice).unwrap_or_default();
        let request = axum::http::Request::<reqwest::Body>::try_from(request).map_err(|_| Broken)?;
        let parts: Parts = request.into_parts().0;
        let server = Arc::clone(&self.0);
        // On a task of its own, as behind a socket: it outlives a client that gives up.
        let outcome = self.0.tasks().spawn(async move { server.serve(&parts, &body).await }).await;
        match outcome {
            Ok(Outcome::Reply(reply)) => Ok((reply.status, reply.body)),
            Ok(Outcome::Drop) | Err(_) => Err(Broken),
        }
    }
}
