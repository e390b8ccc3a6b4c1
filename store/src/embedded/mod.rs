//! A private PostgreSQL for one process, run from the programs that are installed on the machine.
//!
//! It listens on a socket in a private folder only, keeps `fsync` on unless a test asks otherwise, dies with the process
//! that started it, and survives every way in which that process can end. It does not install, upgrade or back up
//! anything.

mod binaries;
mod cluster;
mod error;
mod identity;
mod lock;
mod process;
mod socket;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

pub use error::EmbeddedError;

use process::Server;

const PORT: u16 = 5432;
const DATABASE: &str = "reprise";
const MAINTENANCE_DATABASE: &str = "postgres";
/// How long one attempt to connect may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const FIRST_POLL: Duration = Duration::from_millis(5);
const LONGEST_POLL: Duration = Duration::from_millis(50);
/// After SIGQUIT the server kills what is left of it within 5 s.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

const STARTING_UP: &str = "57P03";
const NO_SUCH_DATABASE: &str = "3D000";

/// How to run the private PostgreSQL.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Holds the cluster, its socket, its log and the lock of its supervisor.
    pub data_dir: PathBuf,
    /// Where `postgres` and `initdb` are; found by itself when not given.
    pub bin_dir: Option<PathBuf>,
    /// False only for tests: an acknowledged commit then survives a killed server, but not a power loss.
    pub durable: bool,
    /// More server settings, which win over ours.
    pub settings: Vec<(String, String)>,
    /// Less free space than this is an error at the start rather than a failure in the middle of work.
    pub min_free_bytes: u64,
    /// How long to wait for a server that an ended process left behind.
    pub leftover_limit: Duration,
    /// How long the server may take to answer; replaying its log after a crash counts.
    pub start_limit: Duration,
    /// How long `stop` waits for an orderly end.
    pub stop_limit: Duration,
}

impl EmbeddedConfig {
    /// A durable server on `data_dir`, with programs found by themselves.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            durable: true,
            settings: Vec::new(),
            min_free_bytes: 64 * 1024 * 1024,
            leftover_limit: Duration::from_secs(30),
            start_limit: Duration::from_secs(120),
            stop_limit: Duration::from_secs(30),
        }
    }
}

/// The server program that would be run for a new cluster.
pub fn server_program(bin_dir: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
    binaries::find(bin_dir, None).map(|found| found.postgres)
}

/// A running private PostgreSQL. Stop it with [`EmbeddedPostgres::stop`]; when dropped, it is told to stop and not waited
/// for.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Server,
    stop_limit: Duration,
}

impl EmbeddedPostgres {
    /// Starts it and waits until it answers; makes the cluster and the database first if there is none.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let started = Instant::now();
        let start_limit = config.start_limit;
        let stop_limit = config.stop_limit;
        let embedded = Self { server: Server::spawn(config).await?, stop_limit };
        embedded.wait_until_ready(start_limit).await?;
        tracing::info!(
            process = embedded.server.pid,
            data_dir = %embedded.server.data_dir.display(),
            took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "embedded PostgreSQL is ready"
        );
        Ok(embedded)
    }

    /// How to connect to its database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// How to connect to one of its databases by name.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let folder = percent_encode(&self.server.socket_folder);
        format!("postgres://{}@localhost:{PORT}/{database}?host={folder}", cluster::SUPERUSER)
    }

    /// The id of the server's process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.server.pid
    }

    /// The folder that holds everything of this server.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.server.data_dir
    }

    /// Waits until the server has ended, for whatever reason.
    pub async fn exited(&self) {
        self.server.exited().await;
    }

    /// Stops it: a fast shutdown that leaves a clean cluster, then, past the limit, an immediate one.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        self.server.signal(Signal::SIGINT);
        if self.server.exits_within(self.stop_limit).await {
            return Ok(());
        }
        tracing::warn!(
            process = self.server.pid,
            "the embedded PostgreSQL does not stop; its next start recovers from an immediate stop"
        );
        self.server.signal(Signal::SIGQUIT);
        if self.server.exits_within(QUIT_LIMIT).await {
            return Ok(());
        }
        Err(EmbeddedError::NotStopped { pid: self.server.pid, waited_ms: started.elapsed().as_millis() })
    }

    /// Stops it at once, without a checkpoint, as a power cut of the server alone would; the next start recovers.
    pub async fn stop_at_once(self) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        self.server.signal(Signal::SIGQUIT);
        if self.server.exits_within(QUIT_LIMIT).await {
            return Ok(());
        }
        Err(EmbeddedError::NotStopped { pid: self.server.pid, waited_ms: started.elapsed().as_millis() })
    }

    /// Sends the server's main process a signal; for tests of crashes and stalls.
    pub(crate) fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.server.socket_folder)
            .port(PORT)
            .username(cluster::SUPERUSER)
            .database(database)
            .disable_statement_logging()
    }

    async fn wait_until_ready(&self, limit: Duration) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        let mut poll = FIRST_POLL;
        loop {
            if self.server.has_exited() {
                return Err(self.server.start_failure());
            }
            match self.probe(DATABASE).await {
                Probe::Answers => return Ok(()),
                Probe::NoSuchDatabase => return self.create_database().await,
                Probe::NotYet => {}
                Probe::Failed(error) => return Err(EmbeddedError::Database(error)),
            }
            if started.elapsed() >= limit {
                return Err(EmbeddedError::NotReady {
                    waited_ms: started.elapsed().as_millis(),
                    log: self.server.log_since_start(),
                    log_file: self.server.log_file.clone(),
                });
            }
            if self.server.exits_within(poll).await {
                return Err(self.server.start_failure());
            }
            poll = (poll * 2).min(LONGEST_POLL);
        }
    }

    async fn probe(&self, database: &str) -> Probe {
        let options = self.options(database);
        let attempt = PgConnection::connect_with(&options);
        let Ok(answer) = tokio::time::timeout(CONNECT_LIMIT, Box::pin(attempt)).await else {
            return Probe::NotYet;
        };
        match answer {
            Ok(connection) => {
                // It answered; how it takes our goodbye is of no interest.
                let _ = connection.close().await;
                Probe::Answers
            }
            Err(sqlx::Error::Io(_)) => Probe::NotYet,
            Err(error) => match sql_state(&error).as_deref() {
                Some(STARTING_UP) => Probe::NotYet,
                Some(NO_SUCH_DATABASE) => Probe::NoSuchDatabase,
                _ => Probe::Failed(error),
            },
        }
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let options = self.options(MAINTENANCE_DATABASE);
        let mut connection = PgConnection::connect_with(&options).await.map_err(EmbeddedError::Database)?;
        let created = sqlx::query("CREATE DATABASE reprise").execute(&mut connection).await;
        let _ = connection.close().await;
        created.map_err(|error| match sql_state(&error).as_deref() {
            Some("53100") => EmbeddedError::DiskFull { path: self.server.data_dir.clone() },
            _ => EmbeddedError::Database(error),
        })?;
        Ok(())
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.server.signal(Signal::SIGINT);
    }
}

enum Probe {
    Answers,
    NotYet,
    NoSuchDatabase,
    Failed(sqlx::Error),
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned))
}

/// Encodes a path for the query of a URL.
fn percent_encode(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_in_a_url_is_read_back_as_it_was() {
        let path = Path::new("/var/my data/50% & more+ü");
        let url = format!("postgres://reprise@localhost:5432/reprise?host={}", percent_encode(path));
        let options: PgConnectOptions = url.parse().expect("the URL is well formed");
        assert_eq!(options.get_socket().map(PathBuf::as_path), Some(path));
    }
}
