//! What acting for a bot needs, whoever acts: the way in for commands, the platform, the sessions and the time.
//!
//! No database in here: the simulation hands in a world of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{SecretId, UserId};
use store::command_bus::CommandBus;

use crate::account_lock::AccountLocks;
use crate::acquaintances::Acquaintances;
use crate::budget::Budget;
use crate::config::WorkerConfig;
use crate::doubts::Doubts;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::platform::{Call, Deadline, Platform};
use crate::secrets::Session;

/// Where sessions come from.
#[async_trait]
pub(crate) trait Sessions: Send + Sync {
    /// A stored session; `None` when it is gone or cannot be read any more.
    async fn session(&self, user: UserId, secret: SecretId) -> Result<Option<Session>, Fault>;
}

/// What acting for a bot needs.
pub(crate) struct Hands {
    pub(crate) bus: CommandBus,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) acquaintances: Arc<dyn Acquaintances>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) config: WorkerConfig,
    pub(crate) gate: Gate,
    pub(crate) doubts: Doubts,
    pub(crate) accounts: AccountLocks,
    pub(crate) budget: Budget,
}

impl Hands {
    /// Engine time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The engine time that passes in `real` time, rounded up so that a wait is never too short.
    pub(crate) fn scaled(&self, real: Duration) -> Duration {
        real.mul_f64(self.clock.speed().max(1.0)) + Duration::from_millis(1)
    }

    /// The engine time at which `real` time will have passed, if the clock keeps its speed.
    pub(crate) fn after(&self, real: Duration) -> DateTime<Utc> {
        let length = TimeDelta::from_std(self.scaled(real)).unwrap_or(TimeDelta::days(365));
        self.now().checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// How much real time it is until an engine time.
    pub(crate) fn real_until(&self, at: DateTime<Utc>) -> Duration {
        let engine = (at - self.now()).to_std().unwrap_or_default();
        engine.div_f64(self.clock.speed().max(1.0))
    }

    /// A call on behalf of an account, within the limit of every call.
    pub(crate) fn call(&self, account: domain::ids::AccountId) -> Call {
        Call::of(account, Deadline::within(self.config.call_limit))
    }
}
