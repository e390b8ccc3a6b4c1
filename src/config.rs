//! Settings, read once at the start: flags, then `REPRISE_*` variables, then `reprise.toml`.
//!
//! This says what the texts mean and refuses what means nothing. It opens nothing and makes nothing.

mod layers;
pub mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

pub use layers::{Layers, Origin};

use crate::failure::{Exit, Failure};
use settings::{Fallback, SETTINGS};

/// A value that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: String) -> Self {
        Self(value)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub database_url: Option<Secret>,
    pub database_connections: u32,
    pub postgres_bin_dir: Option<PathBuf>,
    pub log: String,
    pub log_format: LogFormat,
}

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
}

impl ConfigError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "CONFIG_UNKNOWN_KEY",
            Self::Invalid { .. } => "CONFIG_INVALID_VALUE",
            Self::FileUnreadable { .. } => "CONFIG_FILE_UNREADABLE",
            Self::FileMalformed { .. } => "CONFIG_FILE_MALFORMED",
            Self::NoDataDir => "CONFIG_NO_DATA_DIR",
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

impl Config {
    /// Reads the environment and the file, and checks everything.
    pub fn load(flags: &BTreeMap<String, String>, file: Option<&Path>) -> Result<Self, ConfigError> {
        let variables = environment();
        let layers = Layers::gather(flags, &variables, file)?;
        Self::check(&layers, &variables)
    }

    /// What the gathered texts mean.
    pub fn check(layers: &Layers, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let data_dir = match layers.get("data_dir") {
            Some(given) => PathBuf::from(&given.value),
            None => default_data_dir(geteuid().is_root(), variables)?,
        };
        Ok(Self {
            data_dir: std::path::absolute(&data_dir)
                .map_err(|source| ConfigError::FileUnreadable { path: data_dir, source })?,
            listen: parse(layers, "listen", "it is not an address and port, such as 127.0.0.1:8080")?,
            database_url: database_url(layers)?,
            database_connections: database_connections(layers)?,
            postgres_bin_dir: layers.get("postgres_bin_dir").map(|g| PathBuf::from(&g.value)),
            log: layers.get("log").map(|g| g.value.clone()).unwrap_or_default(),
            log_format: log_format(layers)?,
        })
    }
}

/// The variables of this process, as far as they are text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Every setting with its value as text (secrets hidden) and where it came from.
pub fn describe(layers: &Layers) -> Vec<(&'static str, String, String, &'static str)> {
    SETTINGS
        .iter()
        .map(|setting| {
            let (value, source) = match layers.get(setting.key) {
                Some(_) if setting.secret => ("(hidden)".to_owned(), true),
                Some(given) => (given.value.clone(), true),
                None => match setting.default {
                    Fallback::Unset(meaning) => (format!("({meaning})"), false),
                    Fallback::Value(value) => (value.to_owned(), false),
                },
            };
            let source = layers
                .get(setting.key)
                .filter(|_| source)
                .map_or_else(|| Origin::Default.to_string(), |given| given.origin.to_string());
            (setting.key, value, source, setting.help)
        })
        .collect()
}

fn default_data_dir(root: bool, variables: &BTreeMap<String, String>) -> Result<PathBuf, ConfigError> {
    if root {
        return Ok(PathBuf::from("/var/lib/reprise"));
    }
    let absolute = |name: &str| variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("reprise"))
        .ok_or(ConfigError::NoDataDir)
}

fn parse<T: std::str::FromStr>(layers: &Layers, key: &'static str, problem: &str) -> Result<T, ConfigError> {
    let given = layers.get(key);
    given.and_then(|given| given.value.trim().parse().ok()).ok_or_else(|| ConfigError::Invalid {
        key,
        origin: given.map_or(Origin::Default, |given| given.origin.clone()),
        problem: problem.to_owned(),
    })
}

fn invalid(layers: &Layers, key: &'static str, problem: &str) -> ConfigError {
    ConfigError::Invalid {
        key,
        origin: layers.get(key).map_or(Origin::Default, |given| given.origin.clone()),
        problem: problem.to_owned(),
    }
}

fn database_url(layers: &Layers) -> Result<Option<Secret>, ConfigError> {
    let Some(given) = layers.get("database_url") else {
        return Ok(None);
    };
    let url = given.value.trim();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        // The value is not quoted: it can hold a password.
        return Err(invalid(layers, "database_url", "it does not start with postgres://"));
    }
    Ok(Some(Secret(url.to_owned())))
}

fn database_connections(layers: &Layers) -> Result<u32, ConfigError> {
    let problem = "it is not a number from 4 to 500";
    let number: u32 = parse(layers, "database_connections", problem)?;
    if (4..=500).contains(&number) { Ok(number) } else { Err(invalid(layers, "database_connections", problem)) }
}

fn log_format(layers: &Layers) -> Result<LogFormat, ConfigError> {
    match layers.get("log_format").map(|given| given.value.as_str()) {
        Some("auto") | None => Ok(LogFormat::Auto),
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(_) => Err(invalid(layers, "log_format", "it is none of auto, text, json")),
    }
}
