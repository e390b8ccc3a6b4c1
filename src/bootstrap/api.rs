//! The API of this process: what it is given, and its server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::api::auth::{Passwords, Users};
use ::api::{ApiDeps, ApiSettings, ClockControl, ClockSpeedError, Probe};
use domain::entropy::Entropy;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::Shared;
use super::listener;
use crate::clock::{FASTEST, ScaledClock};
use crate::config::Config;
use crate::entropy::SystemEntropy;
use crate::failure::{Exit, Failure};
use crate::shutdown::Stages;

/// How long answers that are under way may take when the process stops.
const API_LIMIT: Duration = Duration::from_secs(10);

/// Where the API is reached, and who can sign in.
pub struct Serving {
    pub url: String,
    pub first_admin: bool,
}

/// Serves on `listener`, or on the address of the settings when that was not taken yet.
pub async fn start(
    config: &Config,
    shared: &Shared,
    taken: Option<TcpListener>,
    probes: Vec<Arc<dyn Probe>>,
    fails: mpsc::Sender<Failure>,
    stages: &mut Stages,
) -> Result<Serving, Failure> {
    let first_admin = first_admin(shared).await?;
    if first_admin && !config.listen.ip().is_loopback() {
        let message =
            format!("the first administrator still has the password admin, and {} is not loopback", config.listen);
        return Err(Failure::new("FIRST_ADMIN_STANDS", Exit::Config, message)
            .hint("start with --listen 127.0.0.1:8080, change the password, then listen elsewhere; or `reprise user reset-password admin`"));
    }
    let listener = match taken {
        Some(listener) => listener,
        None => listener::bind(config.listen).await?,
    };
    let address = listener.local_addr().map_err(|error| listener::explain(config.listen, error))?;
    let stopping = CancellationToken::new();
    let deps = deps(config, shared, probes, stopping.clone());
    let router = ::api::router(deps.clone())?;
    let maintenance = tokio::spawn(::api::maintain(deps, stopping.clone()));
    let stop = stopping.clone();
    let serving = tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned()).await;
        if !stop.is_cancelled() {
            let failure = Failure::new("API_ENDED", Exit::Unavailable, "the API stopped serving");
            let failure = match served {
                Ok(()) => failure,
                Err(error) => failure.caused_by(error),
            };
            // Nobody listens only when the process is stopping already.
            let _ = fails.send(failure).await;
        }
    });
    stages.started("API", API_LIMIT, async move {
        stopping.cancel();
        let _ = tokio::join!(serving, maintenance);
    });
    Ok(Serving { url: format!("http://{address}"), first_admin })
}

/// Makes the first administrator on a database without users; whether it still has its first password.
async fn first_admin(shared: &Shared) -> Result<bool, Failure> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let sessions = ApiSettings::default().sessions;
    let users = Users::new(&shared.pool, shared.core.bus.clone(), entropy, Passwords::try_new()?, sessions);
    if users.ensure_first_admin(shared.time.clock.as_ref()).await? {
        tracing::info!("made the first administrator");
    }
    Ok(users.first_admin_stands().await?)
}

fn deps(config: &Config, shared: &Shared, probes: Vec<Arc<dyn Probe>>, stopping: CancellationToken) -> ApiDeps {
    let control = shared.time.scaled.clone().map(|clock| Arc::new(Speed(clock)) as Arc<dyn ClockControl>);
    ApiDeps {
        pool: shared.pool.clone(),
        bus: shared.core.bus.clone(),
        queue: shared.queue.clone(),
        wakeup: shared.core.wakeup.clone(),
        projections: shared.projections.clone(),
        vault: shared.vault.clone(),
        clock: Arc::clone(&shared.time.clock),
        entropy: Arc::new(SystemEntropy),
        clock_control: control,
        probes,
        registry: shared.registry.clone(),
        settings: ApiSettings {
            public_origins: config.public_origins.clone(),
            dry_run_waived: config.dry_run_waived,
            ..ApiSettings::default()
        },
        stopping,
    }
}

/// The sandbox's clock, as the API knows it.
struct Speed(Arc<ScaledClock>);

impl ClockControl for Speed {
    fn set_speed(&self, speed: f64) -> Result<(), ClockSpeedError> {
        self.0.set_speed(speed).map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the clock's speed was not changed");
            ClockSpeedError { speed, allowed: format!("from 1 to {FASTEST}") }
        })
    }
}
