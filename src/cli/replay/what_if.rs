//! `reprise replay what-if`: a bot's reservations, decided again under other limits.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use domain::bot::Bot;
use domain::bot::what_if::{Asked, Decided, Difference, OtherLimits, Totals, WhatIf, what_if};
use serde::Serialize;
use store::decode::Decoder;

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, StreamName};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

const ABOUT: &str = "\
Decides again what was asked of a bot's limits, under the limits of a file, and shows what would have been decided otherwise.

The file is TOML, or JSON when its name ends in .json; what it leaves out is as it was at the time:

  like = 20                          a day: follow, unfollow, like, story, comment, dm, request
  hourly = { like = 5 }              an hour, instead of a sixth of the day
  hours = { from = 8, until = 22 }   of the account's day
  pause_seconds = [90, 240]          between two writes
  warm_up = false                    full limits from the first day on

This is an approximation. The commands are those that were asked in truth: what the campaigns asked later was shaped by what they \
were told before, and an action that would have had to wait is not asked again when it could have gone. What the platform said, \
blocks and slow-downs included, is taken as it was said. A suppressed action does not say how many calls of the gateway it would \
have cost: it is taken to cost what the last one of its kind did.";

/// Decides a bot's reservations again under other limits.
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub struct WhatIfCommand {
    /// The bot's id, which is its user's
    bot: String,
    /// The other limits, in TOML or JSON
    #[arg(long, value_name = "FILE")]
    limits: PathBuf,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    bot: String,
    events: usize,
    limits: OtherLimits,
    #[serde(flatten)]
    found: WhatIf,
}

pub async fn run(command: WhatIfCommand, output: Output) -> Result<ExitCode, Failure> {
    let limits = limits(&command)?;
    let name = StreamName::of("Bot", &command.bot);
    let log = LogAccess::open(&command.settings).await?;
    let stored = log.stream(&name).await;
    log.close().await;
    let decoder = Decoder::<Bot>::default();
    let mut events = Vec::new();
    for raw in stored? {
        events.push((raw.sequence, decoder.decode(&raw)?));
    }
    let history = events.iter().map(|(sequence, event)| (*sequence, event));
    let found =
        what_if(history, &limits).map_err(|refusal| Failure::new("REPLAY_LIMITS", Exit::Data, refusal.to_string()))?;
    let report = Report { bot: name.id, events: events.len(), limits, found };
    output.result(&report, text);
    Ok(ExitCode::SUCCESS)
}

fn limits(command: &WhatIfCommand) -> Result<OtherLimits, Failure> {
    let path = &command.limits;
    let text = super::read(path)?;
    let read = if path.extension().is_some_and(|ending| ending == "json") {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|problem| {
        Failure::new("REPLAY_LIMITS", Exit::Data, format!("{} holds no limits: {}", path.display(), problem.trim()))
            .hint("`reprise replay what-if --help` shows the form")
    })
}

fn text(report: &Report) -> String {
    let rows = report.found.totals.iter().map(|(counter, totals)| {
        let Totals { asked, was_allowed, would_be_allowed, .. } = totals;
        let counts = [
            *asked,
            *was_allowed,
            *would_be_allowed,
            totals.allowed_then_suppressed,
            totals.suppressed_then_allowed,
            totals.suppressed_otherwise,
            totals.settled_before,
        ];
        let [asked, was, would_be, no, yes, otherwise, before] = counts.map(|count| count.to_string());
        [counter.to_string(), asked, was, would_be, no, yes, otherwise, before]
    });
    let header =
        ["COUNTER", "ASKED", "WAS ALLOWED", "WOULD BE", "NO MORE", "NEWLY", "WAITS OTHERWISE", "NOT ASKED AGAIN"];
    let totals = output::table(header, rows);
    let differences = &report.found.differences;
    if differences.is_empty() {
        return format!("{totals}\n\nno decision would have been another");
    }
    let rows = differences.iter().map(|Difference { sequence, at, asked, was, would_be }| {
        let asked = match asked {
            Asked::Action { kind, mode, target, .. } => format!("{kind} {target} ({mode})"),
            Asked::Requests { purpose, count } => format!("{count} requests: {purpose}"),
        };
        let at = at.format("%Y-%m-%d %H:%M:%S").to_string();
        [sequence.to_string(), at, asked, decided(was), decided(would_be)]
    });
    let differences = output::table(["SEQUENCE", "AT", "ASKED", "WAS", "WOULD BE"], rows);
    format!("{differences}\n\n{totals}\n\nan approximation: `reprise replay what-if --help` says of what")
}

fn decided(decided: &Decided) -> String {
    let Decided::Suppressed { reason, counter, window, frees_at } = decided else { return "allowed".to_owned() };
    let mut text = reason.to_string();
    if let (Some(counter), Some(window)) = (counter, window) {
        text = format!("{text} of {counter} in a {window}");
    }
    match frees_at {
        Some(at) => format!("{text} until {}", at.format("%Y-%m-%d %H:%M:%S")),
        None => format!("{text}, not by waiting"),
    }
}
