//! `reprise sandbox`: the sandbox platform alone, for a `reprise` elsewhere that has its address as `gateway_url`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use workers::platform::sandbox::{Sandbox, SandboxConfig};

use crate::clock::{Anchor, AnchoredClock, SystemClock};
use crate::config::LogFormat;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::{shutdown, telemetry};

#[derive(Debug, Args)]
pub struct SandboxCommand {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The same seed makes the same world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File that keeps what was done; without it a restart begins anew
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Least time that a call takes, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency_ms: u64,
    /// A fast clock that processes share: an instant and a speed, such as 2026-01-01T00:00:00Z*60
    #[arg(long, value_name = "INSTANT*SPEED")]
    clock: Option<Anchor>,
}

#[derive(Debug, Serialize)]
struct Started {
    url: String,
}

pub async fn run(command: SandboxCommand, output: Output) -> Result<ExitCode, Failure> {
    telemetry::start("info", LogFormat::Auto)?;
    let stop = shutdown::on_signals()
        .map_err(|error| Failure::new("RUNTIME", Exit::Software, "signals cannot be watched").caused_by(error))?;
    let sandbox = Sandbox::start(SandboxConfig {
        addr: command.listen,
        seed: command.seed,
        clock: match command.clock {
            Some(anchor) => Arc::new(AnchoredClock::new(anchor)),
            None => Arc::new(SystemClock::default()),
        },
        ledger_file: command.ledger,
        latency: Duration::from_millis(command.latency_ms),
    })
    .await?;
    output.result(&Started { url: sandbox.url() }, |started| {
        format!("the sandbox listens on {0}; what is in it: {0}/sandbox", started.url)
    });
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}
