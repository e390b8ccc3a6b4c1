//! How much the engine does at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::SettingChange;
use crate::ids::BotId;

/// What can be set. Stored: a field is added with a default, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineSettings {
    /// Most jobs that run at a time in a process.
    pub max_running: u32,
    /// Most jobs of a bot that run at a time.
    pub max_running_per_bot: u32,
    /// No process takes up a job; with the reason.
    pub paused: Option<String>,
    /// Most requests to the gateway in a minute of real time, for each process; `None`: no limit.
    pub requests_per_minute: Option<u32>,
    /// What differs for single bots.
    pub bots: BTreeMap<BotId, BotSettings>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_running: 512,
            max_running_per_bot: 64,
            paused: None,
            requests_per_minute: None,
            bots: BTreeMap::new(),
        }
    }
}

impl EngineSettings {
    /// What differs for `bot`.
    #[must_use]
    pub fn bot(&self, bot: BotId) -> BotSettings {
        self.bots.get(&bot).cloned().unwrap_or_default()
    }

    /// Takes in one change.
    pub fn apply(&mut self, change: SettingChange) {
        match change {
            SettingChange::MaxRunning { new, .. } => self.max_running = new,
            SettingChange::MaxRunningPerBot { new, .. } => self.max_running_per_bot = new,
            SettingChange::Paused { new, .. } => self.paused = new,
            SettingChange::RequestsPerMinute { new, .. } => self.requests_per_minute = new,
            SettingChange::Bot { bot_id, new, .. } if new.is_usual() => {
                self.bots.remove(&bot_id);
            }
            SettingChange::Bot { bot_id, new, .. } => {
                self.bots.insert(bot_id, new);
            }
        }
    }
}

/// What differs for one bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BotSettings {
    /// Most jobs of it that run at a time; `None`: as for all.
    pub max_running: Option<u32>,
    /// How many jobs it may begin when it is its turn; 1 by itself.
    pub weight: Option<u32>,
    /// No job of it is taken up; with the reason.
    pub paused: Option<String>,
}

impl BotSettings {
    /// Whether it says nothing that differs.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
