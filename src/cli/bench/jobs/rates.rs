//! What this machine's PostgreSQL does by itself: durable inserts of one row by one client and by 32, and of 500 rows.
//!
//! By pgbench when it stands beside the server's programs, else by a loop of our own that does the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::{Executor, PgPool};
use tokio::process::Command;

use super::super::workbench::{Workbench, failed};
use crate::config::Config;
use crate::failure::{Exit, Failure};

const TABLE: &str = "
    CREATE SCHEMA bench_rates;
    CREATE TABLE bench_rates.rows (
        id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload text NOT NULL
    );";
const ONE_ROW: &str = "INSERT INTO bench_rates.rows (payload) VALUES (repeat('x', 200))";
const MANY_ROWS: &str = "INSERT INTO bench_rates.rows (payload) \
    SELECT row FROM UNNEST(array_fill(repeat('x', 200), ARRAY[500])) AS row";
const ROWS: f64 = 500.0;
pub const CLIENTS: usize = 32;

/// Rows a second.
#[derive(Debug, Clone, Serialize)]
pub struct Rates {
    /// `pgbench`, or `own loop`.
    pub by: &'static str,
    pub one_client: f64,
    pub clients_32: f64,
    pub rows_of_500: f64,
}

/// Measures each for `seconds`.
pub async fn measure(workbench: &Workbench, config: &Config, seconds: u64) -> Result<Rates, Failure> {
    let pool = workbench.pool();
    pool.execute(sqlx::raw_sql(TABLE)).await.map_err(failed)?;
    let machine = match (pgbench(config), workbench.private_url()) {
        (Some(program), Some(url)) => Machine::Pgbench { program, url, seconds },
        _ => Machine::Own { pool: pool.clone(), seconds },
    };
    // The first run fills caches and files.
    machine.rate(ONE_ROW, CLIENTS).await?;
    let one_client = machine.rate(ONE_ROW, 1).await?;
    let clients_32 = machine.rate(ONE_ROW, CLIENTS).await?;
    let rows_of_500 = machine.rate(MANY_ROWS, 1).await? * ROWS;
    pool.execute("DROP SCHEMA bench_rates CASCADE").await.map_err(failed)?;
    Ok(Rates { by: machine.name(), one_client, clients_32, rows_of_500 })
}

fn pgbench(config: &Config) -> Option<PathBuf> {
    let server = store::embedded::server_program(config.postgres_bin_dir.as_deref()).ok()?;
    let program = server.parent()?.join("pgbench");
    program.is_file().then_some(program)
}

enum Machine {
    Pgbench { program: PathBuf, url: String, seconds: u64 },
    Own { pool: PgPool, seconds: u64 },
}

impl Machine {
    const fn name(&self) -> &'static str {
        match self {
            Self::Pgbench { .. } => "pgbench",
            Self::Own { .. } => "own loop",
        }
    }

    /// Statements a second.
    async fn rate(&self, statement: &'static str, clients: usize) -> Result<f64, Failure> {
        match self {
            Self::Pgbench { program, url, seconds } => {
                let script = tempfile(statement)?;
                let output = Command::new(program)
                    .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
                    .arg(format!("--client={clients}"))
                    .arg(format!("--time={seconds}"))
                    .arg(format!("--file={}", script.path.display()))
                    .arg(url)
                    .kill_on_drop(true)
                    .output()
                    .await
                    .map_err(failed)?;
                let said = String::from_utf8_lossy(&output.stdout);
                let rate = said.lines().filter_map(|line| line.strip_prefix("tps = ")?.split(' ').next()).next_back();
                rate.and_then(|rate| rate.parse().ok()).ok_or_else(|| {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    Failure::new("BENCH_FAILED", Exit::Software, format!("pgbench told no rate: {}", said.trim()))
                })
            }
            Self::Own { pool, seconds } => own(pool, statement, clients, Duration::from_secs(*seconds)).await,
        }
    }
}

async fn own(pool: &PgPool, statement: &'static str, clients: usize, length: Duration) -> Result<f64, Failure> {
    let end = Instant::now() + length;
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut connection = pool.acquire().await?;
                let mut count = 0_u32;
                while Instant::now() < end {
                    sqlx::query(statement).execute(&mut *connection).await?;
                    count += 1;
                }
                Ok::<u32, sqlx::Error>(count)
            })
        })
        .collect();
    let mut statements = 0.0;
    for task in tasks {
        statements += f64::from(task.await.map_err(failed)?.map_err(failed)?);
    }
    Ok(statements / length.as_secs_f64())
}

/// A file that is removed with it.
struct Script {
    path: PathBuf,
}

impl Drop for Script {
    fn drop(&mut self) {
        // One that stays is a small file in the folder for such.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn tempfile(statement: &str) -> Result<Script, Failure> {
    let path = std::env::temp_dir().join(format!("reprise-bench-{}.sql", std::process::id()));
    std::fs::write(&path, format!("{statement};\n")).map_err(failed)?;
    Ok(Script { path })
}
