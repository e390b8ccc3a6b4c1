//! Which user of the system runs PostgreSQL, and how programs are started as that user.
//!
//! PostgreSQL refuses root, so root hands over to `postgres` or `nobody`. Everything goes through `setpriv`, which also
//! asks the kernel for a signal when the starting thread dies; that needs no unsafe code of ours.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use super::binaries;
use super::error::EmbeddedError;

/// The user who runs the server.
#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether we are root and have to become that user.
    switches: bool,
    setpriv: PathBuf,
}

impl ServerUser {
    /// Ourselves; or, as root, the owner of the existing cluster, else `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let setpriv = binaries::program("setpriv").ok_or(EmbeddedError::SetprivMissing)?;
        let ourselves = geteuid();
        let owner = fs::metadata(cluster).ok().map(|metadata| metadata.uid());
        if !ourselves.is_root() {
            return match owner {
                Some(owner) if owner != ourselves.as_raw() => {
                    Err(EmbeddedError::NotOurs { folder: cluster.to_owned(), owner })
                }
                _ => Ok(Self {
                    name: ourselves.to_string(),
                    uid: ourselves.as_raw(),
                    gid: nix::unistd::getegid().as_raw(),
                    switches: false,
                    setpriv,
                }),
            };
        }
        let user = match owner {
            Some(0) => {
                return Err(EmbeddedError::NotOurs { folder: cluster.to_owned(), owner: 0 });
            }
            Some(owner) => User::from_uid(Uid::from_raw(owner)).ok().flatten(),
            None => ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten()),
        };
        let user = user.ok_or(EmbeddedError::NoServerUser)?;
        Ok(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), switches: true, setpriv })
    }

    /// Whether the server runs as another user than we do.
    pub(super) fn is_other(&self) -> bool {
        self.switches
    }

    /// A command that runs `program` as this user and is sent `signal` when the thread that spawned it dies.
    pub(super) fn command(&self, signal: &str, program: &Path) -> Command {
        let mut command = Command::new(&self.setpriv);
        command.args(["--pdeathsig", signal, "--nnp"]);
        if self.switches {
            command
                .args(["--reuid", &self.uid.to_string()])
                .args(["--regid", &self.gid.to_string()])
                .arg("--clear-groups");
        }
        // The server must not see our environment: PG* variables would steer it, and secrets are not its business.
        command
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.switches {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
                .map_err(EmbeddedError::io("give away", path))?;
        }
        Ok(())
    }

    /// Names the folder on the way to `folder` that this user cannot pass, if there is one.
    pub(super) fn require_reach(&self, folder: &Path) -> Result<(), EmbeddedError> {
        if !self.switches {
            return Ok(());
        }
        let Some(blocked) = folder.ancestors().filter(|ancestor| !self.passes(ancestor)).last() else {
            return Ok(());
        };
        // Mode bits are not everything (access lists): the last word has an attempt.
        let reached = self
            .command("KILL", &binaries::program("test").unwrap_or_else(|| "/usr/bin/test".into()))
            .arg("-x")
            .arg(folder)
            .current_dir("/")
            .status();
        match reached {
            Ok(status) if status.success() => Ok(()),
            _ => Err(EmbeddedError::NotReachable { folder: blocked.to_owned(), user: self.name.clone() }),
        }
    }

    fn passes(&self, folder: &Path) -> bool {
        let Ok(metadata) = fs::metadata(folder) else {
            return false;
        };
        let bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.mode() & bit != 0
    }
}
