//! Brings a database to the newest schema. The migrations are embedded in the binary; it never
//! goes back a version.

use sqlx::PgPool;

use crate::error::StoreError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Runs every migration that the database does not have yet. Processes that start together wait
/// for each other.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await.map_err(StoreError::Migration)
}
