//! PostgreSQL for a command: the one that is named, else the one of a running `reprise up`, else a private one of its own.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection, PgPool};
use store::embedded::{EmbeddedConfig, EmbeddedPostgres};

use super::running::Running;
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::failure::{Exit, Failure};

/// The oldest PostgreSQL that is used, as `server_version_num`.
const OLDEST: i32 = 140_000;
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

/// A pool of connections, and the private server if this process runs one.
pub struct Database {
    pool: PgPool,
    embedded: Option<EmbeddedPostgres>,
    /// Held while the private server runs.
    data_dir: Option<DataDir>,
}

impl Database {
    /// For a command beside a running `reprise up`, or without one.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        if let Some(url) = &config.database_url {
            return Self::connect(config, url.reveal()).await;
        }
        match DataDir::open(&config.data_dir) {
            Ok(data_dir) => {
                let mut database = Self::start(config, &data_dir).await?;
                database.data_dir = Some(data_dir);
                Ok(database)
            }
            Err(in_use @ DataDirError::InUse { .. }) => {
                let running = Running::find(&config.data_dir).and_then(|running| running.database_url);
                match running {
                    Some(url) => Self::connect(config, &url).await,
                    None => Err(in_use.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// For the process that holds `data_dir`.
    pub async fn open_in(config: &Config, data_dir: &DataDir) -> Result<Self, Failure> {
        match &config.database_url {
            Some(url) => Self::connect(config, url.reveal()).await,
            None => Self::start(config, data_dir).await,
        }
    }

    async fn start(config: &Config, data_dir: &DataDir) -> Result<Self, Failure> {
        let embedded = EmbeddedPostgres::start(EmbeddedConfig {
            bin_dir: config.postgres_bin_dir.clone(),
            ..EmbeddedConfig::new(data_dir.postgres())
        })
        .await?;
        let mut database = Self::connect(config, &embedded.url()).await?;
        database.embedded = Some(embedded);
        Ok(database)
    }

    async fn connect(config: &Config, url: &str) -> Result<Self, Failure> {
        // The parser's error quotes the URL, which can hold a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            Failure::new("CONFIG_INVALID_VALUE", Exit::Config, "the setting database_url is not a URL of PostgreSQL")
                .hint("write postgres://user:password@host:5432/database")
        })?;
        let options = options.application_name("reprise");
        check_server(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(config.database_connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            .connect_lazy_with(options);
        Ok(Self { pool, embedded: None, data_dir: None })
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The URL for other processes of this user; none when the person named the database.
    pub fn private_url(&self) -> Option<String> {
        self.embedded.as_ref().map(EmbeddedPostgres::url)
    }

    /// Waits until the private server has ended without being told to; for ever when there is none.
    pub async fn server_ended(&self) {
        match &self.embedded {
            Some(embedded) => embedded.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Closes the connections, then stops the private server.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded
            && let Err(error) = embedded.stop().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the private PostgreSQL did not stop cleanly");
        }
        // Only now may another process have the folder.
        drop(self.data_dir);
    }
}

fn unreachable(error: sqlx::Error) -> Failure {
    Failure::new("DATABASE_UNREACHABLE", Exit::Unavailable, "PostgreSQL does not let us in")
        .hint("check database_url, and that the server runs and knows the user and the database")
        .caused_by(error)
}

/// A pool would only say that it timed out; one connection says why.
async fn check_server(options: &PgConnectOptions) -> Result<(), Failure> {
    let question = async {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int4").fetch_one(&mut connection).await
    };
    let version: i32 = tokio::time::timeout(ACQUIRE_LIMIT, Box::pin(question))
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(unreachable)?;
    if version >= OLDEST {
        return Ok(());
    }
    let message = format!("this PostgreSQL is version {}; 14 or later is needed", version / 10_000);
    Err(Failure::new("DATABASE_TOO_OLD", Exit::Unavailable, message).hint("upgrade the server, or name another one"))
}
