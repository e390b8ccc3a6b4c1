//! Why the engine refuses a command.

use thiserror::Error;

use crate::variants::codes;

/// Why the engine refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    #[error("{field} is {value}; it can be from {least} to {most}")]
    OutOfRange { field: &'static str, value: i64, least: i64, most: i64 },
    #[error("a reason has at most {most} characters; this one has {length}")]
    ReasonTooLong { field: &'static str, length: usize, most: usize },
    #[error("settings of its own can be given to at most {most} bots; this would make it {count}")]
    TooManyBots { count: usize, most: usize },
    #[error("the settings are at revision {revision}, not {expected}: somebody changed them meanwhile; look again")]
    Outdated { expected: i64, revision: i64 },
}

codes!(EngineError {
    OutOfRange = "ENGINE_SETTING_OUT_OF_RANGE",
    ReasonTooLong = "ENGINE_REASON_TOO_LONG",
    TooManyBots = "ENGINE_TOO_MANY_BOTS",
    Outdated = "ENGINE_SETTINGS_OUTDATED",
});

impl EngineError {
    /// The field that it is about, from the whole change down; empty when it is about none.
    #[must_use]
    pub fn path(&self) -> &'static [&'static str] {
        match self {
            Self::OutOfRange { field, .. } | Self::ReasonTooLong { field, .. } => match *field {
                "max_running" => &["max_running"],
                "max_running_per_bot" => &["max_running_per_bot"],
                "requests_per_minute" => &["requests_per_minute"],
                "pause_reason" => &["pause_reason"],
                "bots.max_running" => &["bots", "max_running"],
                "bots.weight" => &["bots", "weight"],
                "bots.pause_reason" => &["bots", "pause_reason"],
                _ => &[],
            },
            Self::TooManyBots { .. } => &["bots"],
            Self::Outdated { .. } => &["revision"],
        }
    }
}
