//! A `reprise up` of a test's own: started, waited for, signalled, and ended with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::binary::{Done, reprise};

/// Longer than a start on a busy machine takes.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A folder that the private PostgreSQL's user can reach.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("it is ours");
    folder
}

/// What the API said.
pub struct Answer {
    pub status: u16,
    /// The cookie that it set, if it did.
    pub cookie: String,
    pub body: String,
}

/// A running process.
pub struct Service {
    child: Child,
    log: PathBuf,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Service {
    /// Starts `reprise up` on `data_dir` and waits until it is ready.
    pub fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        match Self::try_start(data_dir, arguments) {
            Ok(service) => service,
            Err(done) => panic!("it did not start ({}):\n{}\n{}", done.status, done.stdout, done.stderr),
        }
    }

    /// The same; what it left when it ended instead.
    pub fn try_start(data_dir: &Path, arguments: &[&str]) -> Result<Self, Done> {
        let log = data_dir.with_extension(format!("{}.log", unique()));
        let file = fs::File::create(&log).expect("the log is made");
        let mut command = reprise(data_dir.parent().expect("it has a parent"), &["up", "--json"]);
        command.arg("--data-dir").arg(data_dir);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(file).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let line = first_line(stdout);
        match line.and_then(|line| serde_json::from_str::<Value>(&line).ok()) {
            Some(ready) if ready.get("error").is_none() => Ok(Self { child, log, ready }),
            said => {
                let status = ended(&mut child).code().unwrap_or(-1);
                let stderr = fs::read_to_string(&log).unwrap_or_default();
                Err(Done { status, stdout: said.map(|said| said.to_string()).unwrap_or_default(), stderr })
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks the API; the status and the body of its answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        let Answer { status, body, .. } = self.ask("GET", path, "", "");
        (status, body)
    }

    /// Posts JSON with the cookie of a session, if there is one.
    pub fn post(&self, path: &str, body: &Value, cookie: &str) -> Answer {
        let headers = format!("content-type: application/json\r\nx-reprise-csrf: 1\r\ncookie: {cookie}\r\n");
        self.ask("POST", path, &headers, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let url = self.ready["api_url"].as_str().expect("it has an API");
        let host = url.strip_prefix("http://").expect("it is plain");
        let mut stream = TcpStream::connect(host).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a valid limit");
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        write!(stream, "{head}{headers}content-length: {length}\r\n\r\n{body}").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in text");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an HTTP status");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
        Answer { status, cookie, body: body.to_owned() }
    }

    /// Asks until `ask` has an answer.
    #[expect(clippy::disallowed_methods, reason = "a test's own thread polls a process that tells nobody")]
    pub fn until<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{what} did not happen:\n{}", self.log());
            thread::sleep(POLL * 10);
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is there");
    }

    /// Waits for its end after a signal.
    pub fn ended(mut self) -> ExitStatus {
        ended(&mut self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_line(stdout: ChildStdout) -> Option<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = tell.send(line);
        // A pipe that nobody reads would block the process.
        let _ = reader.read_to_string(&mut String::new());
    });
    told.recv_timeout(DEADLINE).ok()
}

#[expect(clippy::disallowed_methods, reason = "a test's own thread polls a child, which tells nobody of its end")]
fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it did not end");
        }
        thread::sleep(POLL);
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
