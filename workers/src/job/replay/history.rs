//! Histories as text: an export's lines, or one file with what the history shows and what is expected of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::any_event::decode_event;
use domain::job::{Job, JobEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Parting, Reach, Replayed, Verdict};

/// One job's events, and what is known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    pub job_id: String,
    /// Of a file; what an export's lines are called is their reader's choice.
    pub heading: Option<Heading>,
    pub events: Vec<(i64, JobEvent)>,
}

/// What a file says of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    pub name: String,
    pub workflow: String,
    /// The version of Reprise that the history was recorded with.
    pub version: String,
    /// What it shows, in a sentence.
    pub shows: String,
    #[serde(default)]
    pub expect: Expected,
}

/// What a replay of a history has to find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It fits, however far it comes.
    #[default]
    Fits,
    /// It fits to its end.
    Complete,
    /// It fits and goes on.
    Open,
    /// Code and history part at this index.
    PartsAt(u32),
}

impl Expected {
    /// Whether `replayed` is as expected.
    #[must_use]
    pub fn is_met_by(self, replayed: &Replayed) -> bool {
        match (self, &replayed.verdict) {
            (Self::Fits, Verdict::Fits { .. }) => true,
            (Self::Complete, Verdict::Fits { reach }) => matches!(reach, Reach::Complete { .. } | Reach::NeverBegan),
            (Self::Open, Verdict::Fits { reach }) => matches!(reach, Reach::Open { .. } | Reach::Ends { .. }),
            (Self::PartsAt(expected), Verdict::Diverges(Parting { index, .. })) => expected == *index,
            _ => false,
        }
    }
}

/// A text that holds no history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    #[error("line {line} is no event of a history: {reason}")]
    Line { line: u64, reason: String },
    #[error("the event at sequence {sequence} is no event of a job: {reason}")]
    Event { sequence: i64, reason: String },
    #[error("it holds no event of a job")]
    Nothing,
}

impl HistoryError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Line { .. } | Self::Event { .. } | Self::Nothing => "REPLAY_UNREADABLE",
        }
    }
}

/// What of an event a replay needs; an export's other columns are not looked at.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing)]
    aggregate_type: Option<String>,
    #[serde(default, skip_serializing)]
    aggregate_id: Option<String>,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: Box<RawValue>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    workflow: String,
    version: String,
    shows: String,
    #[serde(default)]
    expect: Expected,
    events: Vec<Row>,
}

/// The histories in `text`: those of an export's lines, or the one of a file. Events of other streams are left out.
pub fn parse(text: &str) -> Result<Vec<History>, HistoryError> {
    // A file begins with an object of its own; the first line of an export is one as a whole.
    let first = text.lines().find(|line| !line.trim().is_empty()).ok_or(HistoryError::Nothing)?;
    if serde_json::from_str::<Value>(first).is_ok_and(|value| value.get("event_type").is_some()) {
        return lines(text);
    }
    let file: File = serde_json::from_str(text)
        .map_err(|error| HistoryError::Line { line: error.line() as u64, reason: error.to_string() })?;
    let File { name, workflow, version, shows, expect, events: rows } = file;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        events.push(event(&row)?);
    }
    let job_id = match events.first() {
        Some((_, JobEvent::JobCreated { job_id, .. })) => job_id.to_string(),
        _ => String::new(),
    };
    let heading = Some(Heading { name, workflow, version, shows, expect });
    Ok(vec![History { job_id, heading, events }])
}

fn lines(text: &str) -> Result<Vec<History>, HistoryError> {
    let mut found: BTreeMap<String, Vec<(i64, JobEvent)>> = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let row: Row =
            serde_json::from_str(text).map_err(|error| HistoryError::Line { line, reason: error.to_string() })?;
        if row.aggregate_type.as_deref().is_some_and(|kind| kind != "Job") {
            continue;
        }
        let event = event(&row).map_err(|error| HistoryError::Line { line, reason: error.to_string() })?;
        found.entry(row.aggregate_id.unwrap_or_default()).or_default().push(event);
    }
    if found.is_empty() {
        return Err(HistoryError::Nothing);
    }
    Ok(found.into_iter().map(|(job_id, events)| History { job_id, heading: None, events }).collect())
}

fn event(row: &Row) -> Result<(i64, JobEvent), HistoryError> {
    let unreadable = |reason: String| HistoryError::Event { sequence: row.sequence, reason };
    let payload: Value = serde_json::from_str(row.payload.get()).map_err(|error| unreadable(error.to_string()))?;
    let id = row.aggregate_id.as_deref().unwrap_or_default();
    let event = decode_event::<Job>(id, &row.event_type, &row.event_version, payload);
    Ok((row.sequence, event.map_err(|error| unreadable(describe(&error)))?))
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// An event of a history, as it is stored.
#[derive(Debug, Clone)]
pub struct StoredRow {
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    /// The stored text.
    pub payload: Box<RawValue>,
}

/// A history as a file that people read: its heading, and an event a line.
pub fn to_file(heading: &Heading, rows: Vec<StoredRow>) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(heading)?;
    text.truncate(text.strip_suffix("\n}").map_or(text.len(), str::len));
    text.push_str(",\n  \"events\": [");
    for (number, StoredRow { sequence, event_type, event_version, payload }) in rows.into_iter().enumerate() {
        let row = Row { aggregate_type: None, aggregate_id: None, sequence, event_type, event_version, payload };
        let separator = if number == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(text, "{separator}\n    {}", serde_json::to_string(&row)?);
    }
    text.push_str("\n  ]\n}\n");
    Ok(text)
}
