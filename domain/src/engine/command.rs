//! What may be asked of the engine.

use chrono::{DateTime, Utc};

use crate::ids::BotId;

/// A change of the settings; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsChange {
    pub max_running: Option<i64>,
    pub max_running_per_bot: Option<i64>,
    pub paused: Option<Option<String>>,
    /// 0: no limit.
    pub requests_per_minute: Option<i64>,
    /// In this order; the last of a bot counts.
    pub bots: Vec<BotChange>,
}

/// What differs for one bot from now on; what is `None` is as for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotChange {
    pub bot_id: BotId,
    pub max_running: Option<i64>,
    pub weight: Option<i64>,
    pub paused: Option<String>,
}

/// What may be asked of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineCommand {
    /// `revision`: only if the settings are still those of this revision.
    ChangeSettings { change: SettingsChange, revision: Option<i64>, at: DateTime<Utc> },
    /// The sandbox's clock was made to run at another speed.
    RecordClockSpeed { old: f64, new: f64, at: DateTime<Utc> },
}
