//! `reprise bench append`: the store beside what it is built on and beside what the machine can do at most.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postgres_es::PostgresEventRepository;
use serde::Serialize;
use sqlx::{Executor, PgPool};
use store::repository::CqrsRepository;

use super::contender::{BusClient, FrameworkClient, InsertClient, ROWS_OF_AN_INSERT, framework};
use super::measure::{Client, Measured, measure};
use super::workbench::{Workbench, failed};
use crate::bootstrap::core::Core;
use crate::cli::SettingFlags;
use crate::failure::Failure;
use crate::output::{self, Output};

const BARE: &str = "cqrs-es + postgres-es";
const OURS: &str = "reprise";
const UNDER_CQRS: &str = "cqrs-es + reprise";
const LIMIT: &str = "limit: inserts of 500 rows";

/// postgres-es's own table, and one like ours for the limit.
const TABLES: &str = "
    CREATE SCHEMA bench_bare;
    CREATE TABLE bench_bare.events (
        aggregate_type text                         NOT NULL,
        aggregate_id   text                         NOT NULL,
        sequence       bigint CHECK (sequence >= 0) NOT NULL,
        event_type     text                         NOT NULL,
        event_version  text                         NOT NULL,
        payload        json                         NOT NULL,
        metadata       json                         NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    );
    CREATE SCHEMA bench_limit;
    CREATE TABLE bench_limit.events (LIKE public.events INCLUDING ALL);";

#[derive(Debug, Args)]
pub struct AppendBench {
    /// Numbers of concurrent clients
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,128", value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: Vec<u16>,
    /// Seconds that each run is measured for
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Serialize)]
struct Row {
    contender: &'static str,
    #[serde(flatten)]
    measured: Measured,
}

#[derive(Debug, Serialize)]
struct Ratio {
    clients: usize,
    /// The command bus, as production uses it, by postgres-es.
    to_postgres_es: f64,
    to_limit: f64,
    /// Our repository alone, under cqrs-es as it is, which loads the stream for each command.
    under_cqrs_es_to_postgres_es: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    /// After all runs: as many events as positions.
    positions_are_gapless: bool,
}

pub async fn run(bench: AppendBench, output: Output) -> Result<ExitCode, Failure> {
    let config = super::prepare(&bench.settings)?;
    let workbench = Workbench::open(&config).await?;
    let report = match Core::start(workbench.pool(), "bench").await {
        Ok(core) => {
            let report = measure_all(&bench, workbench.pool(), &core, output).await;
            core.close().await;
            report
        }
        Err(error) => Err(error.into()),
    };
    workbench.close().await;
    let report = report?;
    output.result(&report, text);
    Ok(ExitCode::SUCCESS)
}

async fn measure_all(bench: &AppendBench, pool: &PgPool, core: &Core, output: Output) -> Result<Report, Failure> {
    pool.execute(sqlx::raw_sql(TABLES)).await.map_err(failed)?;
    let bare =
        framework(PostgresEventRepository::new(pool.clone()).with_tables("bench_bare.events", "bench_bare.snapshots"));
    let ours = framework(CqrsRepository::new(core.repository()));
    let runs = bench.clients.len() * 4;
    let progress = output.progress(Some(runs as u64), "measuring");
    let run = Runner { length: Duration::from_secs(bench.seconds), progress: &progress };
    let mut rows = Vec::new();
    for clients in bench.clients.iter().map(|clients| usize::from(*clients)) {
        rows.push(run.of(BARE, clients, |_| FrameworkClient::new(&bare)).await?);
        rows.push(run.of(UNDER_CQRS, clients, |_| FrameworkClient::new(&ours)).await?);
        rows.push(run.of(OURS, clients, |_| BusClient::new(&core.bus)).await?);
        let sample = sample(pool).await?;
        let insert = |number| InsertClient::new(pool, "bench_limit.events", sample.clone(), number);
        rows.push(run.of(LIMIT, clients, insert).await?);
        pool.execute("TRUNCATE bench_limit.events").await.map_err(failed)?;
    }
    progress.finish_and_clear();
    let ratios = bench.clients.iter().filter_map(|clients| ratio(&rows, usize::from(*clients))).collect();
    Ok(Report { ratios, rows, positions_are_gapless: gapless(pool).await? })
}

struct Runner<'a> {
    length: Duration,
    progress: &'a indicatif::ProgressBar,
}

impl Runner<'_> {
    async fn of<C: Client>(
        &self,
        contender: &'static str,
        clients: usize,
        client: impl Fn(usize) -> C,
    ) -> Result<Row, Failure> {
        self.progress.set_message(format!("{contender}, {clients} clients"));
        let clients = (0..clients).map(client).collect();
        let measured = measure(clients, Duration::from_secs(1), self.length).await?;
        self.progress.inc(1);
        Ok(Row { contender, measured })
    }
}

/// Texts of a stored event, so that the limit writes rows of the same size.
async fn sample(pool: &PgPool) -> Result<(String, String), Failure> {
    sqlx::query_as("SELECT payload::text, metadata::text FROM events WHERE event_type = 'AccountLinked' LIMIT 1")
        .fetch_one(pool)
        .await
        .map_err(failed)
}

async fn gapless(pool: &PgPool) -> Result<bool, Failure> {
    sqlx::query_scalar(
        "SELECT count(*) = max(position) AND max(position) = (SELECT head FROM shards WHERE shard = 0)
           FROM events",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)
}

fn ratio(rows: &[Row], clients: usize) -> Option<Ratio> {
    let of = |contender| {
        let row = rows.iter().find(|row| row.contender == contender && row.measured.clients == clients)?;
        Some(row.measured.events_per_second)
    };
    let (bare, ours, under_cqrs, limit) = (of(BARE)?, of(OURS)?, of(UNDER_CQRS)?, of(LIMIT)?);
    Some(Ratio {
        clients,
        to_postgres_es: ours / bare,
        to_limit: ours / limit,
        under_cqrs_es_to_postgres_es: under_cqrs / bare,
    })
}

fn text(report: &Report) -> String {
    let rows = report.rows.iter().map(|row| {
        let Measured { clients, events_per_second, p50_ms, p99_ms } = &row.measured;
        [
            row.contender.to_owned(),
            clients.to_string(),
            format!("{events_per_second:.0}"),
            format!("{p50_ms:.2}"),
            format!("{p99_ms:.2}"),
        ]
    });
    let results = output::table(["CONTENDER", "CLIENTS", "EVENTS/S", "P50 MS", "P99 MS"], rows);
    let ratios = report.ratios.iter().map(|ratio| {
        [
            ratio.clients.to_string(),
            format!("{:.2}", ratio.to_postgres_es),
            format!("{:.2}", ratio.to_limit),
            format!("{:.2}", ratio.under_cqrs_es_to_postgres_es),
        ]
    });
    let header = ["CLIENTS", "REPRISE / POSTGRES-ES", "REPRISE / LIMIT", "CQRS-ES + REPRISE / POSTGRES-ES"];
    let gaps = if report.positions_are_gapless { "no gap" } else { "A GAP" };
    let ratios = output::table(header, ratios);
    format!("{results}\n\n{ratios}\n\nThe limit inserts {ROWS_OF_AN_INSERT} rows at a time; positions have {gaps}.")
}
