//! The server's process and the thread that owns it.
//!
//! The kernel sends a parent-death signal when the *thread* that spawned a process ends, so one thread spawns the server,
//! waits for it and reaps it. It also holds the lock of the data directory exactly as long as the server lives.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::EmbeddedConfig;
use super::cluster::{self, Prepared};
use super::error::EmbeddedError;

const LOG_FILE: &str = "postgres.log";
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
const LOG_TAIL_BYTES: u64 = 4 * 1024;

/// A server that was spawned; it may not answer yet.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) data_dir: PathBuf,
    pub(super) socket_folder: PathBuf,
    pub(super) log_file: PathBuf,
    log_start: u64,
    alive: Arc<Mutex<Option<Pid>>>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Server {
    /// Prepares the data directory and spawns the server, all in the thread that will own it.
    pub(super) async fn spawn(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let (started, spawned) = oneshot::channel();
        thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || own_server(&config, started))
            .map_err(EmbeddedError::Thread)?;
        spawned.await.map_err(|_| EmbeddedError::Interrupted)?
    }

    /// Sends a signal, unless the process was reaped (its id could be another's by then).
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = *lock(&self.alive)
            && let Err(error) = kill(pid, signal)
        {
            tracing::warn!(process = self.pid, %error, "cannot signal the embedded PostgreSQL");
        }
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits for the end of the process.
    pub(super) async fn exited(&self) {
        // An error means that the owning thread is gone, and it never goes before its process.
        let _ = self.exit.clone().wait_for(Option::is_some).await;
    }

    /// Whether it ended within `limit`.
    pub(super) async fn exits_within(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.exited()).await.is_ok()
    }

    /// Why it ended before it was ready, from what it logged since it was spawned.
    pub(super) fn start_failure(&self) -> EmbeddedError {
        let log = self.log_since_start();
        if cluster::is_disk_full(&log) {
            return EmbeddedError::DiskFull { path: self.data_dir.clone() };
        }
        if log.contains("database files are incompatible with server") {
            let version = super::lock::cluster_of(&self.data_dir).join("PG_VERSION");
            let version = fs::read_to_string(version).unwrap_or_default();
            return EmbeddedError::VersionMissing {
                data_dir: self.data_dir.clone(),
                cluster: version.trim().to_owned(),
            };
        }
        EmbeddedError::StartFailed { log, log_file: self.log_file.clone() }
    }

    /// The end of what the server logged since it was spawned.
    pub(super) fn log_since_start(&self) -> String {
        read_tail(&self.log_file, self.log_start).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

type Started = oneshot::Sender<Result<Server, EmbeddedError>>;

/// The owning thread's whole life.
fn own_server(config: &EmbeddedConfig, started: Started) {
    let (exit_sender, exit) = watch::channel(None);
    let alive = Arc::new(Mutex::new(None));
    let spawned = cluster::prepare(config).and_then(|prepared| {
        let (child, log_file, log_start) = spawn(&prepared, config)?;
        Ok((prepared, child, log_file, log_start))
    });
    let (prepared, mut child, log_file, log_start) = match spawned {
        Ok(spawned) => spawned,
        Err(error) => {
            // Nobody listens when the start was given up.
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    *lock(&alive) = Some(pid);
    let server = Server {
        pid: child.id(),
        data_dir: prepared.data_dir.clone(),
        socket_folder: prepared.socket_folder.clone(),
        log_file,
        log_start,
        alive: Arc::clone(&alive),
        exit,
    };
    if started.send(Ok(server)).is_err() {
        let _ = kill(pid, Signal::SIGINT);
    }
    wait_without_reaping(pid);
    let mut signals = lock(&alive);
    *signals = None;
    let status = child.wait();
    drop(signals);
    drop(prepared.lock);
    match status {
        Ok(status) => tracing::debug!(process = pid.as_raw(), %status, "the embedded PostgreSQL ended"),
        Err(ref error) => tracing::warn!(process = pid.as_raw(), %error, "cannot reap the embedded PostgreSQL"),
    }
    exit_sender.send_replace(Some(status.unwrap_or_default()));
}

/// While the process is a zombie its id belongs to nobody else, so `signal` is safe until it is reaped under the lock.
fn wait_without_reaping(pid: Pid) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
}

fn spawn(prepared: &Prepared, config: &EmbeddedConfig) -> Result<(Child, PathBuf, u64), EmbeddedError> {
    let log_file = prepared.data_dir.join(LOG_FILE);
    let (log, log_start) = open_log(&log_file)?;
    let second_handle = log.try_clone().map_err(EmbeddedError::io("open", log_file.as_path()))?;
    let mut command = server_command(prepared, config);
    let child = command
        .stdout(log)
        .stderr(second_handle)
        .spawn()
        .map_err(EmbeddedError::io("run", prepared.binaries.postgres.as_path()))?;
    Ok((child, log_file, log_start))
}

fn server_command(prepared: &Prepared, config: &EmbeddedConfig) -> Command {
    let socket_folder = prepared.socket_folder.to_string_lossy();
    // SIGINT is PostgreSQL's fast shutdown: it ends the sessions and leaves a clean cluster.
    let mut command = prepared.user.command("INT", &prepared.binaries.postgres);
    command
        .arg("-D")
        .arg(&prepared.cluster)
        .args(["-c", "listen_addresses="])
        .args(["-c", &format!("unix_socket_directories={socket_folder}")])
        .args(["-c", "port=5432"])
        .current_dir(&prepared.data_dir)
        // A Ctrl-C in the terminal is for us; we stop the server after everything that uses it.
        .process_group(0);
    for (name, value) in SETTINGS {
        command.args(["-c", &format!("{name}={value}")]);
    }
    if !config.durable {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    for (name, value) in &config.settings {
        command.args(["-c", &format!("{name}={value}")]);
    }
    command
}

/// Messages stay terse and without statements, as details may hold values of rows.
const SETTINGS: [(&str, &str); 9] = [
    ("max_connections", "200"),
    ("shared_buffers", "128MB"),
    ("max_wal_size", "2GB"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_line_prefix", "%m [%p] "),
];

/// Opens the log at its end; one that grew too long is put aside first, and replaces the one put aside before.
fn open_log(path: &Path) -> Result<(File, u64), EmbeddedError> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_LIMIT_BYTES) {
        fs::rename(path, path.with_extension("log.1")).map_err(EmbeddedError::io("rename", path))?;
    }
    let log =
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(EmbeddedError::io("open", path))?;
    let start = log.metadata().map_err(EmbeddedError::io("look at", path))?.len();
    Ok((log, start))
}

fn read_tail(path: &Path, start: u64) -> std::io::Result<String> {
    let mut log = File::open(path)?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(start.max(length.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut tail = Vec::new();
    log.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).trim().to_owned())
}

/// The guarded value is one word that is always whole, so a panic elsewhere does not spoil it.
fn lock(alive: &Mutex<Option<Pid>>) -> MutexGuard<'_, Option<Pid>> {
    alive.lock().unwrap_or_else(PoisonError::into_inner)
}
