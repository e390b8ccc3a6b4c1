//! The folder of everything that one Reprise keeps: made, checked and locked before anything is put into it.
//!
//! Layout: `postgres/` (the private server), `keys`, `clock.json`, `sandbox-ledger.jsonl`, `running.json`, `reprise.lock`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::failure::{Exit, Failure};

const MIB: u64 = 1024 * 1024;
/// A new private PostgreSQL takes about 60 MiB and its log grows in steps of 16.
const SPACE_FOR_A_NEW_SERVER: u64 = 256 * MIB;
/// Below this a start would only end in a crash of the server.
const SPACE_TO_START: u64 = 64 * MIB;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("{} is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("{} cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} is full: {} MiB are free, {} MiB are needed", path.display(), available / MIB, needed.div_ceil(MIB))]
    Full { path: PathBuf, available: u64, needed: u64 },
    #[error("another reprise{} uses {}", holder.map_or_else(String::new, |pid| format!(" (process {pid})")), path.display())]
    InUse { path: PathBuf, holder: Option<u32> },
}

impl DataDirError {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAFolder { .. } => "DATA_DIR_NOT_A_FOLDER",
            Self::Unwritable { .. } => "DATA_DIR_UNWRITABLE",
            Self::Full { .. } => "DATA_DIR_FULL",
            Self::InUse { .. } => "DATA_DIR_IN_USE",
        }
    }

    fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotAFolder { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, available: 0, needed: MIB },
            _ => Self::Unwritable { path, source },
        }
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        let (exit, hint) = match &error {
            DataDirError::NotAFolder { .. } => (Exit::CannotCreate, "name a folder with --data-dir"),
            DataDirError::Unwritable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                (Exit::NoPermission, "give this user the folder, or name another one with --data-dir")
            }
            DataDirError::Unwritable { .. } => (Exit::CannotCreate, "name a folder on a writable disk with --data-dir"),
            DataDirError::Full { .. } => (Exit::Io, "free some space there, or name another folder with --data-dir"),
            DataDirError::InUse { .. } => {
                (Exit::TryLater, "stop the other one, or name another folder with --data-dir")
            }
        };
        let failure = Self::new(error.code(), exit, error.to_string()).hint(hint);
        match error {
            DataDirError::Unwritable { source, .. } => failure.caused_by(source),
            _ => failure,
        }
    }
}

/// A folder that is this process's alone until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes the folder if it is not there, takes it for this process and checks that it can be used.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        make(path)?;
        let lock = take(path)?;
        let data_dir = Self { path: path.to_path_buf(), _lock: lock };
        let server_exists = data_dir.postgres().join("PG_VERSION").exists();
        let needed = if server_exists { SPACE_TO_START } else { SPACE_FOR_A_NEW_SERVER };
        check_space(path, needed)?;
        data_dir.check_writing()?;
        Ok(data_dir)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    pub fn clock(&self) -> PathBuf {
        self.path.join("clock.json")
    }

    pub fn sandbox_ledger(&self) -> PathBuf {
        self.path.join("sandbox-ledger.jsonl")
    }

    fn check_writing(&self) -> Result<(), DataDirError> {
        let probe = self.path.join(".probe");
        let written = File::create(&probe).and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.sync_data()
        });
        let removed = fs::remove_file(&probe);
        written.and(removed).map_err(|source| DataDirError::from_io(&self.path, source))
    }
}

/// The file in which a process that uses `data_dir` says how to reach it.
pub fn running_file(data_dir: &Path) -> PathBuf {
    data_dir.join("running.json")
}

fn make(path: &Path) -> Result<(), DataDirError> {
    // As root, PostgreSQL runs as another user, who must be able to pass through but not to look around.
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| DataDirError::from_io(parent, source))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|source| DataDirError::from_io(path, source)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if path.is_dir() {
                Ok(())
            } else {
                Err(DataDirError::NotAFolder { path: path.to_path_buf() })
            }
        }
        Err(error) => Err(DataDirError::from_io(path, error)),
    }
}

fn take(path: &Path) -> Result<Flock<File>, DataDirError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join("reprise.lock"))
        .map_err(|source| DataDirError::from_io(path, source))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let written = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
            written.map_err(|source| DataDirError::from_io(path, source))?;
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            Err(DataDirError::InUse { path: path.to_path_buf(), holder })
        }
        Err((_, errno)) => Err(DataDirError::from_io(path, errno.into())),
    }
}

fn check_space(path: &Path, needed: u64) -> Result<(), DataDirError> {
    let stat = statvfs(path).map_err(|errno| DataDirError::from_io(path, errno.into()))?;
    let available = stat.blocks_available().saturating_mul(stat.fragment_size());
    if available < needed {
        return Err(DataDirError::Full { path: path.to_path_buf(), available, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn new_folder_is_made_and_closed_to_others() {
        let folder = folder();
        let path = folder.path().join("a/b");
        let data_dir = DataDir::open(&path).expect("the folder is made");
        let mode = fs::metadata(data_dir.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o066, 0);
    }

    #[test]
    fn second_holder_is_told_who_the_first_is() {
        let folder = folder();
        let _first = DataDir::open(folder.path()).expect("nobody else has it");
        let error = DataDir::open(folder.path()).expect_err("it is taken");
        assert_eq!(error.code(), "DATA_DIR_IN_USE");
        assert!(error.to_string().contains(&std::process::id().to_string()));
        assert_eq!(Failure::from(error).exit, Exit::TryLater);
    }

    #[test]
    fn folder_is_free_again_when_its_holder_is_gone() {
        let folder = folder();
        drop(DataDir::open(folder.path()).expect("nobody else has it"));
        assert!(DataDir::open(folder.path()).is_ok());
    }

    #[test]
    fn file_in_its_place_is_told_as_such() {
        let folder = folder();
        let path = folder.path().join("file");
        fs::write(&path, "").expect("the file is written");
        assert_eq!(DataDir::open(&path).expect_err("a file").code(), "DATA_DIR_NOT_A_FOLDER");
        assert_eq!(DataDir::open(&path.join("below")).expect_err("a file").code(), "DATA_DIR_NOT_A_FOLDER");
    }

    #[test]
    fn full_disk_is_told_with_the_numbers() {
        let folder = folder();
        let error = check_space(folder.path(), u64::MAX).expect_err("no disk has this much");
        assert_eq!(error.code(), "DATA_DIR_FULL");
        assert_eq!(Failure::from(error).exit, Exit::Io);
    }

    #[test]
    fn folder_that_may_not_be_written_is_told_as_such() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let failure = Failure::from(DataDirError::from_io(Path::new("/a"), denied));
        assert_eq!((failure.code, failure.exit), ("DATA_DIR_UNWRITABLE", Exit::NoPermission));
    }
}
