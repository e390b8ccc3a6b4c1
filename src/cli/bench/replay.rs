//! `reprise bench replay`: how long a bot with a long history takes to load, from its events and from its snapshot; and how
//! long a job with one takes to open, to page and to replay.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use clap::Args;
use domain::bot::{Bot, BotCommand};
use domain::entropy::Entropy;
use domain::ids::RequestId;
use domain::metadata::{Actor, Metadata};
use serde::Serialize;
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::event::NewEvent;
use store::loader::Loader;
use store::repository::AppendRequest;

use super::history::History;
use super::long_job::{self, LongJob};
use super::workbench::{Workbench, failed};
use crate::bootstrap::core::Core;
use crate::cli::SettingFlags;
use crate::clock::wall;
use crate::entropy::SystemEntropy;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Events of one append while the history is stored.
const CHUNK: usize = 1_000;
/// Loads of which the median is told.
const LOADS: usize = 5;
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct ReplayBench {
    /// How many events the bot has, and the job
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    events: i64,
    from_log_ms: f64,
    from_snapshot_ms: f64,
    /// Both loads gave the same state.
    agree: bool,
    job: LongJob,
}

pub async fn run(bench: ReplayBench, output: Output) -> Result<ExitCode, Failure> {
    let config = super::prepare(&bench.settings)?;
    let workbench = Workbench::open(&config).await?;
    let report = match Core::start(workbench.pool(), "bench").await {
        Ok(core) => {
            let report = measure(&bench, workbench.pool(), &core, output).await;
            core.close().await;
            report
        }
        Err(error) => Err(error.into()),
    };
    workbench.close().await;
    let report = report?;
    output.result(&report, |report| {
        format!(
            "a bot of {} events loads in {:.0} ms from the log and in {:.2} ms from its snapshot; the states {}\n\
             a job of {} events opens in {:.0} ms; its first, middle and last hundred events are read in {:.2}, {:.2} and \
             {:.2} ms; today's code is replayed over all of it in {:.0} ms and {}",
            report.events,
            report.from_log_ms,
            report.from_snapshot_ms,
            if report.agree { "agree" } else { "DIFFER" },
            report.job.events,
            report.job.open_ms,
            report.job.first_page_ms,
            report.job.middle_page_ms,
            report.job.last_page_ms,
            report.job.replay_ms,
            if report.job.fits { "fits" } else { "PARTS" },
        )
    });
    Ok(if report.agree && report.job.fits { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}

async fn measure(bench: &ReplayBench, pool: &PgPool, core: &Core, output: Output) -> Result<Report, Failure> {
    let wanted = usize::try_from(bench.events).unwrap_or(usize::MAX);
    // The last command goes through the bus, which takes the snapshot.
    let history = History::of_length(wanted - 1, wall() - TimeDelta::days(3_650))?;
    let id = history.bot_id.to_string();
    store_events(&history, core, output).await?;
    let from_log_ms = {
        let loader = Loader::new(core.repository(), None);
        median_ms(output, "loading from the log", || loader.load::<Bot>(&id)).await?
    };
    take_snapshot(&id, pool, &core.bus).await?;
    let loader = Loader::new(core.repository(), Some(core.snapshots.clone()));
    let from_snapshot_ms = median_ms(output, "loading from the snapshot", || loader.load::<Bot>(&id)).await?;
    let quick = loader.load::<Bot>(&id).await?;
    let whole = Loader::new(core.repository(), None).load::<Bot>(&id).await?;
    let agree = *quick.state == *whole.state && quick.sequence == whole.sequence;
    let job = long_job::measure(core, wanted).await?;
    Ok(Report { events: whole.sequence, from_log_ms, from_snapshot_ms, agree, job })
}

async fn store_events(history: &History, core: &Core, output: Output) -> Result<(), Failure> {
    let progress = output.progress(Some(history.events.len() as u64), "storing the history");
    let repository = core.repository();
    let mut expected_sequence = 0;
    for chunk in history.events.chunks(CHUNK) {
        let metadata = metadata();
        let events: Result<Vec<NewEvent>, _> = chunk.iter().map(NewEvent::of).collect();
        let appended = repository
            .append(AppendRequest {
                request_id: metadata.request_id,
                aggregate_type: "Bot".to_owned(),
                aggregate_id: history.bot_id.to_string(),
                expected_sequence,
                events: events?,
                metadata,
                held_epoch: None,
            })
            .await?;
        expected_sequence = appended.last_sequence;
        progress.inc(chunk.len() as u64);
    }
    progress.finish_and_clear();
    Ok(())
}

fn metadata() -> Metadata {
    Metadata::root(RequestId::from_uuid(SystemEntropy.uuid()), Actor::System("bench".to_owned()), wall())
}

/// Commands through the bus until one leads to a snapshot; it is saved in the background.
async fn take_snapshot(id: &str, pool: &PgPool, bus: &CommandBus) -> Result<(), Failure> {
    let started = Instant::now();
    let mut commands = 0;
    while !snapshot_exists(pool, id).await? {
        if started.elapsed() > SNAPSHOT_LIMIT {
            return Err(Failure::new("BENCH_FAILED", Exit::Software, "the snapshot was not taken in time"));
        }
        if commands < 100 {
            let command = BotCommand::PauseAutomation { reason: "measuring".to_owned(), at: wall() };
            let back = BotCommand::ResumeAutomation { at: wall() };
            let command = if commands % 2 == 0 { command } else { back };
            bus.execute::<Bot>(id, command, &metadata()).await.map_err(failed)?;
            commands += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn snapshot_exists(pool: &PgPool, id: &str) -> Result<bool, Failure> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM snapshots WHERE aggregate_type = 'Bot' AND aggregate_id = $1)")
        .bind(id)
        .fetch_one(pool)
        .await
        .map_err(failed)
}

async fn median_ms<T, F>(output: Output, what: &str, load: impl Fn() -> F) -> Result<f64, Failure>
where
    F: Future<Output = Result<T, store::StoreError>>,
{
    let progress = output.progress(Some(LOADS as u64), what);
    let mut lengths = Vec::with_capacity(LOADS);
    for _ in 0..LOADS {
        let started = Instant::now();
        load().await?;
        lengths.push(started.elapsed());
        progress.inc(1);
    }
    progress.finish_and_clear();
    lengths.sort_unstable();
    Ok(lengths[LOADS / 2].as_secs_f64() * 1_000.0)
}
