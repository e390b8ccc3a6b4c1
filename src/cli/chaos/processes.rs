//! Processes of this program: started, heard when they are ready, killed and started again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::failure::{Exit, Failure};

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub arguments: Vec<String>,
    /// Its settings; none of ours are handed down.
    pub variables: BTreeMap<String, String>,
    pub log: PathBuf,
    pub folder: PathBuf,
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Child,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Recipe {
    /// Starts it, and waits until it says that it is ready.
    pub async fn start(&self) -> Result<Process, Failure> {
        let mut child = self.spawn()?;
        let ready = async {
            let stdout = child.stdout.take()?;
            let mut lines = BufReader::new(stdout);
            let mut line = String::new();
            lines.read_line(&mut line).await.ok()?;
            // A pipe that nobody reads would block it.
            tokio::spawn(async move {
                let mut rest = Vec::new();
                let _ = lines.read_to_end(&mut rest).await;
            });
            serde_json::from_str::<Value>(&line).ok().filter(|said| said.get("error").is_none())
        };
        if let Some(ready) = timeout(READY_LIMIT, ready).await.ok().flatten() {
            return Ok(Process { recipe: self.clone(), child, ready });
        }
        let message = format!("`reprise {}` did not become ready", self.arguments.join(" "));
        Err(Failure::new("CHAOS_PROCESS", Exit::Software, message).hint(format!("its log is {}", self.log.display())))
    }

    fn spawn(&self) -> Result<Child, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new("CHAOS_PROCESS", Exit::Software, "a process cannot be started").caused_by(error)
        };
        let program = std::env::current_exe().map_err(failed)?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REPRISE_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .args(&self.arguments)
            .arg("--json")
            .envs(&self.variables)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }
}

impl Process {
    /// Ends it with SIGKILL: nothing of it is finished.
    pub async fn kill(mut self) -> Recipe {
        // It may have ended by itself, which the log says.
        let _ = self.child.kill().await;
        self.recipe
    }

    /// Ends it in order.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Where the log of a process goes.
pub fn log_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
