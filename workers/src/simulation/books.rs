//! The books: what the bots say they did, held against the platform's own ledger and against the limits.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::bot::{ActionKind, Bot, BotEvent, BotState, Limits, Mode, Settlement};
use domain::ids::{ActionId, JobId};
use store::event::RawEvent;

use super::cast::Player;
use super::script;
use crate::platform::sandbox::{LedgerEntry, LedgerOutcome};

/// What was promised and did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// It did not come to its end.
    Unfinished { jobs: Vec<JobId> },
    /// It is recorded as done more often than the platform saw it.
    Lost { kind: ActionKind, target: String },
    /// The platform has done it more often than is recorded: a second write, or one that was called a failure.
    Untold { kind: ActionKind, target: String },
    /// The platform saw a write that nobody reserved.
    Unreserved { kind: String, target: String },
    /// An action has more than one outcome, or none although it could be found out.
    Outcomes { action: ActionId, count: usize },
    /// It was reserved while the bot was not running.
    NotRunning { action: ActionId },
    /// More of a kind in a day than the account may do, or sooner than a minute after the one before.
    AboveLimit { kind: ActionKind, at: DateTime<Utc> },
    /// A job needs a person although nothing but a fault happened to it.
    NeedsAttention { job: String },
}

/// An action, and what was recorded of it.
struct Reserved {
    mode: Mode,
    kind: ActionKind,
    /// What the platform calls it.
    written_as: &'static str,
    target: String,
    at: DateTime<Utc>,
    outcomes: usize,
    ended: Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    NotDone,
    Unknown,
}

/// The books of one bot.
pub(super) fn balance(player: &Player, events: &[RawEvent], ledger: &[LedgerEntry]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let (reserved, bot) = reservations(player, events, &mut breaches);
    for (action, entry) in &reserved {
        let may_be_open = entry.outcomes == 0 && bot.login().session.is_none();
        if entry.outcomes != 1 && !may_be_open {
            breaches.push(Breach::Outcomes { action: *action, count: entry.outcomes });
        }
    }
    against_the_ledger(&reserved, ledger, &mut breaches);
    within_limits(&player.limits, &reserved, &mut breaches);
    breaches
}

/// Every action that was reserved, by what the bot's events say, and the bot as they leave it.
fn reservations(
    player: &Player,
    events: &[RawEvent],
    breaches: &mut Vec<Breach>,
) -> (BTreeMap<ActionId, Reserved>, Bot) {
    let id = player.bot_id.to_string();
    let mut bot = Bot::default();
    let mut reserved: BTreeMap<ActionId, Reserved> = BTreeMap::new();
    for raw in events.iter().filter(|raw| raw.aggregate_type == Bot::TYPE && raw.aggregate_id == id) {
        let Ok(event) = serde_json::from_str::<BotEvent>(&raw.payload) else { continue };
        if let BotEvent::ActionReserved { action_id, campaign_id, kind, target, mode, at, .. } = &event {
            if bot.state() != BotState::Running {
                breaches.push(Breach::NotRunning { action: *action_id });
            }
            let (mode, kind, target, at) = (*mode, *kind, target.clone(), *at);
            let written_as = player.module_of(*campaign_id).map(script::written_as).unwrap_or_default();
            let entry = Reserved { mode, kind, written_as, target, at, outcomes: 0, ended: Ended::Unknown };
            reserved.insert(*action_id, entry);
        }
        let (action, ended, counts) = match &event {
            BotEvent::ActionPerformed { action_id, .. } => (action_id, Ended::Done, 1),
            BotEvent::ActionSimulated { action_id, .. }
            | BotEvent::ActionRefused { action_id, .. }
            | BotEvent::ActionFailed { action_id, .. } => (action_id, Ended::NotDone, 1),
            BotEvent::ActionInDoubt { action_id, .. } => (action_id, Ended::Unknown, 1),
            BotEvent::ActionReconciled { action_id, settlement, .. } => {
                (action_id, if *settlement == Settlement::Performed { Ended::Done } else { Ended::NotDone }, 0)
            }
            _ => {
                bot.apply(event);
                continue;
            }
        };
        match reserved.get_mut(action) {
            Some(entry) => (entry.ended, entry.outcomes) = (ended, entry.outcomes + counts),
            None => breaches.push(Breach::Outcomes { action: *action, count: 0 }),
        }
        bot.apply(event);
    }
    (reserved, bot)
}

fn against_the_ledger(reserved: &BTreeMap<ActionId, Reserved>, ledger: &[LedgerEntry], breaches: &mut Vec<Breach>) {
    let mut written: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in ledger.iter().filter(|entry| entry.outcome != LedgerOutcome::Refused && !entry.injected) {
        *written.entry((entry.kind.clone(), pk_of(&entry.target))).or_default() += 1;
    }
    let mut told: BTreeMap<(String, String), (usize, usize, &Reserved)> = BTreeMap::new();
    for entry in reserved.values().filter(|entry| entry.mode == Mode::Live) {
        let key = (entry.written_as.to_owned(), pk_of(&entry.target));
        let (done, unknown, _) = told.entry(key).or_insert((0, 0, entry));
        match entry.ended {
            Ended::Done => *done += 1,
            Ended::Unknown => *unknown += 1,
            Ended::NotDone => {}
        }
    }
    for (key, (done, unknown, entry)) in &told {
        let seen = written.get(key).copied().unwrap_or_default();
        let (kind, target) = (entry.kind, entry.target.clone());
        if seen < *done {
            breaches.push(Breach::Lost { kind, target });
        } else if seen > done + unknown {
            breaches.push(Breach::Untold { kind, target });
        }
    }
    for (kind, target) in written.into_keys().filter(|key| !told.contains_key(key)) {
        breaches.push(Breach::Unreserved { kind, target });
    }
}

/// The limits of a day, and the shortest pause.
fn within_limits(limits: &Limits, reserved: &BTreeMap<ActionId, Reserved>, breaches: &mut Vec<Breach>) {
    let mut live: Vec<&Reserved> = reserved.values().filter(|entry| entry.mode == Mode::Live).collect();
    live.sort_by_key(|entry| entry.at);
    for (index, entry) in live.iter().enumerate() {
        let limit = usize::try_from(limits.of(entry.kind.into())).unwrap_or(usize::MAX);
        let day = live[..=index].iter().filter(|it| it.kind == entry.kind && entry.at - it.at < TimeDelta::days(1));
        let too_soon = index > 0 && entry.at - live[index - 1].at < TimeDelta::seconds(60);
        if day.count() > limit || too_soon {
            breaches.push(Breach::AboveLimit { kind: entry.kind, at: entry.at });
        }
    }
}

/// A media is named with its owner, `pk_owner`, and listed without.
fn pk_of(target: &str) -> String {
    target.split('_').next().unwrap_or_default().to_owned()
}

/// No job of the log needs a person.
pub(super) fn jobs_are_over(events: &[RawEvent]) -> Vec<Breach> {
    let diverged = events.iter().filter(|raw| raw.event_type == "JobDiverged");
    diverged.map(|raw| Breach::NeedsAttention { job: raw.aggregate_id.clone() }).collect()
}
