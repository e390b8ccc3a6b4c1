//! `reprise events import`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use projections::{catalogue, checkpoint};
use serde::Serialize;
use store::command_queue::CommandQueue;
use store::repository::DEFAULT_SHARD;
use store::transfer::{self, Imported};

use super::super::SettingFlags;
use super::super::log_access::LogAccess;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Takes exported events: streams, sequences, event ids, metadata and payloads stay as they are, positions and hashes are made anew.
///
/// The whole file is checked first, and one wrong line refuses all of it. A stream that is there already must begin with the
/// same events; what it lacks is added, so that an import can be repeated, and exports made with --after follow each other. Should the
/// process die while it writes, the streams end where it died, and a repetition goes on from there.
///
/// Nothing is commanded by what is imported: no login and no run of it begins by itself. Passwords, sessions and sign-ins are not in
/// events, so nothing can act: a job that is open in it goes on once its account is linked and logged in again. Nobody else may use the
/// database meanwhile.
#[derive(Debug, Args)]
pub struct Import {
    /// An export
    file: PathBuf,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    streams: u64,
    events: u64,
    /// Those of them that were there before.
    known: u64,
    /// The log's last position now.
    head: i64,
    /// Reactors that had not read everything before, and so will read what was imported.
    reactors_behind: Vec<&'static str>,
}

pub async fn run(command: &Import, output: Output) -> Result<ExitCode, Failure> {
    let length = std::fs::metadata(&command.file).map(|file| file.len());
    length.map_err(|error| {
        Failure::new("EVENTS_FILE", Exit::Io, format!("{} is not readable", command.file.display())).caused_by(error)
    })?;
    let log = LogAccess::open(&command.settings).await?;
    let report = import(command, &log, output).await;
    log.close().await;
    output.result(&report?, |report| {
        let Report { streams, events, known, head, reactors_behind } = report;
        let mut text = format!(
            "{events} events of {streams} streams are in the log, {known} of them were before; its head is {head}"
        );
        if !reactors_behind.is_empty() {
            text.push_str("\nnote: these had not read the whole log and will act on what was imported: ");
            text.push_str(&reactors_behind.join(", "));
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}

async fn import(command: &Import, log: &LogAccess, output: Output) -> Result<Report, Failure> {
    let others = log.other_writers().await?;
    if others > 0 {
        let message = format!("{others} other processes use this database");
        return Err(Failure::new("EVENTS_IN_USE", Exit::TryLater, message).hint("stop `reprise up` first"));
    }
    let repository = log.repository();
    let before = repository.head(DEFAULT_SHARD).await?;
    let bar = output.progress(None, "importing");
    let open = || File::open(&command.file).map(BufReader::new);
    let imported = transfer::import(repository.as_ref(), open, |events| bar.set_position(events)).await;
    bar.finish_and_clear();
    let Imported { streams, events, known } = imported?;
    let head = repository.head(DEFAULT_SHARD).await?;
    let reactors = catalogue::reactors(&CommandQueue::new(log.pool().clone()));
    let reactors_behind = checkpoint::pass_over(log.pool(), &reactors, DEFAULT_SHARD, before, head).await?;
    Ok(Report { streams, events, known, head, reactors_behind })
}
