//! Brings a database to the newest schema. The migrations are embedded in the binary; it never
//! goes back a version.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use crate::error::StoreError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Runs every migration that the database does not have yet. Processes that start together wait
/// for each other.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await.map_err(|error| StoreError::Migration(Arc::new(error)))
}

/// The same through one connection, which its owner can close for sure: a closed pool may still hold one.
pub(crate) async fn migrate_through(connection: &mut PgConnection) -> Result<(), StoreError> {
    MIGRATIONS.run(connection).await.map_err(|error| StoreError::Migration(Arc::new(error)))
}

/// Names the schema that the migrations make: it differs as soon as one of them does.
pub(crate) fn fingerprint() -> String {
    let mut digest = Sha256::new();
    for migration in MIGRATIONS.iter() {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    hex::encode(&digest.finalize()[..8])
}
