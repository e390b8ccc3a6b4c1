//! Why the settings are refused, and what to do about it. No text here quotes a value: it may be a secret.

use std::io;
use std::path::PathBuf;

use super::layers::Origin;
use super::settings;
use crate::failure::{Exit, Failure};

/// Why the settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{key} in {place} is not a setting")]
    UnknownKey { key: String, place: String, suggestion: Option<String> },
    #[error("the setting {key} ({origin}) is not valid: {problem}")]
    Invalid { key: &'static str, origin: Origin, problem: String },
    #[error("{} cannot be read", path.display())]
    FileUnreadable { path: PathBuf, source: io::Error },
    #[error("{} is not valid TOML: {problem}", path.display())]
    FileMalformed { path: PathBuf, problem: String },
    #[error("there is no folder for data: neither XDG_DATA_HOME nor HOME is set")]
    NoDataDir,
    #[error("the clock can only be faster than real time with the sandbox, and a gateway is set")]
    ClockWithGateway,
}

impl ConfigError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "CONFIG_UNKNOWN_KEY",
            Self::Invalid { .. } => "CONFIG_INVALID_VALUE",
            Self::FileUnreadable { .. } => "CONFIG_FILE_UNREADABLE",
            Self::FileMalformed { .. } => "CONFIG_FILE_MALFORMED",
            Self::NoDataDir => "CONFIG_NO_DATA_DIR",
            Self::ClockWithGateway => "CONFIG_CLOCK_WITH_GATEWAY",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::UnknownKey { suggestion: Some(name), .. } => {
                format!("did you mean {name}? `reprise config print` lists every setting")
            }
            Self::UnknownKey { suggestion: None, .. } => {
                "remove it; `reprise config print` lists every setting".to_owned()
            }
            Self::Invalid { key, .. } => {
                settings::find(key).map_or_else(String::new, |setting| format!("{key} is: {}", setting.help))
            }
            Self::FileUnreadable { .. } => "name a file that this user can read".to_owned(),
            Self::FileMalformed { .. } => {
                "write one `key = \"value\"` a line; `reprise config print` lists every key".to_owned()
            }
            Self::NoDataDir => "set --data-dir or REPRISE_DATA_DIR".to_owned(),
            Self::ClockWithGateway => "remove clock_speed or gateway_url".to_owned(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::new(error.code(), Exit::Config, error.to_string()).hint(error.hint());
        match error {
            ConfigError::FileUnreadable { source, .. } => failure.caused_by(source),
            _ => failure,
        }
    }
}
