//! Why the private PostgreSQL could not be run, and what a person can do about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use thiserror::Error;

/// A reason why the embedded PostgreSQL did not start or stop.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    #[error("no PostgreSQL server programs were found in {}", list(.looked_in))]
    BinariesMissing { looked_in: Vec<PathBuf> },
    #[error("the program `setpriv` was not found")]
    SetprivMissing,
    #[error("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")]
    NoServerUser,
    #[error("the user `{user}`, who runs PostgreSQL, cannot pass through the folder {}", .folder.display())]
    NotReachable { folder: PathBuf, user: String },
    #[error("the folder {} belongs to user id {owner}", .folder.display())]
    NotOurs { folder: PathBuf, owner: u32 },
    #[error("the data directory {} is in use by process {}", .data_dir.display(), holder_name(*.holder))]
    InUse { data_dir: PathBuf, holder: Option<u32> },
    #[error("a PostgreSQL that an ended process left behind still runs in {} (process {pid}) after {waited_ms} ms", .data_dir.display())]
    LeftBehind { data_dir: PathBuf, pid: u32, waited_ms: u128 },
    #[error("no space left for the database in {}", .path.display())]
    DiskFull { path: PathBuf },
    #[error("{} is not empty and holds no PostgreSQL cluster", .folder.display())]
    NotACluster { folder: PathBuf },
    #[error("the cluster in {} was made by PostgreSQL {cluster}, which is not installed", .data_dir.display())]
    VersionMissing { data_dir: PathBuf, cluster: String },
    #[error("initdb failed: {output}")]
    InitFailed { output: String },
    #[error("PostgreSQL ended while starting: {log}")]
    StartFailed { log: String, log_file: PathBuf },
    #[error("PostgreSQL did not answer within {waited_ms} ms: {log}")]
    NotReady { waited_ms: u128, log: String, log_file: PathBuf },
    #[error("PostgreSQL (process {pid}) did not stop within {waited_ms} ms")]
    NotStopped { pid: u32, waited_ms: u128 },
    #[error("cannot {action} {}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start the thread that watches PostgreSQL")]
    Thread(#[source] std::io::Error),
    #[error("the thread that watches PostgreSQL ended early")]
    Interrupted,
    #[error("cannot prepare the database")]
    Database(#[source] sqlx::Error),
}

impl EmbeddedError {
    /// A stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BinariesMissing { .. } => "POSTGRES_NOT_INSTALLED",
            Self::SetprivMissing => "POSTGRES_SETPRIV_MISSING",
            Self::NoServerUser => "POSTGRES_NO_SERVER_USER",
            Self::NotReachable { .. } => "POSTGRES_DATA_NOT_REACHABLE",
            Self::NotOurs { .. } => "POSTGRES_DATA_NOT_OURS",
            Self::InUse { .. } => "POSTGRES_DATA_IN_USE",
            Self::LeftBehind { .. } => "POSTGRES_LEFT_BEHIND",
            Self::DiskFull { .. } => "POSTGRES_DISK_FULL",
            Self::NotACluster { .. } => "POSTGRES_NOT_A_CLUSTER",
            Self::VersionMissing { .. } => "POSTGRES_VERSION_MISSING",
            Self::InitFailed { .. } => "POSTGRES_INIT_FAILED",
            Self::StartFailed { .. } => "POSTGRES_START_FAILED",
            Self::NotReady { .. } => "POSTGRES_NOT_READY",
            Self::NotStopped { .. } => "POSTGRES_NOT_STOPPED",
            Self::Io { .. } => "POSTGRES_IO",
            Self::Thread(_) | Self::Interrupted => "POSTGRES_SUPERVISOR",
            Self::Database(_) => "POSTGRES_PREPARE_FAILED",
        }
    }

    /// What the person who started it can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::BinariesMissing { .. } => {
                "Install PostgreSQL 14 or newer (on Debian and Ubuntu: `apt-get install postgresql`), \
                 name the folder of its programs, or give a database URL."
                    .into()
            }
            Self::SetprivMissing => "Install util-linux, which has it, or give a database URL.".into(),
            Self::NoServerUser => {
                "Make a system user `postgres`, start as another user than root, or give a database URL.".into()
            }
            Self::NotReachable { folder, .. } => format!(
                "Choose a data directory outside of it, or allow passing through: `chmod o+x {}`.",
                folder.display()
            ),
            Self::NotOurs { folder, .. } => format!(
                "Start as the user who owns {}, or give the folder to the right user with `chown -R`.",
                folder.display()
            ),
            Self::InUse { .. } => "Stop that process first, or choose another data directory.".into(),
            Self::LeftBehind { pid, .. } => format!("Stop it with `kill -INT {pid}` and start again."),
            Self::DiskFull { path } => {
                format!("Free space on the disk that holds {}, then start again.", path.display())
            }
            Self::NotACluster { folder } => {
                format!("Move {} away, or choose another data directory.", folder.display())
            }
            Self::VersionMissing { cluster, .. } => {
                format!("Install PostgreSQL {cluster}, or move the data to a newer version with pg_upgrade.")
            }
            Self::StartFailed { log_file, .. } | Self::NotReady { log_file, .. } => {
                format!("The server's own log has more: {}.", log_file.display())
            }
            Self::NotStopped { pid, .. } => {
                format!("Look at process {pid}; its next start recovers from an unclean stop.")
            }
            Self::InitFailed { .. } | Self::Io { .. } | Self::Thread(_) | Self::Interrupted | Self::Database(_) => {
                "Solve what the message names, then start again; nothing half made was left behind.".into()
            }
        }
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, path, source },
        }
    }
}

fn list(folders: &[PathBuf]) -> String {
    let mut text = String::new();
    for (index, folder) in folders.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{separator}{}", folder.display());
    }
    text
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or_else(|| "of unknown id".to_owned(), |pid| pid.to_string())
}
