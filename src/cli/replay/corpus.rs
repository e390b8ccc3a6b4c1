//! `reprise replay corpus`: a folder of histories, many at a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use workers::job::Registry;
use workers::job::replay::{Expected, History, Parting, ReplayError, Replayed, Verdict, history, replay};

use super::{lines, workflows};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

/// Re-runs today's code over every history of a folder and the folders in it: exports (.jsonl) and histories (.json). A history says
/// itself what is expected of it; an export is expected to fit. Exit status 1 names a surprise, 65 a file that is no history.
#[derive(Debug, Args)]
pub struct Corpus {
    /// Folder of histories
    folder: PathBuf,
    /// Histories at a time [default: as many as the machine has processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Most seconds for one history
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    summary: Summary,
    histories: Vec<Told>,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    histories: usize,
    events: usize,
    as_expected: usize,
    surprises: usize,
    unreadable: usize,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Told {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    as_expected: bool,
    expected: Expected,
    #[serde(flatten)]
    outcome: Outcome,
    milliseconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Replayed {
        job_id: String,
        workflow: String,
        events: usize,
        #[serde(flatten)]
        verdict: Verdict,
    },
    Unreadable {
        code: &'static str,
        message: String,
    },
}

pub fn run(command: &Corpus, output: Output) -> Result<ExitCode, Failure> {
    let registry = workflows()?;
    let mut files = Vec::new();
    collect(&command.folder, &mut files)?;
    if files.is_empty() {
        let message = format!("{} has no histories", command.folder.display());
        return Err(
            Failure::new("REPLAY_NO_HISTORIES", Exit::Data, message).hint("histories end in .json, exports in .jsonl")
        );
    }
    let begun = Instant::now();
    let bar = output.progress(Some(files.len() as u64), "replaying");
    let limit = Duration::from_secs(command.limit);
    let mut histories = in_parallel(command, files, |path| {
        let told = file(&registry, &command.folder, path, limit);
        bar.inc(1);
        told
    });
    bar.finish_and_clear();
    histories.sort_by(|one, other| one.path.cmp(&other.path));
    let report = Report { summary: sum(&histories, begun.elapsed()), histories };
    output.result(&report, text);
    Ok(match &report.summary {
        Summary { unreadable: 1.., .. } => Exit::Data.into(),
        Summary { surprises: 1.., .. } => Exit::Disagreement.into(),
        _ => ExitCode::SUCCESS,
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new("EVENTS_FILE", Exit::Io, format!("{} is not readable", folder.display())).caused_by(error)
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "json" || ending == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}

fn in_parallel(command: &Corpus, files: Vec<PathBuf>, work: impl Fn(&Path) -> Vec<Told> + Sync) -> Vec<Told> {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = command.jobs.map_or(processors, usize::from).min(files.len());
    let (waiting, done) = (Mutex::new(VecDeque::from(files)), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = next() {
                    let told = work(&path);
                    done.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The histories of one file.
fn file(registry: &Registry, folder: &Path, path: &Path, limit: Duration) -> Vec<Told> {
    let shown = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let begun = Instant::now();
    let unreadable = |code, message| Told {
        path: shown.clone(),
        name: None,
        as_expected: false,
        expected: Expected::Fits,
        outcome: Outcome::Unreadable { code, message },
        milliseconds: milliseconds(begun),
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![unreadable("EVENTS_FILE", error.to_string())],
    };
    match history::parse(&text) {
        Ok(found) => found.into_iter().map(|history| one(registry, &shown, history, limit)).collect(),
        Err(error) => vec![unreadable(error.code(), error.to_string())],
    }
}

fn one(registry: &Registry, path: &str, History { heading, events, .. }: History, limit: Duration) -> Told {
    let begun = Instant::now();
    let expected = heading.as_ref().map_or(Expected::Fits, |heading| heading.expect);
    let outcome = within(registry.clone(), events, limit);
    let milliseconds = milliseconds(begun);
    let (path, name) = (path.to_owned(), heading.map(|heading| heading.name));
    let (as_expected, outcome) = match outcome {
        Ok(replayed) => {
            let as_expected = expected.is_met_by(&replayed);
            let Replayed { job_id, workflow, events, verdict, .. } = replayed;
            (as_expected, Outcome::Replayed { job_id: job_id.to_string(), workflow, events, verdict })
        }
        Err(error) => (false, Outcome::Unreadable { code: error.code(), message: error.to_string() }),
    };
    Told { path, name, as_expected, expected, outcome, milliseconds }
}

/// Replays in a thread of its own: code that turns in a circle would never give the thread back.
fn within(
    registry: Registry,
    events: Vec<(i64, domain::job::JobEvent)>,
    limit: Duration,
) -> Result<Replayed, ReplayError> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = tell.send(replay(&registry, &events));
    });
    told.recv_timeout(limit).unwrap_or(Err(ReplayError::TooLong { seconds: limit.as_secs() }))
}

fn milliseconds(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn sum(histories: &[Told], took: Duration) -> Summary {
    let mut summary = Summary { histories: histories.len(), seconds: took.as_secs_f64(), ..Summary::default() };
    for told in histories {
        match &told.outcome {
            Outcome::Unreadable { .. } => summary.unreadable += 1,
            Outcome::Replayed { events, .. } => {
                summary.events += events;
                summary.as_expected += usize::from(told.as_expected);
                summary.surprises += usize::from(!told.as_expected);
            }
        }
    }
    summary
}

fn text(report: &Report) -> String {
    let rows = report.histories.iter().map(|told| {
        let mark = if told.as_expected { "✓" } else { "✗" };
        let (workflow, events, said) = match &told.outcome {
            Outcome::Replayed { workflow, events, verdict, .. } => {
                (workflow.as_str(), events.to_string(), brief(verdict))
            }
            Outcome::Unreadable { code, message } => ("", String::new(), format!("{code}: {message}")),
        };
        let milliseconds = format!("{:.1}", told.milliseconds);
        [mark.to_owned(), told.path.clone(), workflow.to_owned(), events, milliseconds, said]
    });
    let table = output::table(["", "HISTORY", "WORKFLOW", "EVENTS", "MS", "VERDICT"], rows);
    let Summary { histories, events, as_expected, surprises, unreadable, seconds } = &report.summary;
    format!(
        "{table}\n\n{histories} histories, {events} events in {seconds:.1} s: {as_expected} as expected, {surprises} surprises, \
         {unreadable} unreadable"
    )
}

fn brief(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Diverges(Parting { index, recorded, attempted, .. }) => {
            format!("parts at {index}: recorded {recorded}, attempted {attempted}")
        }
        fits @ Verdict::Fits { .. } => lines::verdict(fits),
    }
}
