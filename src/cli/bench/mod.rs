//! `reprise bench`: measures this machine. It never touches data that is kept: it runs on a database of its own.

mod append;
mod contender;
mod history;
mod jobs;
mod long_job;
mod measure;
mod replay;
mod workbench;

use std::process::ExitCode;

use clap::Subcommand;

use super::SettingFlags;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Events a second: bare postgres-es, our repository, and the limit of the machine
    Append(append::AppendBench),
    /// How long a bot and a job of 100,000 events take to open, page and replay
    Replay(replay::ReplayBench),
    /// Durable jobs: steps and jobs a second, how long ten steps take, and what a sleeping job costs
    Jobs(jobs::JobsBench),
}

pub async fn run(command: BenchCommand, output: Output) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Append(bench) => append::run(bench, output).await,
        BenchCommand::Replay(bench) => replay::run(bench, output).await,
        BenchCommand::Jobs(bench) => jobs::run(bench, output).await,
    }
}

/// The settings, with logs of trouble only.
fn prepare(flags: &SettingFlags) -> Result<crate::config::Config, Failure> {
    let config = flags.load()?;
    // At the limit statements are slow, and that is what is measured.
    crate::telemetry::start("warn,sqlx::query=off", config.log_format)?;
    Ok(config)
}
