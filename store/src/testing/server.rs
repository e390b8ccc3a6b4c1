//! Servers for tests: the one that all tests share, and one that a single test owns and may kill.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Executor, Row};
use tokio::sync::OnceCell;

use super::database::{self, DATABASE_PREFIX, TEMPLATE_PREFIX};
use super::{DATABASE_URL_VARIABLE, TestingError, explain, unique_name};
use crate::embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use crate::migration;

const SLOTS: u32 = 64;
const LEFTOVER_LIMIT: Duration = Duration::from_secs(15);

static SHARED: OnceCell<Shared> = OnceCell::const_new();

#[derive(Debug)]
struct Shared {
    admin: PgConnectOptions,
    /// Never dropped; it ends with this process, as the kernel sees to it.
    _embedded: Option<EmbeddedPostgres>,
}

/// How to reach the server that the tests share, which is started by the first one that asks.
pub(super) async fn shared() -> Result<PgConnectOptions, TestingError> {
    let shared = SHARED
        .get_or_try_init(async || match env::var(DATABASE_URL_VARIABLE) {
            Ok(url) => Ok(Shared { admin: url.parse().map_err(TestingError::Url)?, _embedded: None }),
            Err(_) => start_in_slot().await,
        })
        .await?;
    Ok(shared.admin.clone())
}

/// Takes the first private cluster that no other process uses. Clusters are kept, which saves the next run the making.
async fn start_in_slot() -> Result<Shared, TestingError> {
    let uid = nix::unistd::geteuid();
    for slot in 0..SLOTS {
        let folder = env::temp_dir().join(format!("reprise-test-{uid}-{slot}"));
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.uid() != uid.as_raw()) {
            continue;
        }
        let embedded = match start(&folder).await {
            Ok(embedded) => embedded,
            Err(EmbeddedError::InUse { .. } | EmbeddedError::LeftBehind { .. }) => continue,
            Err(
                EmbeddedError::StartFailed { .. }
                | EmbeddedError::VersionMissing { .. }
                | EmbeddedError::NotOurs { .. }
                | EmbeddedError::NotACluster { .. },
            ) => {
                // Without fsync a cluster may not survive the end of the machine. It holds nothing of value.
                tracing::warn!(folder = %folder.display(), "making the test cluster anew");
                let _ = fs::remove_dir_all(folder.join("cluster"));
                start(&folder).await?
            }
            Err(error) => return Err(error.into()),
        };
        let admin: PgConnectOptions = embedded.url().parse().map_err(TestingError::Url)?;
        drop_leftover_databases(&admin).await?;
        return Ok(Shared { admin, _embedded: Some(embedded) });
    }
    Err(TestingError::NoSlot { slots: SLOTS })
}

async fn start(folder: &Path) -> Result<EmbeddedPostgres, EmbeddedError> {
    EmbeddedPostgres::start(EmbeddedConfig {
        durable: false,
        leftover_limit: LEFTOVER_LIMIT,
        ..EmbeddedConfig::new(folder)
    })
    .await
}

/// Drops what earlier processes left in the slot: databases of tests, and templates of other migrations.
async fn drop_leftover_databases(admin: &PgConnectOptions) -> Result<(), TestingError> {
    let failed = || TestingError::database("drop databases of earlier tests");
    let mut connection = database::connect(admin).await?;
    let rows = sqlx::query(
        "SELECT datname
           FROM pg_database
          WHERE starts_with(datname, $1)
             OR starts_with(datname, $2) AND datname <> $3",
    )
    .bind(DATABASE_PREFIX)
    .bind(TEMPLATE_PREFIX)
    .bind(database::template_name())
    .fetch_all(&mut connection)
    .await
    .map_err(failed())?;
    for row in rows {
        let name: String = row.try_get("datname").map_err(failed())?;
        if name == "template0" || name == "template1" {
            continue;
        }
        connection.execute(format!("DROP DATABASE {name} WITH (FORCE)").as_str()).await.map_err(failed())?;
    }
    Ok(())
}

/// A server of one test's own, with a migrated database; the test may stop it, kill it and start it again.
#[derive(Debug)]
pub struct TestServer {
    config: EmbeddedConfig,
    running: Option<EmbeddedPostgres>,
    url: String,
    // Last, so that it is removed when the server is gone.
    _folder: ThrowAwayFolder,
}

impl TestServer {
    /// Starts a server in a folder of its own and migrates its database.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let server = match Self::try_start().await {
            Ok(server) => server,
            Err(error) => panic!("no test server: {}", explain(&error)),
        };
        let pool = server.pool(1);
        let migrated = migration::migrate(&pool).await;
        pool.close().await;
        if let Err(error) = migrated {
            panic!("the test server cannot be migrated: {}", explain(&error));
        }
        server
    }

    pub(super) async fn try_start() -> Result<Self, EmbeddedError> {
        let folder = ThrowAwayFolder::create()?;
        let config = EmbeddedConfig { durable: false, ..EmbeddedConfig::new(folder.path.join("postgres")) };
        let running = EmbeddedPostgres::start(config.clone()).await?;
        Ok(Self { config, url: running.url(), running: Some(running), _folder: folder })
    }

    /// How to connect to its database; the same after a restart.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool of connections to its database.
    ///
    /// # Panics
    /// When its own URL does not parse, which would be a defect of the supervisor.
    #[must_use]
    pub fn pool(&self, max_connections: u32) -> PgPool {
        let options = self.url.parse().expect("the supervisor's URL is well formed");
        database::pool_of(&options, max_connections)
    }

    /// Where the server keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Kills the server as a crash would (`SIGKILL`) and waits for its end.
    pub async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.signal(Signal::SIGKILL);
            running.exited().await;
        }
    }

    /// Stops the server in order.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take()
            && let Err(error) = running.stop().await
        {
            panic!("the test server does not stop: {error}");
        }
    }

    /// Starts the server again after [`Self::kill`] or [`Self::stop`], on the same data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.stop().await;
        match EmbeddedPostgres::start(self.config.clone()).await {
            Ok(running) => self.running = Some(running),
            Err(error) => panic!("the test server does not start again: {}", explain(&error)),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Nothing of it is needed any more, so there is nothing to shut down in order.
            running.signal(Signal::SIGQUIT);
        }
    }
}

/// A folder that is removed with everything in it.
#[derive(Debug)]
struct ThrowAwayFolder {
    path: PathBuf,
}

impl ThrowAwayFolder {
    fn create() -> Result<Self, EmbeddedError> {
        let path = env::temp_dir().join(format!("reprise-{}", unique_name()));
        DirBuilder::new().mode(0o711).create(&path).map_err(|source| EmbeddedError::Io {
            action: "create",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path })
    }
}

impl Drop for ThrowAwayFolder {
    #[expect(clippy::disallowed_methods, reason = "a destructor cannot await")]
    fn drop(&mut self) {
        // A server that is still ending may write a last file, so one pass may not be enough.
        for _ in 0..100 {
            if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
