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
        key: "public_origins",
        default: Fallback::Unset("the address that it listens on"),
        secret: false,
        flag: Some("public-origins"),
        alias: None,
        help: "Origins under which people reach the API, with commas between, such as https://reprise.example.org",
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
        key: "gateway_url",
        default: Fallback::Unset("a sandbox of its own"),
        secret: false,
        flag: Some("gateway-url"),
        alias: None,
        help: "The gateway that acts on Instagram; with {account} in it, one gateway for each account",
    },
    Setting {
        key: "sandbox_listen",
        default: Fallback::Value("127.0.0.1:0"),
        secret: false,
        flag: Some("sandbox-listen"),
        alias: None,
        help: "Address and port of the sandbox; port 0 takes a free one",
    },
    Setting {
        key: "clock_speed",
        default: Fallback::Value("1"),
        secret: false,
        flag: Some("clock-speed"),
        alias: None,
        help: "How much faster than real time the sandbox's days pass, up to 10000; not with a gateway",
    },
    Setting {
        key: "sandbox_clock",
        default: Fallback::Unset("each process's own"),
        secret: false,
        flag: None,
        alias: None,
        help: "One fast clock for processes that share a `reprise sandbox`: an instant and a speed, such as \
               2026-01-01T00:00:00Z*60; refused when gateway_url is no sandbox",
    },
    Setting {
        key: "call_limit",
        default: Fallback::Value("120"),
        secret: false,
        flag: None,
        alias: None,
        help: "Seconds that a call of the gateway may take; what a lost call has done is believed after twice that",
    },
    Setting {
        key: "lease_seconds",
        default: Fallback::Value("15"),
        secret: false,
        flag: None,
        alias: None,
        help: "Seconds after which the bots of a process that has died go to another",
    },
    Setting {
        key: "dry_run_waived",
        default: Fallback::Value("false"),
        secret: false,
        flag: Some("dry-run-waived"),
        alias: None,
        help: "true lets a plan go live without a dry run before it",
    },
    Setting {
        key: "command_retention_days",
        default: Fallback::Value("30"),
        secret: false,
        flag: None,
        alias: None,
        help: "Days for which durable commands are kept after they were done or cancelled; dead ones are kept for ever",
    },
    Setting {
        key: "worker_concurrency",
        default: Fallback::Value("16"),
        secret: false,
        flag: Some("worker-concurrency"),
        alias: None,
        help: "Most bots of this process that act at a time",
    },
    Setting {
        key: "key_file",
        default: Fallback::Unset("keys in the data folder"),
        secret: false,
        flag: Some("key-file"),
        alias: None,
        help: "File of the keys that seal passwords and sessions; made when it is missing",
    },
    Setting {
        key: "cred_aes_keys",
        default: Fallback::Unset("the key file"),
        secret: true,
        flag: None,
        alias: Some("CRED_AES_KEYS"),
        help: "Keys that seal passwords and sessions, as id:hex with commas between; the first seals, all open",
    },
    Setting {
        key: "cred_aes_key_hex",
        default: Fallback::Unset("the key file"),
        secret: true,
        flag: None,
        alias: Some("CRED_AES_KEY_HEX"),
        help: "One key instead of a list, 64 hexadecimal digits",
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
