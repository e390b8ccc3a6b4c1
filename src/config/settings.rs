//! The table of every setting: its key, what it is, whether it is a secret.
//!
//! Flags, variables, the file's keys, `reprise config print` and the README's table all come from here.

/// One thing that can be set.
#[derive(Debug)]
pub struct Setting {
    /// The key in `reprise.toml`; the variable is derived from it.
    pub key: &'static str,
    pub default: Fallback,
    /// Never shown; may be given by a `…_FILE` variable.
    pub secret: bool,
    /// The flag. Keys have none: every user of the machine sees the flags of every process.
    pub flag: Option<&'static str>,
    /// A second variable that is honoured, for the names that other tools use.
    pub alias: Option<&'static str>,
    pub help: &'static str,
}

/// What holds when nothing is set.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    Value(&'static str),
    /// Unset means something of its own, told in these words.
    Unset(&'static str),
}

impl Setting {
    /// `REPRISE_DATA_DIR` for `data_dir`.
    pub fn variable(&self) -> String {
        format!("REPRISE_{}", self.key.to_uppercase())
    }
}

/// Every setting, in the order in which they are listed.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        default: Fallback::Unset("/var/lib/reprise for root, else ~/.local/share/reprise"),
        secret: false,
        flag: Some("data-dir"),
        alias: None,
        help: "Folder of everything that Reprise keeps: its PostgreSQL, keys, the sandbox's ledger",
    },
    Setting {
        key: "listen",
        default: Fallback::Value("127.0.0.1:8080"),
        secret: false,
        flag: Some("listen"),
        alias: None,
        help: "Address and port of the API",
    },
    Setting {
        key: "database_url",
        default: Fallback::Unset("a private PostgreSQL in the data folder"),
        secret: true,
        flag: Some("database-url"),
        alias: Some("DATABASE_URL"),
        help: "PostgreSQL to use instead of the private one",
    },
    Setting {
        key: "database_connections",
        default: Fallback::Value("16"),
        secret: false,
        flag: Some("database-connections"),
        alias: None,
        help: "Most connections to PostgreSQL at a time",
    },
    Setting {
        key: "postgres_bin_dir",
        default: Fallback::Unset("the newest installed version"),
        secret: false,
        flag: Some("postgres-bin-dir"),
        alias: None,
        help: "Folder of the PostgreSQL programs for the private server",
    },
    Setting {
        key: "log",
        default: Fallback::Value("info"),
        secret: false,
        flag: Some("log"),
        alias: None,
        help: "What is logged: a level, or a filter such as info,store=debug",
    },
    Setting {
        key: "log_format",
        default: Fallback::Value("auto"),
        secret: false,
        flag: Some("log-format"),
        alias: None,
        help: "text, json, or auto: text on a terminal, else JSON",
    },
];

/// The setting of a key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
