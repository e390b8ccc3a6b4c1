//! The engine as a whole: how much it does at a time, and how fast its clock runs in a sandbox. One stream, changed by
//! people alone.

mod aggregate;
mod command;
mod error;
mod event;
mod settings;
#[cfg(test)]
mod tests;
mod upcast;

pub use aggregate::{Engine, STREAM_ID};
pub use command::{BotChange, EngineCommand, SettingsChange};
pub use error::EngineError;
pub use event::{EngineEvent, SettingChange};
pub use settings::{BotSettings, EngineSettings};
