//! Facts about the engine. Names are stored: a variant is added, never renamed.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::settings::BotSettings;
use crate::ids::BotId;
use crate::variants::variants;

/// One setting as it was and as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "setting", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SettingChange {
    MaxRunning {
        old: u32,
        new: u32,
    },
    MaxRunningPerBot {
        old: u32,
        new: u32,
    },
    /// The reason; none: jobs are taken up.
    Paused {
        old: Option<String>,
        new: Option<String>,
    },
    /// None: no limit.
    RequestsPerMinute {
        old: Option<u32>,
        new: Option<u32>,
    },
    Bot {
        bot_id: BotId,
        old: BotSettings,
        new: BotSettings,
    },
}

/// Facts about the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EngineEvent {
    /// `revision` numbers the changes, from 1; `changes` has what differs, and is never empty.
    EngineSettingsChanged {
        revision: i64,
        changes: Vec<SettingChange>,
        at: DateTime<Utc>,
    },
    ClockSpeedChanged {
        old: f64,
        new: f64,
        at: DateTime<Utc>,
    },
}

variants!(EngineEvent, " The stored name.", [EngineSettingsChanged, ClockSpeedChanged,]);

impl DomainEvent for EngineEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
