//! The shipped workflows with no hands to act: for replays, which execute nothing.
//!
//! Should a step be executed all the same, it finds an empty memory for a log, no session and no network.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{SecretId, UserId};
use store::command_bus::CommandBus;
use store::repository::MemoryRepository;
use uuid::Uuid;

use super::registry;
use crate::account_lock::AccountLocks;
use crate::acquaintances::Strangers;
use crate::budget::Budget;
use crate::config::WorkerConfig;
use crate::doubts::Doubts;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::hands::{Hands, Sessions};
use crate::job::Registry;
use crate::platform::{Broken, Gateway, GatewayConfig, GatewayConfigError, Wire};
use crate::secrets::Session;

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Wire for Nothing {
    async fn carry(&self, _: reqwest::Request) -> Result<(u16, Vec<u8>), Broken> {
        Err(Broken)
    }
}

#[async_trait]
impl Sessions for Nothing {
    async fn session(&self, _: UserId, _: SecretId) -> Result<Option<Session>, Fault> {
        Ok(None)
    }
}

impl Clock for Nothing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

impl Entropy for Nothing {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }

    fn unit(&self) -> f64 {
        0.0
    }
}

/// Every workflow that this version ships, for replays.
pub fn replayable() -> Result<Registry, GatewayConfigError> {
    let platform = Gateway::over(Arc::new(Nothing), GatewayConfig::new("http://127.0.0.1:9"))?;
    let hands = Hands {
        bus: CommandBus::new(Arc::new(MemoryRepository::default()), None),
        platform: Arc::new(platform),
        sessions: Arc::new(Nothing),
        acquaintances: Arc::new(Strangers),
        clock: Arc::new(Nothing),
        entropy: Arc::new(Nothing),
        config: WorkerConfig::named("replay"),
        gate: Gate::default(),
        doubts: Doubts::default(),
        accounts: AccountLocks::default(),
        budget: Budget::default(),
    };
    Ok(registry(&Arc::new(hands)))
}
