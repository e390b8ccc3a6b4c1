//! One writing process in small: a pool, a registered writer, a wake-up and a repository.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use store::repository::{EventRepository, PostgresRepository, RepositoryConfig};
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};
use tokio_util::task::TaskTracker;

pub struct Node {
    pub repository: PostgresRepository,
    pub writer: Writer,
    pub wakeup: Wakeup,
}

impl Node {
    pub async fn start(pool: &PgPool) -> Self {
        Self::with_lease(pool, Duration::from_secs(15)).await
    }

    pub async fn with_lease(pool: &PgPool, ttl: Duration) -> Self {
        Self::with(pool, WriterConfig { ttl, ..WriterConfig::named("test") }, &RepositoryConfig::default()).await
    }

    pub async fn with(pool: &PgPool, writer: WriterConfig, config: &RepositoryConfig) -> Self {
        let writer = Writer::register(pool, writer).await.expect("it registers");
        let wakeup = Wakeup::start(pool, &TaskTracker::new());
        let repository = PostgresRepository::start(pool.clone(), writer.clone(), wakeup.clone(), config);
        Self { repository, writer, wakeup }
    }

    pub fn shared(&self) -> Arc<dyn EventRepository> {
        Arc::new(self.repository.clone())
    }
}
