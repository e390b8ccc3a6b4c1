//! Settings, read once at the start: flags, then `REPRISE_*` variables, then `reprise.toml`.
//!
//! It opens nothing but the files that were named, and makes nothing.

mod check;
mod error;
mod layers;
pub mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::ConfigError;
pub use layers::{DEMO_PASSWORD_VARIABLE, Layers, Origin};

use serde::Serialize;
use settings::{Fallback, SETTINGS, Setting};

use crate::clock::Anchor;

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
    pub public_origins: Vec<String>,
    pub database_url: Option<Secret>,
    pub database_connections: u32,
    pub postgres_bin_dir: Option<PathBuf>,
    pub gateway_url: Option<String>,
    pub sandbox_listen: SocketAddr,
    pub clock_speed: f64,
    /// An instant, and the speed with which time has passed since.
    pub sandbox_clock: Option<Anchor>,
    pub call_limit: Duration,
    pub lease: Duration,
    pub dry_run_waived: bool,
    pub worker_concurrency: usize,
    pub command_retention: Duration,
    pub key_file: PathBuf,
    pub cred_aes_keys: Option<Secret>,
    pub cred_aes_key_hex: Option<Secret>,
    pub log: String,
    pub log_format: LogFormat,
}

impl Config {
    /// Reads the environment and the file, and checks everything.
    pub fn load(flags: &BTreeMap<String, String>, file: Option<&Path>) -> Result<Self, ConfigError> {
        let variables = environment();
        let layers = Layers::gather(flags, &variables, file)?;
        Self::check(&layers, &variables)
    }
}

/// The variables of this process, as far as they are text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// A setting as people see it.
#[derive(Debug, Serialize)]
pub struct Described {
    pub key: &'static str,
    /// What holds; hidden when it is a secret.
    pub value: String,
    pub origin: String,
    pub variable: String,
    pub default: String,
    pub help: &'static str,
}

/// Every setting, with its value and where that came from.
pub fn describe(layers: &Layers) -> Vec<Described> {
    SETTINGS.iter().map(|setting| described(setting, layers)).collect()
}

fn described(setting: &Setting, layers: &Layers) -> Described {
    let default = match setting.default {
        Fallback::Unset(meaning) => format!("({meaning})"),
        Fallback::Value(value) => value.to_owned(),
    };
    let given = layers.get(setting.key);
    Described {
        key: setting.key,
        value: match given {
            Some(_) if setting.secret => "(hidden)".to_owned(),
            Some(given) => given.value.clone(),
            None => default.clone(),
        },
        origin: given.map_or(Origin::Default, |given| given.origin.clone()).to_string(),
        variable: setting.variable(),
        default,
        help: setting.help,
    }
}
