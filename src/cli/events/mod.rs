//! `reprise events`: the log itself, as lines.

mod export;
mod import;
mod show;
mod tail;

use std::process::ExitCode;

use clap::Subcommand;
use domain::metadata::Metadata;
use store::event::RawEvent;
use store::transfer::TransferredEvent;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Write events as JSON lines with all of their columns
    Export(export::Export),
    /// Take exported events into an empty database, or into streams that are not there
    Import(import::Import),
    /// Show the newest events, and those that come
    Tail(tail::Tail),
    /// Show one event in full
    Show(show::Show),
}

pub async fn run(command: EventsCommand, output: Output) -> Result<ExitCode, Failure> {
    match command {
        EventsCommand::Export(command) => export::run(&command, output).await,
        EventsCommand::Import(command) => import::run(&command, output).await,
        EventsCommand::Tail(command) => tail::run(&command, output).await,
        EventsCommand::Show(command) => show::run(&command, output).await,
    }
}

/// The event as its line of an export.
fn line(raw: RawEvent) -> Result<String, Failure> {
    Ok(TransferredEvent::try_from(raw)?.to_line()?)
}

fn actor(raw: &RawEvent) -> String {
    let metadata = serde_json::from_str(&raw.metadata).ok().and_then(|map| Metadata::from_map(&map).ok());
    metadata.map(|metadata| metadata.actor.to_string()).unwrap_or_default()
}
