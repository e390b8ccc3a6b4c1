//! Where settings come from: flags, then `REPRISE_*` variables, then `reprise.toml`, then defaults.
//!
//! Only texts are gathered here; [`super::Config`] says what they mean. A key that is not a setting is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::settings::{self, Fallback, SETTINGS, Setting};

/// Variables of the tests, by how they begin, which are no settings.
const OF_TESTS: [&str; 4] = ["REPRISE_TEST_", "REPRISE_FAILPOINT", "REPRISE_RECORD", "REPRISE_SEED"];
/// The variable of the password that `reprise demo` signs in with; no other command minds it.
pub const DEMO_PASSWORD_VARIABLE: &str = "REPRISE_DEMO_PASSWORD";
/// The variable that names the settings file.
pub const FILE_VARIABLE: &str = "REPRISE_CONFIG";
/// The settings file that is read when it is there.
const DEFAULT_FILE: &str = "reprise.toml";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Variable(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given.
#[derive(Clone)]
pub struct Given {
    pub value: String,
    pub origin: Origin,
}

/// The settings that have a value, by key.
#[derive(Clone, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, Given>,
}

impl Layers {
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.values.get(key)
    }

    /// Gathers all layers. `flags` and `variables` are passed in, so that a test needs no process of its own.
    pub fn gather(
        flags: &BTreeMap<String, String>,
        variables: &BTreeMap<String, String>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        layers.add_defaults();
        layers.add_file(file, variables)?;
        layers.add_variables(variables)?;
        for (key, value) in flags {
            if let Some(setting) = settings::find(key) {
                layers.put(setting, value.clone(), Origin::Flag);
            }
        }
        Ok(layers)
    }

    fn put(&mut self, setting: &'static Setting, value: String, origin: Origin) {
        self.values.insert(setting.key, Given { value, origin });
    }

    fn add_defaults(&mut self) {
        for setting in SETTINGS {
            if let Fallback::Value(value) = setting.default {
                self.put(setting, value.to_owned(), Origin::Default);
            }
        }
    }

    fn add_file(&mut self, file: Option<&Path>, variables: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let named = file.map(Path::to_path_buf).or_else(|| variables.get(FILE_VARIABLE).map(PathBuf::from));
        let path = match named {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
            None => return Ok(()),
        };
        let text =
            fs::read_to_string(&path).map_err(|source| ConfigError::FileUnreadable { path: path.clone(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The parser's own text quotes the line, which may hold a secret.
            ConfigError::FileMalformed { path: path.clone(), problem: error.message().to_owned() }
        })?;
        for (key, value) in table {
            let Some(setting) = settings::find(&key) else {
                let known = SETTINGS.iter().map(|setting| setting.key.to_owned());
                return Err(unknown(&key, path.display().to_string(), known));
            };
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                _ => {
                    return Err(ConfigError::Invalid {
                        key: setting.key,
                        origin: Origin::File(path),
                        problem: "it must be a text, a number, true or false".to_owned(),
                    });
                }
            };
            self.put(setting, value, Origin::File(path.clone()));
        }
        Ok(())
    }

    fn add_variables(&mut self, variables: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            let names = setting.alias.map(str::to_owned).into_iter().chain([setting.variable()]);
            for name in names {
                if let Some(value) = variables.get(&name) {
                    self.put(setting, value.clone(), Origin::Variable(name));
                } else if setting.secret
                    && let Some(path) = variables.get(&format!("{name}_FILE"))
                {
                    let path = PathBuf::from(path);
                    let text =
                        fs::read_to_string(&path).map_err(|source| ConfigError::FileUnreadable { path, source })?;
                    let value = text.trim_end_matches(['\r', '\n']).to_owned();
                    self.put(setting, value, Origin::Variable(format!("{name}_FILE")));
                }
            }
        }
        let known: Vec<String> = known_variables().collect();
        for name in variables.keys() {
            if name.starts_with("REPRISE_")
                && !OF_TESTS.iter().any(|prefix| name.starts_with(prefix))
                && !known.contains(name)
            {
                return Err(unknown(name, "the environment".to_owned(), known.into_iter()));
            }
        }
        Ok(())
    }
}

fn known_variables() -> impl Iterator<Item = String> {
    let of_settings = SETTINGS.iter().flat_map(|setting| {
        let name = setting.variable();
        let by_file = setting.secret.then(|| format!("{name}_FILE"));
        [Some(name), by_file].into_iter().flatten()
    });
    [FILE_VARIABLE, DEMO_PASSWORD_VARIABLE].map(str::to_owned).into_iter().chain(of_settings)
}

fn unknown(key: &str, place: String, known: impl Iterator<Item = String>) -> ConfigError {
    let suggestion = known
        .map(|name| (strsim::jaro_winkler(key, &name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name);
    ConfigError::UnknownKey { key: key.to_owned(), place, suggestion }
}
