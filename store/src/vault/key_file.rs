//! A keyring in a file that only its owner can read, made on first use.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use thiserror::Error;
use zeroize::Zeroizing;

use super::keyring::{Keyring, KeyringError};

/// More than any list of keys.
const LARGEST_FILE: u64 = 64 * 1024;

/// Why the key file was not used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    #[error("the key file {} can be read by others (mode {mode:03o})", .path.display())]
    NotPrivate { path: PathBuf, mode: u32 },
    #[error("the key file {} belongs to user id {owner}", .path.display())]
    NotOurs { path: PathBuf, owner: u32 },
    #[error("the key file {} is not usable", .path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: KeyringError,
    },
    #[error("cannot {action} the key file {}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

impl KeyFileError {
    /// A stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPrivate { .. } => "KEY_FILE_NOT_PRIVATE",
            Self::NotOurs { .. } => "KEY_FILE_NOT_OURS",
            Self::Malformed { .. } => "KEY_FILE_MALFORMED",
            Self::Io { .. } | Self::Random(_) => "KEY_FILE_UNAVAILABLE",
        }
    }

    /// What the person who started us can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotPrivate { path, .. } => format!(
                "Run `chmod 600 {}`. If others may have read it, put a new key first in it and rotate.",
                path.display()
            ),
            Self::NotOurs { path, .. } => format!("Start as its owner, or run `chown` on {}.", path.display()),
            Self::Malformed { source, .. } => source.remedy().to_owned(),
            Self::Io { .. } | Self::Random(_) => "Solve what the message names, and start again.".to_owned(),
        }
    }
}

impl Keyring {
    /// Reads the keyring of a file, which nobody but its owner may be able to read.
    pub fn from_file(path: &Path) -> Result<Self, KeyFileError> {
        let file = File::open(path).map_err(failed("open", path))?;
        let found = file.metadata().map_err(failed("look at", path))?;
        let mode = found.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::NotPrivate { path: path.to_owned(), mode });
        }
        if found.uid() != geteuid().as_raw() && found.uid() != 0 {
            return Err(KeyFileError::NotOurs { path: path.to_owned(), owner: found.uid() });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LARGEST_FILE).read_to_string(&mut text).map_err(failed("read", path))?;
        Self::parse(&text).map_err(|source| KeyFileError::Malformed { path: path.to_owned(), source })
    }

    /// Reads the keyring of a file; makes it first, with a new key, if there is none. Several processes that do so at once agree.
    pub fn from_file_or_new(path: &Path) -> Result<Self, KeyFileError> {
        match Self::from_file(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::from_file(path)
            }
            other => other,
        }
    }
}

/// Writes a new key aside and then links it to its place, so that the file is never there in part, nor replaced.
fn create(path: &Path) -> Result<(), KeyFileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make the folder of", path))?;
    let mut key = Zeroizing::new([0_u8; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(KeyFileError::Random)?;
    let mut aside = [0_u8; 8];
    getrandom::fill(&mut aside).map_err(KeyFileError::Random)?;
    let aside = folder.join(format!(".key-{}", hex::encode(aside)));
    let line = Zeroizing::new(format!("{}\n", Zeroizing::new(hex::encode(key.as_slice())).as_str()));
    let written = write_private(&aside, line.as_bytes()).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    // Only a name of the same file, or a file without use.
    let _ = fs::remove_file(&aside);
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(failed("make", path))
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn new_key_file_is_private_and_stays_what_it_is() {
        let folder = folder();
        let path = folder.path().join("keys/main");
        let first = Keyring::from_file_or_new(&path).expect("it is made");
        let mode = fs::metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Keyring::from_file_or_new(&path).expect("it reads");
        assert_eq!(first.active_id(), second.active_id());
        let left = fs::read_dir(folder.path().join("keys")).expect("it is there").count();
        assert_eq!(left, 1, "nothing else is left in its folder");
    }

    #[test]
    fn two_new_key_files_differ() {
        let folder = folder();
        let id = |name: &str| {
            let keyring = Keyring::from_file_or_new(&folder.path().join(name)).expect("it is made");
            keyring.active_id().to_owned()
        };
        assert_ne!(id("one"), id("two"));
    }

    #[test]
    fn processes_that_make_the_file_at_once_agree_on_one_key() {
        let folder = folder();
        let path = Arc::new(folder.path().join("key"));
        let start = Arc::new(Barrier::new(8));
        let threads = (0..8).map(|_| {
            let (path, start) = (Arc::clone(&path), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                Keyring::from_file_or_new(&path).expect("it is made or read").active_id().to_owned()
            })
        });
        let mut ids: Vec<String> =
            threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
    }

    #[test]
    fn file_that_others_can_read_is_refused_with_what_to_do() {
        let folder = folder();
        let path = folder.path().join("key");
        Keyring::from_file_or_new(&path).expect("it is made");
        for mode in [0o640, 0o604, 0o660, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
            let refused = Keyring::from_file_or_new(&path).expect_err("others can read it");
            assert_eq!(refused.code(), "KEY_FILE_NOT_PRIVATE");
            assert!(refused.remedy().contains("chmod 600"), "{}", refused.remedy());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("it is ours");
        Keyring::from_file(&path).expect("only the owner reads it");
    }

    #[test]
    fn file_of_another_user_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let folder = folder();
        let path = folder.path().join("key");
        Keyring::from_file_or_new(&path).expect("it is made");
        std::os::unix::fs::chown(&path, Some(65_534), None).expect("we are root");
        assert_eq!(Keyring::from_file(&path).expect_err("not ours").code(), "KEY_FILE_NOT_OURS");
    }

    #[test]
    fn unusable_file_is_refused_and_not_replaced() {
        let folder = folder();
        let path = folder.path().join("key");
        write_private(&path, b"not a key\n").expect("it is writable");
        let refused = Keyring::from_file_or_new(&path).expect_err("it holds no key");
        assert_eq!(refused.code(), "KEY_FILE_MALFORMED");
        assert!(!format!("{refused} {refused:?}").contains("not a key"));
        assert_eq!(fs::read(&path).expect("it stays"), b"not a key\n");
        let missing = Keyring::from_file(&folder.path().join("missing")).expect_err("there is none");
        assert_eq!(missing.code(), "KEY_FILE_UNAVAILABLE");
    }
}
