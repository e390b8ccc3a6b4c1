//! Password hashes, kept beside the events. An event names its hash by id.

use domain::ids::{CredentialId, UserId};
use sqlx::PgPool;

/// Every password hash. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Credentials {
    pool: PgPool,
}

impl Credentials {
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Keeps a hash, in the place of an earlier one of the same id.
    pub async fn put(&self, id: CredentialId, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO user_credentials (credential_id, user_id, password_hash, created_at)
             VALUES ($1, $2, $3, clock_timestamp())
             ON CONFLICT (credential_id) DO UPDATE SET password_hash = EXCLUDED.password_hash",
        )
        .bind(id.uuid())
        .bind(user.uuid())
        .bind(hash)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The hash of an id, if it is still kept.
    pub async fn hash(&self, id: CredentialId) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT password_hash FROM user_credentials WHERE credential_id = $1")
            .bind(id.uuid())
            .fetch_optional(&self.pool)
            .await
    }

    /// Forgets a hash that was replaced, or whose command was refused.
    pub async fn erase(&self, id: CredentialId) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM user_credentials WHERE credential_id = $1")
            .bind(id.uuid())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
