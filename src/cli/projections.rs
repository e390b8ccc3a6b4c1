//! `reprise projections`: where each view of the log stands, whether it says what the log says, and building it again.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use projections::checkpoint::{self, Standing};
use projections::parked::{self, Parked, Retried};
use projections::rebuild::{Phase, Progress};
use projections::{Projection, Rebuild, Report, catalogue};
use serde::Serialize;
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use store::repository::DEFAULT_SHARD;

use super::SettingFlags;
use crate::bootstrap::database::Database;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Where each projection stands, and which streams are parked
    Status(SettingFlags),
    /// Build projections again beside the live rows and compare; change nothing
    Verify(Named),
    /// Build projections again beside the live rows, compare and swap
    Rebuild(Named),
    /// Put back the rows that the last rebuild replaced
    Restore(Named),
    /// Apply the waiting events of parked streams again
    Retry(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Names of projections; without any, all read models
    names: Vec<String>,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: ProjectionsCommand, output: Output) -> Result<ExitCode, Failure> {
    let settings = match &command {
        ProjectionsCommand::Status(settings) => settings,
        ProjectionsCommand::Verify(named)
        | ProjectionsCommand::Rebuild(named)
        | ProjectionsCommand::Restore(named)
        | ProjectionsCommand::Retry(named) => &named.settings,
    };
    let config = settings.load()?;
    telemetry::start("warn", config.log_format)?;
    let database = Database::open(&config).await?;
    let done = act(&command, database.pool(), output).await;
    database.close().await;
    done
}

async fn act(command: &ProjectionsCommand, pool: &PgPool, output: Output) -> Result<ExitCode, Failure> {
    store::migrate(pool).await?;
    match command {
        ProjectionsCommand::Status(_) => status(pool, output).await,
        ProjectionsCommand::Verify(named) => rebuild(pool, &named.names, false, output).await,
        ProjectionsCommand::Rebuild(named) => rebuild(pool, &named.names, true, output).await,
        ProjectionsCommand::Restore(named) => restore(pool, &named.names, output).await,
        ProjectionsCommand::Retry(named) => retry(pool, &named.names, output).await,
    }
}

fn chosen(pool: &PgPool, names: &[String]) -> Result<Vec<Arc<dyn Projection>>, Failure> {
    if names.is_empty() {
        return Ok(catalogue::read_models());
    }
    let queue = CommandQueue::new(pool.clone());
    let found: Result<Vec<_>, _> = names.iter().map(|name| catalogue::find(name, &queue)).collect();
    Ok(found?)
}

#[derive(Debug, Serialize)]
struct Status {
    projections: Vec<Stand>,
    parked: Vec<Parked>,
}

#[derive(Debug, Serialize)]
struct Stand {
    projection: String,
    version: i32,
    position: i64,
    head: i64,
    behind_events: i64,
    behind_seconds: f64,
    parked_streams: i64,
    parked_events: i64,
}

impl From<Standing> for Stand {
    fn from(standing: Standing) -> Self {
        let (behind_events, behind_seconds) = (standing.behind_events(), standing.behind_seconds());
        let Standing { projection, version, position, head, parked_streams, parked_events, .. } = standing;
        Self { projection, version, position, head, behind_events, behind_seconds, parked_streams, parked_events }
    }
}

async fn status(pool: &PgPool, output: Output) -> Result<ExitCode, Failure> {
    let projections = checkpoint::standings(pool).await?.into_iter().map(Stand::from).collect();
    let status = Status { projections, parked: parked::streams(pool, None).await? };
    output.result(&status, |status| {
        let rows = status.projections.iter().map(|stand| {
            [
                stand.projection.clone(),
                stand.position.to_string(),
                stand.behind_events.to_string(),
                format!("{:.1}", stand.behind_seconds),
                stand.parked_streams.to_string(),
            ]
        });
        let mut text = output::table(["PROJECTION", "POSITION", "BEHIND", "SECONDS", "PARKED STREAMS"], rows);
        if !status.parked.is_empty() {
            let rows = status.parked.iter().map(|parked| {
                let stream = format!("{}-{}", parked.aggregate_type, parked.aggregate_id);
                [parked.projection.clone(), stream, parked.position.to_string(), parked.reason.clone()]
            });
            text.push_str("\n\n");
            text.push_str(&output::table(["PARKED BY", "STREAM", "POSITION", "REASON"], rows));
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}

async fn rebuild(pool: &PgPool, names: &[String], swap: bool, output: Output) -> Result<ExitCode, Failure> {
    let mut reports: Vec<Report> = Vec::new();
    for projection in chosen(pool, names)? {
        let bar = output.progress(Some(0), projection.name());
        let told = follow(bar.clone(), projection.name());
        let rebuild = Rebuild::new(pool, projection, DEFAULT_SHARD);
        let report = if swap { rebuild.swap(told).await } else { rebuild.verify(told).await };
        bar.finish_and_clear();
        reports.push(report?);
    }
    let agrees = reports.iter().all(Report::agrees);
    output.result(&reports, |reports| {
        let mut text = output::table(["PROJECTION", "TABLE", "ROWS", "RESULT"], lines(reports));
        let rows: Vec<_> = reports.iter().flat_map(samples).collect();
        if !rows.is_empty() {
            text.push_str("\n\n");
            text.push_str(&output::table(["DIFFERS", "ROW", "IS", "LOG SAYS"], rows));
        }
        text
    });
    // A rebuild that found differences has mended them.
    Ok(if agrees || swap { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}

fn follow(bar: ProgressBar, name: &'static str) -> projections::rebuild::OnProgress {
    Arc::new(move |Progress { phase, position, target }| {
        let doing = match phase {
            Phase::Building => "building",
            Phase::Comparing => "comparing",
            Phase::Swapping => "swapping",
        };
        bar.set_message(format!("{name}: {doing}"));
        bar.set_length(u64::try_from(target).unwrap_or(0));
        bar.set_position(u64::try_from(position).unwrap_or(0));
    })
}

fn lines(reports: &[Report]) -> Vec<[String; 4]> {
    let mut lines = Vec::new();
    for report in reports {
        let done = if report.swapped { ", swapped" } else { "" };
        let Some(tables) = &report.tables else {
            let said = format!("an older shape, not compared{done}");
            lines.push([report.projection.to_owned(), String::new(), String::new(), said]);
            continue;
        };
        for table in tables {
            let said = if table.agrees() {
                format!("agrees with the log{done}")
            } else {
                let (missing, surplus, differing) = (table.missing, table.surplus, table.differing);
                format!("DIFFERS: {missing} missing, {surplus} surplus, {differing} differing{done}")
            };
            let rows = table.live_rows.to_string();
            lines.push([report.projection.to_owned(), table.table.to_owned(), rows, said]);
        }
    }
    lines
}

/// Some of the rows that differ, with what is in them and what the log says.
fn samples(report: &Report) -> Vec<[String; 4]> {
    let fields = |row: &serde_json::Map<String, serde_json::Value>| {
        row.iter().map(|(column, value)| format!("{column}={value}")).collect::<Vec<_>>().join(" ")
    };
    let row = |row: &Option<_>| row.as_ref().map_or_else(|| "no such row".to_owned(), fields);
    let tables = report.tables.iter().flatten();
    let samples = tables.flat_map(|table| table.samples.iter().map(move |sample| (table.table, sample)));
    samples
        .map(|(table, sample)| [table.to_owned(), fields(&sample.key), row(&sample.live), row(&sample.rebuilt)])
        .collect()
}

#[derive(Debug, Serialize)]
struct Restored {
    projection: &'static str,
    position: i64,
}

async fn restore(pool: &PgPool, names: &[String], output: Output) -> Result<ExitCode, Failure> {
    if names.is_empty() {
        return Err(Failure::new("USAGE", Exit::Usage, "no projection is named").hint("name what is to be put back"));
    }
    let mut restored = Vec::new();
    for projection in chosen(pool, names)? {
        let name = projection.name();
        let position = Rebuild::new(pool, projection, DEFAULT_SHARD).restore().await?;
        restored.push(Restored { projection: name, position });
    }
    output.result(&restored, |restored| {
        let rows = restored.iter().map(|row| [row.projection.to_owned(), row.position.to_string()]);
        output::table(["RESTORED", "GOES ON FROM"], rows)
    });
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Retry {
    projection: String,
    stream: String,
    #[serde(flatten)]
    outcome: Retried,
}

async fn retry(pool: &PgPool, names: &[String], output: Output) -> Result<ExitCode, Failure> {
    let queue = CommandQueue::new(pool.clone());
    let mut retries = Vec::new();
    for parked in parked::streams(pool, None).await? {
        if !names.is_empty() && !names.contains(&parked.projection) {
            continue;
        }
        let projection = catalogue::find(&parked.projection, &queue)?;
        let (kind, id) = (&parked.aggregate_type, &parked.aggregate_id);
        let outcome = parked::retry(pool, projection.as_ref(), parked.shard, kind, id).await?;
        retries.push(Retry { stream: format!("{kind}-{id}"), projection: parked.projection, outcome });
    }
    let left = retries.iter().any(|retry| retry.outcome.left > 0);
    output.result(&retries, |retries| {
        let rows = retries.iter().map(|retry| {
            let Retried { applied, left } = retry.outcome;
            [retry.projection.clone(), retry.stream.clone(), applied.to_string(), left.to_string()]
        });
        output::table(["PROJECTION", "STREAM", "APPLIED", "STILL WAITING"], rows)
    });
    Ok(if left { Exit::Disagreement.into() } else { ExitCode::SUCCESS })
}
