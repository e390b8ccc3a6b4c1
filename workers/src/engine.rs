//! What every piece of work needs: the way in for commands, the queue, the vault, the platform and the time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::command_queue::CommandQueue;
use store::vault::Vault;
use store::writer::Writer;

use crate::config::WorkerConfig;
use crate::doubts::Doubts;
use crate::gate::Gate;
use crate::platform::{Call, Deadline, Platform};

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
}

/// The parts, the settings and what this process knows.
pub(crate) struct Engine {
    pub(crate) parts: WorkerParts,
    pub(crate) config: WorkerConfig,
    pub(crate) gate: Gate,
    pub(crate) doubts: Doubts,
}

impl Engine {
    pub(crate) fn new(config: WorkerConfig, parts: WorkerParts) -> Self {
        Self { parts, config, gate: Gate::default(), doubts: Doubts::default() }
    }

    /// Engine time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.parts.clock.now()
    }

    /// The engine time at which `real` time will have passed, if the clock keeps its speed.
    pub(crate) fn after(&self, real: Duration) -> DateTime<Utc> {
        // Rounded up, so that the wait is never too short.
        let engine = real.mul_f64(self.parts.clock.speed().max(1.0)) + Duration::from_millis(1);
        let length = TimeDelta::from_std(engine).unwrap_or(TimeDelta::days(365));
        self.now().checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// How much real time it is until an engine time.
    pub(crate) fn real_until(&self, at: DateTime<Utc>) -> Duration {
        let engine = (at - self.now()).to_std().unwrap_or_default();
        engine.div_f64(self.parts.clock.speed().max(1.0))
    }

    /// A call on behalf of an account, within the limit of every call.
    pub(crate) fn call(&self, account: domain::ids::AccountId) -> Call {
        Call::of(account, Deadline::within(self.config.call_limit))
    }
}
