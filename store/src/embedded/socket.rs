//! The private folder of the server's socket. Whoever can enter it is trusted by the server, so only its user can.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::EmbeddedError;
use super::identity::ServerUser;

/// `sockaddr_un` has 108 bytes and ends with a zero.
const MAX_SOCKET_PATH: usize = 107;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// Makes the folder: in the data directory, or, when that path is too long for a socket, a short one whose name is
/// derived from the data directory, so that it is the same at the next start.
pub(super) fn prepare(data_dir: &Path, user: &ServerUser) -> Result<PathBuf, EmbeddedError> {
    let folder = choose(data_dir, &short_parent(user), user.uid);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => user.own(&folder)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(EmbeddedError::io("create", folder)(error)),
    }
    // Somebody else may have made the short folder before us, or put a link there.
    let found = fs::symlink_metadata(&folder).map_err(EmbeddedError::io("look at", folder.as_path()))?;
    if found.uid() != user.uid || !found.is_dir() {
        return Err(EmbeddedError::NotOurs { folder, owner: found.uid() });
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))
            .map_err(EmbeddedError::io("protect", folder.as_path()))?;
    }
    Ok(folder)
}

fn choose(data_dir: &Path, short_parent: &Path, uid: u32) -> PathBuf {
    let inside = data_dir.join("socket");
    let fits = inside.to_str().is_some_and(|path| path.len() + SOCKET_NAME.len() <= MAX_SOCKET_PATH);
    if fits {
        return inside;
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    short_parent.join(format!("reprise-{uid}-{}", hex::encode(&digest[..6])))
}

fn short_parent(user: &ServerUser) -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime
        .filter(|folder| {
            let short = folder.as_os_str().len() <= 40;
            let ours = fs::metadata(folder).is_ok_and(|found| found.uid() == user.uid);
            short && ours && folder.is_absolute() && !user.is_other()
        })
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_data_directory_keeps_its_socket_inside() {
        let folder = choose(Path::new("/var/lib/reprise"), Path::new("/tmp"), 7);
        assert_eq!(folder, Path::new("/var/lib/reprise/socket"));
    }

    #[test]
    fn longest_path_that_fits_stays_and_one_more_moves_out() {
        let longest = MAX_SOCKET_PATH - SOCKET_NAME.len() - "/socket".len();
        let fits = format!("/{}", "d".repeat(longest - 1));
        let too_long = format!("/{}", "d".repeat(longest));
        let parent = Path::new("/tmp");
        assert!(choose(Path::new(&fits), parent, 7).starts_with(&fits));
        assert!(choose(Path::new(&too_long), parent, 7).starts_with("/tmp"));
    }

    #[test]
    fn short_folder_is_stable_and_differs_between_data_directories() {
        let long = |end: &str| PathBuf::from(format!("/{}{end}", "d".repeat(120)));
        let at = |end: &str| choose(&long(end), Path::new("/tmp"), 7);
        assert_eq!(at("a"), at("a"));
        assert_ne!(at("a"), at("b"));
    }
}
