//! The data directory: its folders, its first initialisation, the space it needs.
//!
//! `initdb` runs in a folder beside the final one, which is renamed when it is complete: a killed `initdb` leaves
//! nothing that looks like a cluster.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::EmbeddedConfig;
use super::binaries::{self, Binaries};
use super::error::EmbeddedError;
use super::identity::ServerUser;
use super::lock::{self, DataDirLock};
use super::socket;

/// The database's superuser; only who can enter the socket folder can be it.
pub(super) const SUPERUSER: &str = "reprise";
const UNFINISHED: &str = "initializing-";
/// What a new cluster takes: its files and the first segments of its log.
const NEW_CLUSTER_BYTES: u64 = 96 * 1024 * 1024;

/// Everything that a server needs to run.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) lock: DataDirLock,
    pub(super) data_dir: PathBuf,
    pub(super) cluster: PathBuf,
    pub(super) socket_folder: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) user: ServerUser,
}

/// Takes the data directory and brings it to where a server can start on it.
pub(super) fn prepare(config: &EmbeddedConfig) -> Result<Prepared, EmbeddedError> {
    let data_dir = create_data_dir(&config.data_dir)?;
    let lock = DataDirLock::acquire(&data_dir)?;
    let cluster = lock::cluster_of(&data_dir);
    let version = fs::read_to_string(cluster.join("PG_VERSION")).ok();
    if version.is_none() {
        remove_empty(&cluster)?;
    }
    let binaries = binaries::find(config.bin_dir.as_deref(), version.as_deref().map(str::trim))?;
    let user = ServerUser::choose(&cluster)?;
    open_to(&data_dir, &user)?;
    let socket_folder = socket::prepare(&data_dir, &user)?;
    let prepared = Prepared { lock, data_dir, cluster, socket_folder, binaries, user };
    remove_unfinished(&prepared.data_dir)?;
    if version.is_none() {
        require_space(&prepared.data_dir, config.min_free_bytes + NEW_CLUSTER_BYTES)?;
        initialize(&prepared, config.durable)?;
    } else {
        require_space(&prepared.data_dir, config.min_free_bytes)?;
        lock::clear_leftovers(&prepared.data_dir, &prepared.cluster, &prepared.socket_folder, config.leftover_limit)?;
    }
    Ok(prepared)
}

fn create_data_dir(wanted: &Path) -> Result<PathBuf, EmbeddedError> {
    if !wanted.is_dir() {
        DirBuilder::new().recursive(true).mode(0o755).create(wanted).map_err(EmbeddedError::io("create", wanted))?;
        fs::set_permissions(wanted, Permissions::from_mode(0o700)).map_err(EmbeddedError::io("protect", wanted))?;
    }
    wanted.canonicalize().map_err(EmbeddedError::io("resolve", wanted))
}

/// Another user than us may pass through the data directory, and do nothing else in it.
fn open_to(data_dir: &Path, user: &ServerUser) -> Result<(), EmbeddedError> {
    if user.is_other() {
        let mode = fs::metadata(data_dir).map_err(EmbeddedError::io("look at", data_dir))?.permissions().mode();
        if mode & 0o001 == 0 {
            fs::set_permissions(data_dir, Permissions::from_mode(mode & 0o777 | 0o001))
                .map_err(EmbeddedError::io("open", data_dir))?;
        }
    }
    user.require_reach(data_dir)
}

fn require_space(data_dir: &Path, bytes: u64) -> Result<(), EmbeddedError> {
    let Ok(space) = statvfs(data_dir) else {
        return Ok(());
    };
    let free = space.blocks_available().saturating_mul(space.fragment_size());
    if free < bytes {
        return Err(EmbeddedError::DiskFull { path: data_dir.to_owned() });
    }
    Ok(())
}

fn remove_unfinished(data_dir: &Path) -> Result<(), EmbeddedError> {
    let entries = fs::read_dir(data_dir).map_err(EmbeddedError::io("list", data_dir))?;
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_dir_all(entry.path()).map_err(EmbeddedError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// The cluster's place has to be free; what somebody else put there is not ours to remove.
fn remove_empty(cluster: &Path) -> Result<(), EmbeddedError> {
    if cluster.exists() {
        fs::remove_dir(cluster).map_err(|_| EmbeddedError::NotACluster { folder: cluster.to_owned() })?;
    }
    Ok(())
}

fn initialize(prepared: &Prepared, durable: bool) -> Result<(), EmbeddedError> {
    let Prepared { data_dir, cluster, .. } = prepared;
    let unfinished = data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(EmbeddedError::io("create", unfinished.as_path()))?;
    prepared.user.own(&unfinished)?;
    let initialized = run_initdb(prepared, &unfinished, durable)
        .and_then(|()| fs::rename(&unfinished, cluster).map_err(EmbeddedError::io("rename", unfinished.as_path())));
    if initialized.is_err() {
        // The error that stopped us counts more than a rest that the next start removes anyway.
        let _ = fs::remove_dir_all(&unfinished);
        return initialized;
    }
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(EmbeddedError::io("sync", data_dir.as_path()))
}

fn run_initdb(prepared: &Prepared, target: &Path, durable: bool) -> Result<(), EmbeddedError> {
    let initdb = &prepared.binaries.initdb;
    let mut command = prepared.user.command("KILL", initdb);
    command
        .args(["--data-checksums", "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .args(["--username", SUPERUSER])
        .arg("--pgdata")
        .arg(target)
        .current_dir(&prepared.data_dir);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(EmbeddedError::io("run", initdb.as_path()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if is_disk_full(&text) {
        return Err(EmbeddedError::DiskFull { path: prepared.data_dir.clone() });
    }
    Err(EmbeddedError::InitFailed { output: text })
}

/// PostgreSQL runs with English messages, and this is the C library's text for ENOSPC.
pub(super) fn is_disk_full(text: &str) -> bool {
    text.contains("No space left on device")
}
