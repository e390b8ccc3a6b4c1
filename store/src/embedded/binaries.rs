//! Finds the PostgreSQL server programs of this machine. It installs nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// Where Debian's and Ubuntu's packages keep one folder for each major version.
const PACKAGED: &str = "/usr/lib/postgresql";

/// The programs of one installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

/// Looks in `bin_dir` alone if it is given; else in the packaged versions, the newest first, then in PATH. A
/// cluster that exists already (`cluster_version`) is served by its own version when that is installed.
pub(super) fn find(bin_dir: Option<&Path>, cluster_version: Option<&str>) -> Result<Binaries, EmbeddedError> {
    if let Some(folder) = bin_dir {
        return in_folder(folder).ok_or_else(|| EmbeddedError::BinariesMissing { looked_in: vec![folder.to_owned()] });
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = env::split_paths(&path).collect();
    find_in(Path::new(PACKAGED), &in_path, cluster_version)
}

fn find_in(packaged: &Path, in_path: &[PathBuf], cluster_version: Option<&str>) -> Result<Binaries, EmbeddedError> {
    let mut versions = packaged_versions(packaged);
    if let Some(version) = cluster_version {
        versions.sort_by_key(|(name, _)| name != version);
    }
    let packaged_folders = versions.into_iter().map(|(_, folder)| folder);
    packaged_folders.chain(in_path.iter().cloned()).find_map(|folder| in_folder(&folder)).ok_or_else(|| {
        let mut looked_in = vec![packaged.to_owned()];
        looked_in.extend_from_slice(in_path);
        EmbeddedError::BinariesMissing { looked_in }
    })
}

/// Version names with their program folders, the newest first.
fn packaged_versions(packaged: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(packaged) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, String, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.parse().ok()?;
            Some((number, name, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(number, _, _)| std::cmp::Reverse(*number));
    versions.into_iter().map(|(_, name, folder)| (name, folder)).collect()
}

fn in_folder(folder: &Path) -> Option<Binaries> {
    let binaries = Binaries { initdb: folder.join("initdb"), postgres: folder.join("postgres") };
    (binaries.initdb.is_file() && binaries.postgres.is_file()).then_some(binaries)
}

/// Finds a program of the system by name.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/bin")])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(folder: &Path) {
        fs::create_dir_all(folder).expect("a temporary folder is writable");
        for name in ["initdb", "postgres"] {
            fs::write(folder.join(name), "").expect("a temporary folder is writable");
        }
    }

    fn folder_of(found: Result<Binaries, EmbeddedError>) -> PathBuf {
        let binaries = found.expect("programs are found");
        binaries.postgres.parent().expect("it is in a folder").to_owned()
    }

    #[test]
    fn newest_packaged_version_wins_by_number_not_by_text() {
        let root = tempfile::tempdir().expect("a temporary folder");
        install(&root.path().join("9/bin"));
        install(&root.path().join("17/bin"));
        install(&root.path().join("15/bin"));
        assert_eq!(folder_of(find_in(root.path(), &[], None)), root.path().join("17/bin"));
    }

    #[test]
    fn version_of_an_existing_cluster_wins_over_a_newer_one() {
        let root = tempfile::tempdir().expect("a temporary folder");
        install(&root.path().join("17/bin"));
        install(&root.path().join("15/bin"));
        assert_eq!(folder_of(find_in(root.path(), &[], Some("15"))), root.path().join("15/bin"));
    }

    #[test]
    fn path_is_searched_when_nothing_is_packaged() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("programs");
        install(&folder);
        let in_path = [root.path().join("empty"), folder.clone()];
        assert_eq!(folder_of(find_in(&root.path().join("none"), &in_path, None)), folder);
    }

    #[test]
    fn folder_without_a_server_is_named_in_the_error() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let error = find(Some(root.path()), None).expect_err("there is no server");
        assert_eq!(error.code(), "POSTGRES_NOT_INSTALLED");
        assert!(error.to_string().contains(&root.path().display().to_string()));
    }
}
