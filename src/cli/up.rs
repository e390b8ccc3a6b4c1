//! `reprise up`, `serve` and `worker`: run the service, all of it or a part, until a signal.

use std::process::ExitCode;

use super::SettingFlags;
use crate::bootstrap::{self, Role};
use crate::failure::Failure;
use crate::output::Output;
use crate::telemetry;

pub async fn run(flags: &SettingFlags, role: Role, output: Output) -> Result<ExitCode, Failure> {
    let config = flags.load()?;
    telemetry::start(&config.log, config.log_format)?;
    bootstrap::run(&config, role, output).await?;
    Ok(ExitCode::SUCCESS)
}
