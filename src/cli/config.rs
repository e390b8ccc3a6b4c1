//! `reprise config`: shows every setting with its source, or only says whether they are valid.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::SettingFlags;
use crate::config::{self, Config, Layers};
use crate::failure::Failure;
use crate::output::{self, Output};

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting, its value and where that came from; secrets stay hidden
    Print(SettingFlags),
    /// Say whether the settings are valid
    Check(SettingFlags),
}

#[derive(Debug, Serialize)]
struct Checked {
    valid: bool,
}

pub fn run(command: &ConfigCommand, output: Output) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Print(flags) => print(flags, output),
        ConfigCommand::Check(flags) => {
            flags.load()?;
            output.result(&Checked { valid: true }, |_| "the settings are valid".to_owned());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(flags: &SettingFlags, output: Output) -> Result<ExitCode, Failure> {
    let variables = config::environment();
    let layers = Layers::gather(&flags.values, &variables, flags.file.as_deref())?;
    let checked = Config::check(&layers, &variables)?;
    let mut rows = config::describe(&layers);
    if let Some(row) = rows.iter_mut().find(|row| row.key == "data_dir") {
        row.value = checked.data_dir.display().to_string();
    }
    output.result(&rows, |rows| {
        let cells = rows.iter().map(|row| [row.key, &row.value, &row.origin, row.help].map(str::to_owned));
        output::table(["SETTING", "VALUE", "FROM", "WHAT IT IS"], cells)
    });
    Ok(ExitCode::SUCCESS)
}
