//! `reprise replay bot`: a bot's state after each of its events, and what changed.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use cqrs_es::Aggregate;
use domain::bot::Bot as BotAggregate;
use domain::metadata::Metadata;
use serde::Serialize;
use serde_json::{Map, Value};
use store::decode::Decoder;
use store::event::RawEvent;
use uuid::Uuid;

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, StreamName};
use super::diff::{self, Change};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Shows what each event changed in the bot's state, and the state at the end. With --json every event is a line with the changes and
/// the whole state after it.
#[derive(Debug, Args)]
pub struct Bot {
    /// The bot's id, which is its user's
    id: String,
    /// The last event to show: a sequence, or an instant such as 2026-03-02T10:00:00Z [default: the newest]
    #[arg(long, value_name = "SEQUENCE|TIME", value_parser = parse_until)]
    at: Option<Until>,
    /// The first event to show; those before it are taken in silently
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    from: i64,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Sequence(i64),
    Time(DateTime<Utc>),
}

fn parse_until(text: &str) -> Result<Until, String> {
    if let Ok(sequence) = text.parse() {
        return Ok(Until::Sequence(sequence));
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| Until::Time(time.to_utc()))
        .map_err(|_| "neither a sequence nor an instant such as 2026-03-02T10:00:00Z".to_owned())
}

impl Until {
    fn holds(self, event: &RawEvent) -> bool {
        match self {
            Self::Sequence(last) => event.sequence <= last,
            Self::Time(last) => event.recorded_at <= last,
        }
    }
}

#[derive(Debug, Serialize)]
struct Moment<'a> {
    sequence: i64,
    position: i64,
    event_id: Uuid,
    event_type: &'a str,
    recorded_at: DateTime<Utc>,
    actor: String,
    changes: Vec<Change>,
    state: &'a Value,
}

pub async fn run(command: Bot, output: Output) -> Result<ExitCode, Failure> {
    let name = StreamName::of("Bot", &command.id);
    let log = LogAccess::open(&command.settings).await?;
    let stored = log.stream(&name).await;
    log.close().await;
    let decoder = Decoder::<BotAggregate>::default();
    let mut bot = BotAggregate::default();
    let mut state = Value::Null;
    let mut shown = 0_u64;
    for raw in stored? {
        if command.at.is_some_and(|until| !until.holds(&raw)) {
            break;
        }
        let event = decoder.decode(&raw)?;
        if raw.sequence < command.from {
            bot.apply(event);
            continue;
        }
        if shown == 0 {
            state = readable(&bot)?;
        }
        bot.apply(event);
        let after = readable(&bot)?;
        let changes = diff::changes(&state, &after);
        state = after;
        shown += 1;
        tell(output, &raw, changes, &state);
    }
    if shown == 0 {
        return Err(Failure::new("REPLAY_NOTHING_TO_SHOW", Exit::Data, format!("{name} has no event there"))
            .hint("--from and --at are a range of sequences that begins at 1"));
    }
    if !output.is_json() {
        let whole = serde_json::to_string_pretty(&state).unwrap_or_default();
        crate::output::text(&format!("\nthe state then:\n{whole}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(output: Output, raw: &RawEvent, changes: Vec<Change>, state: &Value) {
    let actor = serde_json::from_str(&raw.metadata).ok().and_then(|map| Metadata::from_map(&map).ok());
    let moment = Moment {
        sequence: raw.sequence,
        position: raw.position,
        event_id: raw.event_id,
        event_type: &raw.event_type,
        recorded_at: raw.recorded_at,
        actor: actor.map(|metadata| metadata.actor.to_string()).unwrap_or_default(),
        changes,
        state,
    };
    output.result(&moment, |moment| {
        let time = moment.recorded_at.format("%Y-%m-%d %H:%M:%S");
        let mut text = format!("{:>6}  {time}  {}  by {}", moment.sequence, moment.event_type, moment.actor);
        for change in &moment.changes {
            text.push_str("\n          ");
            text.push_str(&diff::line(change));
        }
        text
    });
}

/// The state as JSON, with the reservations by mode and counter instead of as a list of pairs.
fn readable(bot: &BotAggregate) -> Result<Value, Failure> {
    let mut state = serde_json::to_value(bot).map_err(|error| {
        Failure::new("REPLAY_STATE", Exit::Software, "the bot's state is not JSON").caused_by(error)
    })?;
    if let Some(reserved) = state.get_mut("reserved") {
        let pairs = reserved.as_array().into_iter().flatten().filter_map(|pair| {
            let (key, value) = (pair.get(0)?, pair.get(1)?);
            let words: Vec<&str> = key.as_array()?.iter().filter_map(Value::as_str).collect();
            Some((words.join(" "), value.clone()))
        });
        *reserved = Value::Object(pairs.collect::<Map<_, _>>());
    }
    Ok(state)
}
