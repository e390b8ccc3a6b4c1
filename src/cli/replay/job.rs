//! `reprise replay job`: one job's history, from the database or from a file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use domain::job::{Job as JobAggregate, JobEvent};
use store::decode::Decoder;
use workers::job::replay::{History, Verdict, history, replay};

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, StreamName};
use super::{lines, workflows};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Re-runs today's code of the job's workflow over its history. Nothing is executed, written or called; time and randomness come from
/// the history. Exit status 1 says that code and history part.
#[derive(Debug, Args)]
pub struct Job {
    /// The job's id; needed with a file only when it holds several jobs
    #[arg(required_unless_present = "file")]
    id: Option<String>,
    /// Read an export or a history from this file instead of the database
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show the whole journal, however long it is
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: Job, output: Output) -> Result<ExitCode, Failure> {
    let registry = workflows()?;
    let events = match &command.file {
        Some(path) => from_file(&super::read(path)?, command.id.as_deref())?,
        None => from_database(&command).await?,
    };
    let replayed = replay(&registry, &events)?;
    output.result(&replayed, |replayed| lines::whole(replayed, command.all));
    let parts = matches!(replayed.verdict, Verdict::Diverges(_));
    Ok(if parts { Exit::Disagreement.into() } else { ExitCode::SUCCESS })
}

fn from_file(text: &str, id: Option<&str>) -> Result<Vec<(i64, JobEvent)>, Failure> {
    let wanted = id.map(|id| StreamName::of("Job", id).id);
    let mut found = history::parse(text)?;
    found.retain(|history| wanted.as_ref().is_none_or(|wanted| history.job_id == *wanted));
    match found.len() {
        1 => Ok(found.pop().map(|History { events, .. }| events).unwrap_or_default()),
        0 => Err(Failure::new("REPLAY_UNREADABLE", Exit::Data, "the file has no job of this id")),
        count => {
            let ids: Vec<&str> = found.iter().take(5).map(|history| history.job_id.as_str()).collect();
            let message = format!("the file has {count} jobs, and no id says which");
            Err(Failure::new("USAGE", Exit::Usage, message).hint(format!("name one, such as {}", ids.join(" or "))))
        }
    }
}

async fn from_database(command: &Job) -> Result<Vec<(i64, JobEvent)>, Failure> {
    let name = StreamName::of("Job", command.id.as_deref().unwrap_or_default());
    let log = LogAccess::open(&command.settings).await?;
    let stored = log.stream(&name).await;
    log.close().await;
    let decoder = Decoder::<JobAggregate>::default();
    let mut events = Vec::new();
    for raw in stored? {
        events.push((raw.sequence, decoder.decode(&raw)?));
    }
    Ok(events)
}
