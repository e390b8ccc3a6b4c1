//! `reprise events export`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::value::RawValue;
use store::event::RawEvent;
use store::repository::DEFAULT_SHARD;
use workers::job::replay::history::{self, StoredRow};
use workers::job::replay::{Expected, Heading, Reach, Verdict, replay};

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, PAGE, StreamName};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

/// Writes events as JSON lines, in the order of their positions. Payload and metadata are the stored text, so that hashes can be
/// recomputed. Passwords, sessions and keys are not in events; what people wrote and whom the bots met is.
#[derive(Debug, Args)]
pub struct Export {
    /// Only this stream, such as Bot-ID; may be given several times
    #[arg(long, value_name = "STREAM")]
    stream: Vec<StreamName>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: i64,
    /// A new file to write to [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A line an event, or one job's history as a readable file for a corpus
    #[arg(long, value_enum, default_value_t = Form::Lines)]
    form: Form,
    /// What the history shows, for its file
    #[arg(long, value_name = "SENTENCE")]
    shows: Option<String>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Lines,
    History,
}

#[derive(Debug, Serialize)]
struct Exported {
    events: u64,
    streams: usize,
    /// The last position that is in it; the next export can go on after it.
    last_position: i64,
    out: String,
}

pub async fn run(command: &Export, output: Output) -> Result<ExitCode, Failure> {
    let job = match (command.form, &command.stream[..]) {
        (Form::Lines, _) => None,
        (Form::History, [name]) if name.kind == "Job" => Some(name),
        (Form::History, _) => {
            return Err(
                Failure::new("USAGE", Exit::Usage, "a history is of one job").hint("name it: --stream Job-<id>")
            );
        }
    };
    let mut sink = Sink::open(command.out.as_deref())?;
    let log = LogAccess::open(&command.settings).await?;
    let exported = match job {
        Some(job) => history_of(command, job, &log, &mut sink).await,
        None if command.stream.is_empty() => everything(command, &log, &mut sink, output).await,
        None => streams(command, &log, &mut sink).await,
    };
    log.close().await;
    let exported = exported.and_then(|exported| sink.finish().map(|()| exported))?;
    if let Some(out) = &command.out {
        let exported = Exported { out: out.display().to_string(), ..exported };
        output.result(&exported, |exported| {
            let Exported { events, streams, last_position, out } = exported;
            format!("{events} events of {streams} streams up to position {last_position} are in {out}")
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the lines go.
enum Sink {
    Terminal,
    File(BufWriter<File>, PathBuf),
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Terminal) };
        let file = File::create_new(path).map_err(|error| {
            Failure::new("EVENTS_OUT", Exit::CannotCreate, format!("{} cannot be made", path.display()))
                .hint("nothing is overwritten: name a new file")
                .caused_by(error)
        })?;
        Ok(Self::File(BufWriter::new(file), path.to_owned()))
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Terminal => output::text(text),
            Self::File(file, path) => writeln!(file, "{text}").map_err(|error| unwritten(path, error))?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        let Self::File(file, path) = self else { return Ok(()) };
        let written = file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.map_err(|error| unwritten(&path, error))
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Failure {
    Failure::new("EVENTS_OUT", Exit::Io, format!("{} cannot be written", path.display())).caused_by(error)
}

#[derive(Default)]
struct Count {
    events: u64,
    streams: BTreeSet<(String, String)>,
    last_position: i64,
}

impl Count {
    fn take(&mut self, raw: &RawEvent) {
        self.events += 1;
        self.last_position = self.last_position.max(raw.position);
        let key = (raw.aggregate_type.clone(), raw.aggregate_id.clone());
        if !self.streams.contains(&key) {
            self.streams.insert(key);
        }
    }

    fn exported(self) -> Exported {
        let Self { events, streams, last_position } = self;
        Exported { events, streams: streams.len(), last_position, out: String::new() }
    }
}

async fn everything(command: &Export, log: &LogAccess, sink: &mut Sink, output: Output) -> Result<Exported, Failure> {
    let repository = log.repository();
    // What comes meanwhile is for the next export.
    let head = repository.head(DEFAULT_SHARD).await?;
    let bar = output.progress(u64::try_from(head - command.after).ok(), "exporting");
    let (mut count, mut after) = (Count::default(), command.after.max(0));
    while after < head {
        let page = repository.raw_read(DEFAULT_SHARD, after, PAGE.min(head - after)).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for raw in page {
            count.take(&raw);
            sink.line(&super::line(raw)?)?;
        }
        bar.set_position(u64::try_from(after - command.after).unwrap_or(0));
    }
    bar.finish_and_clear();
    Ok(count.exported())
}

async fn streams(command: &Export, log: &LogAccess, sink: &mut Sink) -> Result<Exported, Failure> {
    let mut events = Vec::new();
    for name in &command.stream {
        events.extend(log.stream(name).await?);
    }
    events.sort_by_key(|raw| raw.position);
    events.dedup_by_key(|raw| raw.position);
    let mut count = Count::default();
    for raw in events.into_iter().filter(|raw| raw.position > command.after) {
        count.take(&raw);
        sink.line(&super::line(raw)?)?;
    }
    Ok(count.exported())
}

async fn history_of(command: &Export, job: &StreamName, log: &LogAccess, sink: &mut Sink) -> Result<Exported, Failure> {
    let events = log.stream(job).await?;
    let mut count = Count::default();
    let mut rows = Vec::new();
    let mut lines = String::new();
    for raw in events {
        count.take(&raw);
        let RawEvent { sequence, event_type, event_version, .. } = &raw;
        let (sequence, event_type, event_version) = (*sequence, event_type.clone(), event_version.clone());
        let payload = RawValue::from_string(raw.payload.clone()).map_err(unshown)?;
        lines.push_str(&super::line(raw)?);
        lines.push('\n');
        rows.push(StoredRow { sequence, event_type, event_version, payload });
    }
    let heading = heading(command, job, &lines)?;
    sink.line(history::to_file(&heading, rows).map_err(unshown)?.trim_end())?;
    Ok(count.exported())
}

/// What is expected of a history is what a replay of it finds now.
fn heading(command: &Export, job: &StreamName, lines: &str) -> Result<Heading, Failure> {
    let parsed = history::parse(lines)?.pop();
    let events = parsed.map(|history| history.events).unwrap_or_default();
    let replayed = replay(&workers::replayable()?, &events)?;
    let expect = match replayed.verdict {
        Verdict::Fits { reach: Reach::Open { .. } | Reach::Ends { .. } } => Expected::Open,
        Verdict::Fits { .. } => Expected::Complete,
        Verdict::Diverges(parting) => Expected::PartsAt(parting.index),
    };
    let name = command.out.as_ref().and_then(|out| out.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    Ok(Heading {
        name: name.unwrap_or_else(|| job.id.clone()),
        workflow: replayed.workflow,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        shows: command.shows.clone().unwrap_or_else(|| "A job as it ran.".to_owned()),
        expect,
    })
}

fn unshown(error: serde_json::Error) -> Failure {
    Failure::new("REPLAY_UNREADABLE", Exit::Data, "an event of the job does not read").caused_by(error)
}
