//! `reprise events show`.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use store::event::RawEvent;
use store::repository::DEFAULT_SHARD;

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, StreamName};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

/// Shows one event with everything that is stored of it; with --json, its line of an export.
#[derive(Debug, Args)]
pub struct Show {
    /// A position of the log, or a stream and a sequence such as Bot-ID@12
    event: String,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: &Show, output: Output) -> Result<ExitCode, Failure> {
    let place = place(&command.event)?;
    let log = LogAccess::open(&command.settings).await?;
    let repository = log.repository();
    let found = match &place {
        Place::Position(position) => repository.raw_read(DEFAULT_SHARD, position - 1, 1).await,
        Place::Sequence(name, sequence) => repository.raw_stream(&name.kind, &name.id, sequence - 1, 1).await,
    };
    log.close().await;
    let found = found?.into_iter().next();
    let raw = found.filter(|raw| match &place {
        Place::Position(position) => raw.position == *position,
        Place::Sequence(_, sequence) => raw.sequence == *sequence,
    });
    let raw = raw.ok_or_else(|| {
        Failure::new("EVENTS_NO_SUCH_EVENT", Exit::Data, format!("there is no event {}", command.event))
            .hint("`reprise events tail` shows the newest")
    })?;
    if output.is_json() {
        output::text(&super::line(raw)?);
    } else {
        output::text(&in_full(&raw));
    }
    Ok(ExitCode::SUCCESS)
}

enum Place {
    Position(i64),
    Sequence(StreamName, i64),
}

fn place(text: &str) -> Result<Place, Failure> {
    let sequence = text.rsplit_once('@').and_then(|(name, sequence)| {
        Some(Place::Sequence(name.parse().ok()?, sequence.parse().ok().filter(|sequence| *sequence > 0)?))
    });
    let position = || text.parse().ok().filter(|position| *position > 0).map(Place::Position);
    sequence.or_else(position).ok_or_else(|| {
        Failure::new("USAGE", Exit::Usage, format!("{text:?} is neither a position nor a stream with a sequence"))
            .hint("write 4711, or Bot-<id>@12")
    })
}

fn in_full(raw: &RawEvent) -> String {
    let pretty = |text: &str| {
        let value = serde_json::from_str::<Value>(text);
        value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
    };
    let RawEvent { position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, .. } = raw;
    format!(
        "{event_type} version {event_version}\nstream    {aggregate_type}-{aggregate_id} at {sequence}\nposition  {position}\n\
         id        {event_id}\nrecorded  {}\nmetadata  {}\npayload   {}",
        raw.recorded_at.to_rfc3339(),
        pretty(&raw.metadata),
        pretty(&raw.payload),
    )
}
