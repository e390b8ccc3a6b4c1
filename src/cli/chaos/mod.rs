//! `reprise chaos`: real processes, a real PostgreSQL and the sandbox with its ledger; at random, workers are killed, the
//! database is stopped at once, and the platform is cut off, delayed and made to lie. In the end the books have to balance.

mod balance;
mod bots;
mod processes;
mod report;
mod scene;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use self::report::Report;
use self::scene::Scene;
use self::trouble::Trouble;
use super::SettingFlags;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct ChaosCommand {
    /// How many things go wrong
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    faults: u32,
    /// Bots that work meanwhile
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=20))]
    bots: u32,
    /// Processes that work for them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    workers: u32,
    /// The same seed chooses the same faults; when they meet what is another matter
    #[arg(long)]
    seed: Option<u64>,
    /// Engine seconds in a real second
    #[arg(long, default_value_t = 100.0)]
    speed: f64,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 3_600)]
    timeout: u64,
    /// File for the report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Keep the folder with the database, the ledger and the logs
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// How the play goes.
pub struct Play {
    pub bots: u32,
    pub workers: u32,
    pub speed: f64,
    pub deadline: Instant,
}

pub async fn run(command: ChaosCommand, output: Output) -> Result<ExitCode, Failure> {
    let config = command.settings.load()?;
    telemetry::start("warn", config.log_format)?;
    let begun = Instant::now();
    let seed = command.seed.unwrap_or_else(|| begun.elapsed().subsec_nanos().into());
    let play = Play {
        bots: command.bots,
        workers: command.workers,
        speed: command.speed,
        deadline: begun + Duration::from_secs(command.timeout),
    };
    let mut scene = Scene::set(&config, &play).await?;
    output::note(format!("chaos: {} faults with seed {seed}, in {}", command.faults, scene.folder().display()));
    let played = async {
        let bots = bots::bring_on(&scene, &play).await?;
        output::note(format!("  {} bots are live, each with two campaigns that run again and again", bots.len()));
        balance::first_action(&mut scene, play.deadline).await?;
        let counts = Trouble::new(seed).make(&mut scene, command.faults, output, play.deadline).await?;
        output::note("  nothing goes wrong any more; what is under way comes to its end");
        let balance = balance::of(&mut scene, &bots, play.deadline).await?;
        Ok::<_, Failure>(Report::of(seed, begun.elapsed().as_secs_f64(), counts, balance))
    };
    let played = played.await;
    let is_good = matches!(&played, Ok(report) if report.agree);
    scene.strike(command.keep || !is_good).await;
    let report = played?;
    if let Some(path) = &command.report {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        std::fs::write(path, text).map_err(|error| {
            Failure::new("CHAOS_REPORT_UNWRITABLE", Exit::CannotCreate, format!("{} cannot be written", path.display()))
                .caused_by(error)
        })?;
    }
    output.result(&report, Report::text);
    Ok(if report.agree { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}
