//! `reprise migrate`: brings the database to the newest schema and stops.

use std::process::ExitCode;

use serde::Serialize;

use super::SettingFlags;
use crate::bootstrap::database::Database;
use crate::failure::Failure;
use crate::output::Output;
use crate::telemetry;

#[derive(Debug, Serialize)]
struct Migrated {
    up_to_date: bool,
}

pub async fn run(flags: &SettingFlags, output: Output) -> Result<ExitCode, Failure> {
    let config = flags.load()?;
    telemetry::start("warn", config.log_format)?;
    let database = Database::open(&config).await?;
    let migrated = store::migrate(database.pool()).await;
    database.close().await;
    migrated?;
    output.result(&Migrated { up_to_date: true }, |_| "the database has the newest schema".to_owned());
    Ok(ExitCode::SUCCESS)
}
