//! A PostgreSQL for measuring: durable as in production, with nothing else on it, and gone afterwards.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use sqlx::PgPool;

use crate::bootstrap::database::Database;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Connections for every contender and their clients.
const CONNECTIONS: u32 = 150;

/// The server and its folder.
pub struct Workbench {
    database: Database,
    folder: Option<PathBuf>,
}

impl Workbench {
    /// A private server in the data folder, as that is the disk that counts; or the database that was named, if it is empty.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let mut config = config.clone();
        config.database_connections = CONNECTIONS;
        let mut folder = None;
        if config.database_url.is_none() {
            make(&config.data_dir)?;
            config.data_dir.push(format!("bench-{}", std::process::id()));
            folder = Some(config.data_dir.clone());
        }
        let database = Database::open(&config).await?;
        let workbench = Self { database, folder };
        if let Err(failure) = workbench.prepare().await {
            workbench.close().await;
            return Err(failure);
        }
        Ok(workbench)
    }

    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// The URL of a private server, for other programs.
    pub fn private_url(&self) -> Option<String> {
        self.database.private_url()
    }

    async fn prepare(&self) -> Result<(), Failure> {
        store::migrate(self.pool()).await?;
        let used: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM events)").fetch_one(self.pool()).await.map_err(failed)?;
        if used {
            let message = "the named database holds events, and measuring would add to them";
            return Err(Failure::new("BENCH_DATABASE_IN_USE", Exit::Data, message)
                .hint("name an empty database, or none: then a private one is made"));
        }
        Ok(())
    }

    pub async fn close(self) {
        self.database.close().await;
        if let Some(folder) = self.folder {
            // What cannot be removed is a folder that nothing uses.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn make(folder: &std::path::Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(|error| {
        Failure::new("DATA_DIR_UNWRITABLE", Exit::CannotCreate, format!("{} cannot be made", folder.display()))
            .hint("name another folder with --data-dir")
            .caused_by(error)
    })
}

/// A statement of the measurement itself that failed.
pub fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new("BENCH_FAILED", Exit::Software, "the measurement failed").hint("see the cause").caused_by(error)
}
