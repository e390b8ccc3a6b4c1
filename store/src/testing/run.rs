//! Runs a command, such as a whole test run, beside one throw-away server.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::{DATABASE_URL_VARIABLE, TestServer, TestingError};

/// Starts a server in a temporary folder, runs `command` with `REPRISE_TEST_DATABASE_URL` naming it, stops the server
/// and returns the command's exit code. Nothing of the server is left.
pub async fn run_with_server(command: Vec<OsString>) -> Result<ExitCode, TestingError> {
    let mut words = command.into_iter();
    let program = words.next().ok_or(TestingError::NoCommand)?;
    let failed = |source| TestingError::Command { command: program.to_string_lossy().into_owned(), source };
    let mut server = TestServer::try_start().await?;
    let child = Command::new(&program)
        .args(words)
        .env(DATABASE_URL_VARIABLE, server.url())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let status = wait(child).await.map_err(failed);
    server.kill().await;
    Ok(exit_code(status?))
}

/// An interrupt reaches the command by itself, as it is in our terminal's group; a request to terminate is passed on.
/// Either way its end is waited for, so that the server outlives it.
async fn wait(mut child: Child) -> std::io::Result<ExitStatus> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {
                if let Some(pid) = child.id() {
                    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
                }
            }
        }
    }
}

/// As shells do it: a command that a signal ended has 128 plus the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code =
        status.code().or_else(|| status.signal().map(|number| 128 + number)).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
