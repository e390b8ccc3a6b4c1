//! `reprise replay`: what today's code and other limits make of what happened. Nothing of it has any effect.

mod bot;
mod corpus;
mod diff;
mod job;
mod lines;
mod what_if;

use std::process::ExitCode;

use clap::Subcommand;
use workers::job::Registry;

use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Re-run today's code of a job's workflow over its history, and show where they part
    Job(job::Job),
    /// Do so for every history in a folder
    Corpus(corpus::Corpus),
    /// Show a bot's state after each of its events, and what changed
    Bot(bot::Bot),
    /// Decide a bot's reservations again under other limits
    WhatIf(what_if::WhatIfCommand),
}

pub async fn run(command: ReplayCommand, output: Output) -> Result<ExitCode, Failure> {
    match command {
        ReplayCommand::Job(command) => job::run(command, output).await,
        ReplayCommand::Corpus(command) => corpus::run(&command, output),
        ReplayCommand::Bot(command) => bot::run(command, output).await,
        ReplayCommand::WhatIf(command) => what_if::run(command, output).await,
    }
}

/// The workflows that this version ships.
fn workflows() -> Result<Registry, Failure> {
    Ok(workers::replayable()?)
}

/// The content of a file that a person named.
fn read(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new("EVENTS_FILE", Exit::Io, format!("{} is not readable", path.display())).caused_by(error)
    })
}
