//! Who holds a data directory: our own lock, and servers that an ended supervisor left behind.
//!
//! Our lock dies with its process, so it is never stale. A leftover server is waited for and never signalled, and its
//! files are removed only when no process of that cluster lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::error::EmbeddedError;

const LOCK_FILE: &str = "supervisor.lock";
const LEFTOVER_POLL: Duration = Duration::from_millis(20);

/// The exclusive right to run a server on a data directory; given up when dropped.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    pub(super) fn acquire(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let path = data_dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::InUse { data_dir: data_dir.to_owned(), holder: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => {
                return Err(EmbeddedError::io("lock", path)(source));
            }
        }
        write_pid(&mut file).map_err(EmbeddedError::io("write", path))?;
        Ok(Self { _file: file })
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[expect(clippy::disallowed_methods, reason = "the supervisor's thread is its own, and no runtime's")]
fn pause() {
    thread::sleep(LEFTOVER_POLL);
}

/// Waits until no server process lives in `cluster`, then removes the lock files that the last one left.
///
/// Only to be called by the holder of the [`DataDirLock`].
pub(super) fn clear_leftovers(
    data_dir: &Path,
    cluster: &Path,
    socket_folder: &Path,
    limit: Duration,
) -> Result<(), EmbeddedError> {
    let started = Instant::now();
    while let Some(pid) = server_process(cluster) {
        if started.elapsed() >= limit {
            return Err(EmbeddedError::LeftBehind {
                data_dir: data_dir.to_owned(),
                pid,
                waited_ms: started.elapsed().as_millis(),
            });
        }
        pause();
    }
    if !Path::new("/proc/self").exists() {
        // We cannot tell who lives; PostgreSQL's own check of its lock file decides.
        return Ok(());
    }
    for stale in
        [cluster.join("postmaster.pid"), socket_folder.join(".s.PGSQL.5432.lock"), socket_folder.join(".s.PGSQL.5432")]
    {
        match fs::remove_file(&stale) {
            Ok(()) => {
                tracing::info!(file = %stale.display(), "removed what an unclean stop left behind");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::io("remove", stale)(error)),
        }
    }
    Ok(())
}

/// The lowest id of the living server processes that work in `cluster` (every one of them has it as its working folder).
fn server_process(cluster: &Path) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            is_server_of(&entry.path(), cluster).then_some(pid)
        })
        .min()
}

/// A zombie has no working folder any more, so it does not count.
fn is_server_of(process: &Path, cluster: &Path) -> bool {
    let works_here = fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == cluster);
    works_here
        && fs::read_to_string(process.join("comm")).is_ok_and(|name| matches!(name.trim(), "postgres" | "postmaster"))
}

/// The folder of the cluster inside the data directory.
pub(super) fn cluster_of(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster")
}
