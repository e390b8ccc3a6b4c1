//! The engine's state, decisions and fold.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::command::{BotChange, EngineCommand, SettingsChange};
use super::error::EngineError;
use super::event::{EngineEvent, SettingChange};
use super::settings::{BotSettings, EngineSettings};
use super::upcast;
use crate::decide::Decide;

/// There is one engine, so its stream has a name and no id.
pub const STREAM_ID: &str = "settings";

const MOST_RUNNING: i64 = 10_000;
const MOST_RUNNING_PER_BOT: i64 = 1_000;
const MOST_REQUESTS: i64 = 100_000;
const HEAVIEST: i64 = 10;
const LONGEST_REASON: usize = 500;
const MOST_BOTS: usize = 1_000;

/// The engine as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    settings: EngineSettings,
    /// How often the settings were changed.
    revision: i64,
    /// As it was recorded last.
    clock_speed: Option<f64>,
}

type Decision = Result<Vec<EngineEvent>, EngineError>;

impl Engine {
    /// How much it does at a time.
    #[must_use]
    pub const fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// How often the settings were changed.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    fn change_settings(&self, change: SettingsChange, expected: Option<i64>, at: DateTime<Utc>) -> Decision {
        if let Some(expected) = expected
            && expected != self.revision
        {
            return Err(EngineError::Outdated { expected, revision: self.revision });
        }
        let now = &self.settings;
        let mut changes = Vec::new();
        if let Some(new) = number("max_running", change.max_running, 1, MOST_RUNNING)? {
            changes.push(SettingChange::MaxRunning { old: now.max_running, new });
        }
        if let Some(new) = number("max_running_per_bot", change.max_running_per_bot, 1, MOST_RUNNING_PER_BOT)? {
            changes.push(SettingChange::MaxRunningPerBot { old: now.max_running_per_bot, new });
        }
        if let Some(new) = change.paused {
            changes.push(SettingChange::Paused { old: now.paused.clone(), new: reason("pause_reason", new)? });
        }
        if let Some(new) = number("requests_per_minute", change.requests_per_minute, 0, MOST_REQUESTS)? {
            let new = Some(new).filter(|limit| *limit > 0);
            changes.push(SettingChange::RequestsPerMinute { old: now.requests_per_minute, new });
        }
        self.change_bots(change.bots, &mut changes)?;
        changes.retain(differs);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![EngineEvent::EngineSettingsChanged { revision: self.revision + 1, changes, at }])
    }

    fn change_bots(&self, bots: Vec<BotChange>, changes: &mut Vec<SettingChange>) -> Result<(), EngineError> {
        let mut after = self.settings.clone();
        for BotChange { bot_id, max_running, weight, paused } in bots {
            let new = BotSettings {
                max_running: number("bots.max_running", max_running, 1, MOST_RUNNING_PER_BOT)?,
                weight: number("bots.weight", weight, 1, HEAVIEST)?,
                paused: reason("bots.pause_reason", paused)?,
            };
            let change = SettingChange::Bot { bot_id, old: after.bot(bot_id), new };
            after.apply(change.clone());
            changes.push(change);
        }
        let count = after.bots.len();
        if count > MOST_BOTS { Err(EngineError::TooManyBots { count, most: MOST_BOTS }) } else { Ok(()) }
    }
}

fn differs(change: &SettingChange) -> bool {
    match change {
        SettingChange::MaxRunning { old, new } | SettingChange::MaxRunningPerBot { old, new } => old != new,
        SettingChange::Paused { old, new } => old != new,
        SettingChange::RequestsPerMinute { old, new } => old != new,
        SettingChange::Bot { old, new, .. } => old != new,
    }
}

fn number(field: &'static str, value: Option<i64>, least: i64, most: i64) -> Result<Option<u32>, EngineError> {
    match value {
        None => Ok(None),
        Some(value) if (least..=most).contains(&value) => Ok(u32::try_from(value).ok()),
        Some(value) => Err(EngineError::OutOfRange { field, value, least, most }),
    }
}

fn reason(field: &'static str, reason: Option<String>) -> Result<Option<String>, EngineError> {
    let length = reason.as_ref().map_or(0, |reason| reason.chars().count());
    if length > LONGEST_REASON {
        return Err(EngineError::ReasonTooLong { field, length, most: LONGEST_REASON });
    }
    Ok(reason)
}

impl Decide for Engine {
    const SHAPE: u32 = 1;

    fn decide(&self, command: EngineCommand) -> Decision {
        match command {
            EngineCommand::ChangeSettings { change, revision, at } => self.change_settings(change, revision, at),
            EngineCommand::RecordClockSpeed { old, new, at } => {
                // One that was set but could not be recorded is recorded with the next.
                let is_known = self.clock_speed.is_none_or(|speed| same(speed, new));
                let is_same = same(old, new) && is_known;
                Ok(if is_same { Vec::new() } else { vec![EngineEvent::ClockSpeedChanged { old, new, at }] })
            }
        }
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        upcast::upcasters()
    }
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < f64::EPSILON
}

impl Aggregate for Engine {
    const TYPE: &'static str = "Engine";
    type Command = EngineCommand;
    type Event = EngineEvent;
    type Error = EngineError;
    type Services = ();

    async fn handle(&mut self, command: EngineCommand, (): &(), sink: &EventSink<Self>) -> Result<(), EngineError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::EngineSettingsChanged { revision, changes, .. } => {
                self.revision = revision;
                for change in changes {
                    self.settings.apply(change);
                }
            }
            EngineEvent::ClockSpeedChanged { new, .. } => self.clock_speed = Some(new),
        }
    }
}
