//! The only place that wires: which parts run, what each gets, and in which order they stop.

pub mod api;
pub mod core;
pub mod database;
mod desk_metrics;
pub mod engine;
pub mod keys;
pub mod listener;
pub mod metrics;
pub mod platform;
pub mod probes;
pub mod running;
pub mod time;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::shutdown::{self, Stages};

use database::Database;
use engine::{Engine, Start};
use running::{Announcement, Running};

/// Which parts a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `up`: all of them.
    Everything,
    /// `serve`: the API and the projections.
    Api,
    /// `worker`: the workers and the projections.
    Worker,
}

impl Role {
    pub const fn has_api(self) -> bool {
        matches!(self, Self::Everything | Self::Api)
    }

    pub const fn has_workers(self) -> bool {
        matches!(self, Self::Everything | Self::Worker)
    }
}

/// Runs the parts of `role` until a signal, or until something without which nothing works has ended.
pub async fn run(config: &Config, role: Role, output: Output) -> Result<(), Failure> {
    let stop = shutdown::on_signals()
        .map_err(|error| Failure::new("RUNTIME", Exit::Software, "signals cannot be watched").caused_by(error))?;
    let data_dir = match role {
        Role::Everything => Some(DataDir::open(&config.data_dir)?),
        Role::Api | Role::Worker => None,
    };
    check_role(config, role)?;
    check_clock(config).await?;
    // Whether another address may be taken is known only when the first administrator is.
    let taken = if role.has_api() && config.listen.ip().is_loopback() {
        Some(listener::bind(config.listen).await?)
    } else {
        None
    };
    let database = match &data_dir {
        Some(data_dir) => Database::open_in(config, data_dir).await?,
        None => Database::open(config).await?,
    };
    let mut stages = Stages::default();
    let start = Start { config, role, database: &database, data_dir: data_dir.as_ref() };
    let result = run_on(start, taken, &mut stages, &stop, output).await;
    stages.close().await;
    database.close().await;
    // Only now may another process have the folder.
    drop(data_dir);
    result
}

/// Processes that share the work must share the database and the platform.
fn check_role(config: &Config, role: Role) -> Result<(), Failure> {
    if role != Role::Everything && config.database_url.is_none() {
        return Err(Failure::new("CONFIG_DATABASE_NEEDED", Exit::Config, "no database is named")
            .hint("set DATABASE_URL, which all processes share; or use `reprise up`, which brings its own"));
    }
    if role == Role::Worker && config.gateway_url.is_none() {
        return Err(Failure::new("CONFIG_GATEWAY_NEEDED", Exit::Config, "no gateway is named")
            .hint("set gateway_url to the gateway, or to a `reprise sandbox` that all workers share"));
    }
    Ok(())
}

/// A fast clock is for sandboxes alone, and a gateway says by its routes whether it is one.
async fn check_clock(config: &Config) -> Result<(), Failure> {
    let (Some(_), Some(url)) = (config.sandbox_clock, &config.gateway_url) else { return Ok(()) };
    let refused = |message: &str| {
        Failure::new("CONFIG_CLOCK_WITH_GATEWAY", Exit::Config, message)
            .hint("take sandbox_clock away, or name a running `reprise sandbox` as gateway_url")
    };
    let url = format!("{}/sandbox", url.trim_end_matches('/'));
    let answer = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build();
    let answer = match answer {
        Ok(client) => client.get(url).send().await.map_err(reqwest::Error::without_url),
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|error| refused("whether gateway_url is a sandbox cannot be seen").caused_by(error))?;
    let about: serde_json::Value = answer.json().await.unwrap_or_default();
    if about["seed"].is_u64() { Ok(()) } else { Err(refused("a fast clock is for a sandbox, and gateway_url is none")) }
}

async fn run_on(
    start: Start<'_>,
    taken: Option<TcpListener>,
    stages: &mut Stages,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    let Start { config, database, data_dir, .. } = start;
    let engine = tokio::select! {
        started = Engine::start(start, taken, stages) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let running = engine.running(database);
    let _announcement = announce(&running, data_dir)?;
    output.result(&running, |running| welcome(running, config));
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = database.server_ended() => {
            Err(Failure::new("POSTGRES_ENDED", Exit::Unavailable, "the private PostgreSQL ended")
                .hint("look into the log in the folder `postgres` of the data folder, and start again"))
        }
        failure = engine.ended() => Err(failure),
    }
}

fn announce(running: &Running, data_dir: Option<&DataDir>) -> Result<Option<Announcement>, Failure> {
    let Some(data_dir) = data_dir else { return Ok(None) };
    let announced = running.announce(data_dir.path()).map_err(|error| {
        Failure::new("DATA_DIR_UNWRITABLE", Exit::Io, format!("{} cannot be written", data_dir.path().display()))
            .caused_by(error)
    })?;
    Ok(Some(announced))
}

/// What a person wants to know who has just started it.
fn welcome(running: &Running, config: &Config) -> String {
    let mut lines = Vec::new();
    match &running.api_url {
        Some(url) => lines.push(format!("Reprise is ready at {url}")),
        None => lines.push("Reprise works".to_owned()),
    }
    lines.push(format!("  data       {}", config.data_dir.display()));
    if running.database_url.is_some() {
        lines.push("  database   a private PostgreSQL in it".to_owned());
    }
    match (&running.sandbox_url, &config.gateway_url) {
        (Some(url), _) => lines.push(format!("  platform   a sandbox; its people and its ledger: {url}/sandbox")),
        (None, Some(url)) => lines.push(format!("  platform   the gateway at {url}")),
        (None, None) => {}
    }
    if running.first_admin {
        lines.push("  sign in    as admin with the password admin, and change it first".to_owned());
    }
    if running.sandbox_url.is_some() && running.api_url.is_some() {
        lines.push("  try it     `reprise demo` in another terminal (`make demo`)".to_owned());
    }
    lines.push("  stop       Ctrl-C".to_owned());
    lines.join("\n")
}
