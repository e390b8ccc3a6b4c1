//! One migrated database for one test, cloned from a template that is migrated once for each server.

use std::thread;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use super::{TestingError, explain, server, unique_name};
use crate::migration;

/// Serialises the making of the template; any number that nothing else uses.
const TEMPLATE_LOCK: i64 = 0x7265_7072_6973_6501;
pub(super) const DATABASE_PREFIX: &str = "test_";
pub(super) const TEMPLATE_PREFIX: &str = "template_";
const MAX_CONNECTIONS: u32 = 16;
const ACQUIRE_LIMIT: Duration = Duration::from_secs(30);
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// A database that only one test uses; it is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    admin: PgConnectOptions,
    options: PgConnectOptions,
    name: String,
    pool: PgPool,
}

impl TestDatabase {
    /// Makes a migrated database.
    ///
    /// # Panics
    /// When there is no server to make it on.
    pub async fn create() -> Self {
        match Self::try_create().await {
            Ok(database) => database,
            Err(error) => panic!("no test database: {}", explain(&error)),
        }
    }

    /// Makes a migrated database, or says why it cannot.
    pub async fn try_create() -> Result<Self, TestingError> {
        let admin = server::shared().await?;
        let template = ensure_template(&admin).await?;
        let name = format!("{DATABASE_PREFIX}{}", unique_name());
        let mut connection = connect(&admin).await?;
        connection
            .execute(format!("CREATE DATABASE {name} TEMPLATE {template}").as_str())
            .await
            .map_err(TestingError::database("clone the template database"))?;
        close(connection).await;
        let options = admin.clone().database(&name);
        let pool = pool_of(&options, MAX_CONNECTIONS);
        Ok(Self { admin, options, name, pool })
    }

    /// A pool of connections to it.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How to connect to it.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// How to connect to it, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// Another pool, as another process would have.
    #[must_use]
    pub fn another_pool(&self, max_connections: u32) -> PgPool {
        pool_of(&self.options, max_connections)
    }
}

/// Best effort: what is left is dropped with the server, or by the next run on it.
impl Drop for TestDatabase {
    fn drop(&mut self) {
        let admin = self.admin.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A destructor cannot await, and the test's runtime may be single-threaded.
        let dropper = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let work = async {
                        let mut connection = connect(&admin).await.ok()?;
                        connection.execute(statement.as_str()).await.ok()
                    };
                    let _ = tokio::time::timeout(DROP_LIMIT, work).await;
                });
            }
        });
        let _ = dropper.join();
    }
}

pub(super) fn pool_of(options: &PgConnectOptions, max_connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_LIMIT)
        .connect_lazy_with(options.clone())
}

pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, TestingError> {
    PgConnection::connect_with(options).await.map_err(TestingError::database("connect to the test server"))
}

/// The work is done; how the server takes the goodbye is of no interest.
async fn close(connection: PgConnection) {
    let _ = connection.close().await;
}

pub(super) fn template_name() -> String {
    format!("{TEMPLATE_PREFIX}{}", migration::fingerprint())
}

/// Makes the template unless it is there. It gets its name only when it is complete.
async fn ensure_template(admin: &PgConnectOptions) -> Result<String, TestingError> {
    let template = template_name();
    let mut connection = connect(admin).await?;
    if exists(&mut connection, &template).await? {
        close(connection).await;
        return Ok(template);
    }
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .map_err(TestingError::database("lock the template database"))?;
    if !exists(&mut connection, &template).await? {
        make_template(admin, &mut connection, &template).await?;
    }
    // Ends the session and with it the lock.
    close(connection).await;
    Ok(template)
}

async fn make_template(
    admin: &PgConnectOptions,
    connection: &mut PgConnection,
    template: &str,
) -> Result<(), TestingError> {
    let unfinished = format!("{template}_unfinished");
    let failed = || TestingError::database("make the template database");
    for statement in [
        format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        format!("CREATE DATABASE {unfinished} TEMPLATE template0"),
    ] {
        connection.execute(statement.as_str()).await.map_err(failed())?;
    }
    let mut migrating = connect(&admin.clone().database(&unfinished)).await?;
    let migrated = migration::migrate_through(&mut migrating).await;
    close(migrating).await;
    migrated.map_err(TestingError::Migrate)?;
    for statement in [
        format!("ALTER DATABASE {unfinished} ALLOW_CONNECTIONS false"),
        // A pool that is closed can still hold a connection, and nobody may be in what is renamed.
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{unfinished}'"),
        format!("ALTER DATABASE {unfinished} RENAME TO {template}"),
    ] {
        connection.execute(statement.as_str()).await.map_err(failed())?;
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection, name: &str) -> Result<bool, TestingError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(TestingError::database("look for the template database"))
}
