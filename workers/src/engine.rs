//! What the commands of accounts need beside hands: the queue, the vault and the database.

use std::sync::Arc;

use async_trait::async_trait;
use domain::clock::Clock;
use domain::engine::EngineSettings;
use domain::entropy::Entropy;
use domain::ids::{SecretId, UserId};
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::command_queue::CommandQueue;
use store::repository::EventRepository;
use store::vault::Vault;
use store::wakeup::Wakeup;
use store::writer::Writer;
use tokio::sync::watch;

use crate::account_lock::AccountLocks;
use crate::acquaintances::Recorded;
use crate::budget::Budget;
use crate::config::WorkerConfig;
use crate::doubts::Doubts;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::hands::{Hands, Sessions};
use crate::job::Registry;
use crate::platform::Platform;
use crate::secrets::{self, Session};

/// What the composition root wires in.
#[derive(Clone)]
pub struct WorkerParts {
    pub pool: PgPool,
    pub writer: Writer,
    pub bus: CommandBus,
    pub queue: CommandQueue,
    pub vault: Vault,
    pub platform: Arc<dyn Platform>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Where jobs are recorded.
    pub repository: Arc<dyn EventRepository>,
    pub wakeup: Wakeup,
    /// How much is done at a time.
    pub settings: watch::Receiver<Arc<EngineSettings>>,
    /// Workflows beside the product's own.
    pub workflows: Registry,
}

/// The parts, and the hands made of them.
pub(crate) struct Engine {
    pub(crate) pool: PgPool,
    pub(crate) queue: CommandQueue,
    pub(crate) vault: Vault,
    pub(crate) hands: Arc<Hands>,
}

/// Sessions that are sealed in the vault.
struct SealedSessions(Vault);

#[async_trait]
impl Sessions for SealedSessions {
    async fn session(&self, user: UserId, secret: SecretId) -> Result<Option<Session>, Fault> {
        secrets::session(&self.0, user, secret).await
    }
}

impl Engine {
    pub(crate) fn new(config: WorkerConfig, parts: WorkerParts) -> Self {
        let WorkerParts { pool, bus, queue, vault, platform, clock, entropy, settings, .. } = parts;
        let hands = Hands {
            bus,
            platform,
            sessions: Arc::new(SealedSessions(vault.clone())),
            acquaintances: Arc::new(Recorded(pool.clone())),
            clock,
            entropy,
            config,
            gate: Gate::default(),
            doubts: Doubts::default(),
            accounts: AccountLocks::default(),
            budget: Budget::new(settings),
        };
        Self { pool, queue, vault, hands: Arc::new(hands) }
    }
}
