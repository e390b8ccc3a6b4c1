//! `reprise postgres -- COMMAND`: one throw-away PostgreSQL for a whole test run. Not for data that matters.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use crate::config::LogFormat;
use crate::failure::Failure;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct PostgresCommand {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub async fn run(command: PostgresCommand) -> Result<ExitCode, Failure> {
    telemetry::start("warn", LogFormat::Auto)?;
    Ok(store::testing::run_with_server(command.command).await?)
}
