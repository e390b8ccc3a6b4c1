//! The engine's clock of this process: the machine's with a gateway, the sandbox's without one.

use std::sync::Arc;
use std::time::Duration;

use domain::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::clock::{AnchoredClock, ScaledClock, SystemClock};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::shutdown::Stages;

const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The clock, and the handle of its speed when it has one.
#[derive(Clone)]
pub struct Time {
    pub clock: Arc<dyn Clock>,
    pub scaled: Option<Arc<ScaledClock>>,
}

impl Time {
    /// Only a process with a sandbox and a folder of its own can have days that pass faster.
    pub fn start(config: &Config, data_dir: Option<&DataDir>, stages: &mut Stages) -> Result<Self, Failure> {
        if let Some(anchor) = config.sandbox_clock {
            return Ok(Self { clock: Arc::new(AnchoredClock::new(anchor)), scaled: None });
        }
        match data_dir {
            Some(data_dir) if config.gateway_url.is_none() => {
                let clock = Arc::new(ScaledClock::open(&data_dir.clock(), config.clock_speed)?);
                let stop = CancellationToken::new();
                let keeping = tokio::spawn(Arc::clone(&clock).keep(stop.clone()));
                stages.started("clock", STOP_LIMIT, async move {
                    stop.cancel();
                    let _ = keeping.await;
                });
                Ok(Self { clock: Arc::clone(&clock) as Arc<dyn Clock>, scaled: Some(clock) })
            }
            Some(data_dir) => {
                ScaledClock::refuse_if_ahead(&data_dir.clock())?;
                Ok(Self::of_the_machine())
            }
            None => Ok(Self::of_the_machine()),
        }
    }

    fn of_the_machine() -> Self {
        Self { clock: Arc::new(SystemClock::default()), scaled: None }
    }
}
