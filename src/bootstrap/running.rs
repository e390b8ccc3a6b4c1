//! How other commands find a running process: a file in its data folder that says where it listens.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::data_dir;

/// Where a running process is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    pub process: u32,
    pub version: String,
    pub api_url: Option<String>,
    pub sandbox_url: Option<String>,
    /// The private PostgreSQL's; it holds no password, as only this user reaches the socket.
    pub database_url: Option<String>,
    /// Somebody can still sign in as `admin` with the password `admin`.
    pub first_admin: bool,
}

impl Running {
    /// The process that uses `data_dir`, if there is one that is ready.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let text = fs::read(data_dir::running_file(data_dir)).ok()?;
        let running: Self = serde_json::from_slice(&text).ok()?;
        let process = Pid::from_raw(i32::try_from(running.process).ok()?);
        // A killed process leaves its file behind. Another user's process answers with a refusal, and lives.
        let lives = !matches!(kill(process, None), Err(nix::errno::Errno::ESRCH));
        lives.then_some(running)
    }

    /// Tells other commands; the file goes away with the returned value.
    pub fn announce(&self, data_dir: &Path) -> std::io::Result<Announcement> {
        let path = data_dir::running_file(data_dir);
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(&fresh, &path)?;
        Ok(Announcement { path })
    }
}

/// Withdraws the file when dropped.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // It names a process that is gone then; whoever reads it notices.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(process: u32) -> Running {
        Running {
            process,
            version: "0".into(),
            api_url: None,
            sandbox_url: None,
            database_url: None,
            first_admin: false,
        }
    }

    #[test]
    fn running_process_is_found_until_it_withdraws() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let announcement = running(std::process::id()).announce(folder.path()).expect("the file is written");
        assert!(Running::find(folder.path()).is_some());
        drop(announcement);
        assert!(Running::find(folder.path()).is_none());
    }

    #[test]
    fn process_that_was_killed_is_not_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = std::process::Command::new("true").spawn().expect("`true` starts");
        child.wait().expect("`true` ends");
        let _announcement = running(child.id()).announce(folder.path()).expect("the file is written");
        assert!(Running::find(folder.path()).is_none());
    }
}
