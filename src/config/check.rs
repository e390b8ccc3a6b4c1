//! What the texts of the settings mean, and which of them mean nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::unistd::geteuid;

use super::layers::{Layers, Origin};
use super::{Config, ConfigError, LogFormat, Secret};
use crate::clock::{Anchor, FASTEST};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const LEAST_CONNECTIONS: u32 = 4;
const MOST_CONNECTIONS: u32 = 500;
const MOST_CONCURRENCY: usize = 1_000;

impl Config {
    /// Checks everything that was gathered.
    pub fn check(layers: &Layers, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let texts = Texts(layers);
        let data_dir = match texts.get("data_dir") {
            Some(path) => PathBuf::from(path),
            None => default_data_dir(geteuid().is_root(), variables)?,
        };
        let data_dir =
            std::path::absolute(&data_dir).map_err(|source| ConfigError::FileUnreadable { path: data_dir, source })?;
        let address = "it is not an address and port, such as 127.0.0.1:8080";
        let config = Self {
            listen: texts.parse("listen", address)?,
            public_origins: public_origins(&texts)?,
            database_url: database_url(&texts)?,
            database_connections: texts.within("database_connections", LEAST_CONNECTIONS..=MOST_CONNECTIONS)?,
            postgres_bin_dir: texts.get("postgres_bin_dir").map(PathBuf::from),
            gateway_url: texts.get("gateway_url").map(str::to_owned),
            sandbox_listen: texts.parse("sandbox_listen", address)?,
            clock_speed: texts.within("clock_speed", 1.0..=FASTEST)?,
            sandbox_clock: sandbox_clock(&texts)?,
            call_limit: Duration::from_secs(texts.within("call_limit", 1..=600)?),
            lease: Duration::from_secs(texts.within("lease_seconds", 2..=300)?),
            dry_run_waived: texts.parse("dry_run_waived", "it is neither true nor false")?,
            command_retention: DAY * texts.within("command_retention_days", 1..=3_650)?,
            worker_concurrency: texts.within("worker_concurrency", 1..=MOST_CONCURRENCY)?,
            key_file: texts.get("key_file").map_or_else(|| data_dir.join("keys"), PathBuf::from),
            cred_aes_keys: texts.secret("cred_aes_keys"),
            cred_aes_key_hex: texts.secret("cred_aes_key_hex"),
            log: texts.get("log").unwrap_or("info").to_owned(),
            log_format: log_format(&texts)?,
            data_dir,
        };
        if config.gateway_url.is_some() && config.clock_speed > 1.0 {
            return Err(ConfigError::ClockWithGateway);
        }
        Ok(config)
    }
}

/// The texts of the settings, by key.
struct Texts<'a>(&'a Layers);

impl<'a> Texts<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|given| given.value.trim()).filter(|text| !text.is_empty())
    }

    fn secret(&self, key: &str) -> Option<Secret> {
        self.get(key).map(|text| Secret::new(text.to_owned()))
    }

    fn invalid(&self, key: &'static str, problem: impl Into<String>) -> ConfigError {
        let origin = self.0.get(key).map_or(Origin::Default, |given| given.origin.clone());
        ConfigError::Invalid { key, origin, problem: problem.into() }
    }

    fn parse<T: FromStr>(&self, key: &'static str, problem: &str) -> Result<T, ConfigError> {
        self.get(key).and_then(|text| text.parse().ok()).ok_or_else(|| self.invalid(key, problem))
    }

    fn within<T>(&self, key: &'static str, range: std::ops::RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let problem = format!("it is not a number from {} to {}", range.start(), range.end());
        let number: T = self.parse(key, &problem)?;
        if range.contains(&number) { Ok(number) } else { Err(self.invalid(key, problem)) }
    }
}

pub(super) fn default_data_dir(root: bool, variables: &BTreeMap<String, String>) -> Result<PathBuf, ConfigError> {
    if root {
        return Ok(PathBuf::from("/var/lib/reprise"));
    }
    let absolute = |name: &str| variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("reprise"))
        .ok_or(ConfigError::NoDataDir)
}

fn database_url(texts: &Texts<'_>) -> Result<Option<Secret>, ConfigError> {
    let Some(url) = texts.get("database_url") else {
        return Ok(None);
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(texts.invalid("database_url", "it does not start with postgres://"));
    }
    Ok(Some(Secret::new(url.to_owned())))
}

fn sandbox_clock(texts: &Texts<'_>) -> Result<Option<Anchor>, ConfigError> {
    let read = texts.get("sandbox_clock").map(str::parse).transpose();
    read.map_err(|problem: String| texts.invalid("sandbox_clock", problem))
}

/// Scheme and host, as browsers send them: no path, and http or https.
fn public_origins(texts: &Texts<'_>) -> Result<Vec<String>, ConfigError> {
    let list = texts.get("public_origins").unwrap_or_default();
    let origins = list.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    origins
        .map(|origin| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
            let plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
            let problem = "an origin is http:// or https:// and a host, with a port or without, and nothing else";
            if plain { Ok(origin.to_owned()) } else { Err(texts.invalid("public_origins", problem)) }
        })
        .collect()
}

fn log_format(texts: &Texts<'_>) -> Result<LogFormat, ConfigError> {
    match texts.get("log_format") {
        Some("auto") | None => Ok(LogFormat::Auto),
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(_) => Err(texts.invalid("log_format", "it is none of auto, text, json")),
    }
}
