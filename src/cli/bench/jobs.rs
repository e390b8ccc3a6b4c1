//! `reprise bench jobs`: durable jobs on the engine that the product runs, beside what the machine's PostgreSQL can do.
//!
//! Every event is durable before it counts: the database commits with its usual settings, and a job has ended when the
//! commit with its last event has been answered.

mod load;
mod rates;
mod report;
mod scene;

use std::process::ExitCode;

use clap::Args;

use super::workbench::Workbench;
use crate::cli::SettingFlags;
use crate::failure::Failure;
use crate::output::Output;

use report::Report;
use scene::Scene;

#[derive(Debug, Args)]
pub struct JobsBench {
    /// Workflows that run at the same time, ten steps each
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workflows: u32,
    /// Jobs of one step each, enqueued in batches
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    jobs: u32,
    /// Jobs that sleep; a tenth of them is woken at once
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    sleeping: u32,
    /// Seconds that each of the machine's own rates is measured for
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often the two loads are repeated; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also fill the product's read models meanwhile, as `reprise up` does
    #[arg(long)]
    with_projections: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(bench: JobsBench, output: Output) -> Result<ExitCode, Failure> {
    let config = super::prepare(&bench.settings)?;
    let workbench = Workbench::open(&config).await?;
    let report = measure(&bench, &workbench, &config, output).await;
    workbench.close().await;
    output.result(&report?, Report::text);
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    bench: &JobsBench,
    workbench: &Workbench,
    config: &crate::config::Config,
    output: Output,
) -> Result<Report, Failure> {
    let progress = output.progress(None, "the machine's own rates");
    let rates = rates::measure(workbench, config, bench.seconds).await?;
    let scene = Scene::open(workbench.pool(), bench.with_projections).await?;
    let loads = load::run(bench, &scene, &progress).await;
    scene.close().await;
    progress.finish_and_clear();
    Ok(Report::of(bench.with_projections, rates, loads?))
}
