//! Secrets at rest: sealed with AES-256-GCM, each bound to the place it is stored at, and stored beside the events.
//!
//! A sealed value opens only with its key, in its table, row, user and purpose. What a secret means, and when it may be
//! erased, is for its users to know.

mod key_file;
mod keyring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{SecretId, UserId};
use sqlx::{PgConnection, PgPool, Row};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use key_file::KeyFileError;
pub use keyring::{Keyring, KeyringError};

use crate::error::StoreError;
use keyring::NONCE_BYTES;

const TABLE: &str = "account_secrets";
/// The first byte of a sealed value: how the rest is laid out.
const FORMAT: u8 = 1;

/// What a stored secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    Password,
    Session,
    VerificationCode,
}

impl Purpose {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "PASSWORD",
            Self::Session => "SESSION",
            Self::VerificationCode => "VERIFICATION_CODE",
        }
    }
}

/// The place that a sealed value belongs to; it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretContext<'a> {
    pub table: &'a str,
    pub row: Uuid,
    pub user: UserId,
    pub purpose: &'a str,
}

/// A sealed value, and the key that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBytes {
    pub key_id: String,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBytes").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Why a secret was not sealed, opened or stored. Says nothing of what is in it.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Other bytes, another place or another key than it was sealed with: which of them cannot be told.
    #[error("a sealed value does not open")]
    Broken,
    #[error("a value was sealed with key `{key_id}`, which is not in the keyring")]
    KeyMissing { key_id: String },
    #[error("a value cannot be sealed")]
    NotSealed,
    #[error("there is another secret under this id")]
    Occupied,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VaultError {
    /// A stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Broken => "VAULT_BROKEN",
            Self::KeyMissing { .. } => "VAULT_KEY_MISSING",
            Self::NotSealed => "VAULT_NOT_SEALED",
            Self::Occupied => "VAULT_OCCUPIED",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<sqlx::Error> for VaultError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Seals and opens, and keeps sealed secrets of accounts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    pool: PgPool,
    keyring: Arc<Keyring>,
}

impl Vault {
    /// The secrets in the database of `pool`, under `keyring`.
    #[must_use]
    pub fn new(pool: PgPool, keyring: Keyring) -> Self {
        Self { pool, keyring: Arc::new(keyring) }
    }

    /// The key that seals.
    #[must_use]
    pub fn active_key_id(&self) -> &str {
        self.keyring.active_id()
    }

    /// Seals a value for one place.
    pub fn seal(&self, context: &SecretContext<'_>, plain: &[u8]) -> Result<SealedBytes, VaultError> {
        seal(&self.keyring, context, plain)
    }

    /// Opens a value that was sealed for this place.
    pub fn open(&self, context: &SecretContext<'_>, sealed: &SealedBytes) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        open(&self.keyring, context, sealed)
    }

    /// Seals and stores a secret under an id that is used for nothing else; returns the id of the key. A repetition is not an error.
    pub async fn put(
        &self,
        secret: SecretId,
        user: UserId,
        purpose: Purpose,
        plain: &[u8],
    ) -> Result<String, VaultError> {
        let sealed = self.seal(&context(secret, user, purpose), plain)?;
        let stored = sqlx::query(
            "INSERT INTO account_secrets (secret_id, user_id, purpose, key_id, sealed)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT ON CONSTRAINT account_secrets_pkey DO NOTHING",
        )
        .bind(secret.uuid())
        .bind(user.uuid())
        .bind(purpose.as_str())
        .bind(&sealed.key_id)
        .bind(&sealed.bytes)
        .execute(&self.pool)
        .await?;
        if stored.rows_affected() == 1 {
            return Ok(sealed.key_id);
        }
        let earlier = self.find(secret, user, purpose).await?.ok_or(VaultError::Occupied)?;
        let same = self.open(&context(secret, user, purpose), &earlier)?.as_slice() == plain;
        if same { Ok(earlier.key_id) } else { Err(VaultError::Occupied) }
    }

    /// A stored secret; `None` when there is none of this user and purpose under the id, or it was erased.
    pub async fn get(
        &self,
        secret: SecretId,
        user: UserId,
        purpose: Purpose,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let sealed = self.find(secret, user, purpose).await?;
        sealed.map(|sealed| self.open(&context(secret, user, purpose), &sealed)).transpose()
    }

    /// Forgets secrets of a user for good; returns how many there were.
    pub async fn erase(&self, user: UserId, secrets: &[SecretId]) -> Result<u64, VaultError> {
        let secrets: Vec<Uuid> = secrets.iter().map(|secret| secret.uuid()).collect();
        let erased = sqlx::query(
            "UPDATE account_secrets
                SET key_id = NULL,
                    sealed = NULL,
                    erased_at = clock_timestamp()
              WHERE user_id = $1
                AND secret_id = ANY ($2)
                AND erased_at IS NULL",
        )
        .bind(user.uuid())
        .bind(secrets)
        .execute(&self.pool)
        .await?;
        Ok(erased.rows_affected())
    }

    /// Forgets all secrets of a user but `kept` ones, and but those younger than `spared`, which may be about to be referred to.
    pub async fn erase_others(&self, user: UserId, kept: &[SecretId], spared: Duration) -> Result<u64, VaultError> {
        let kept: Vec<Uuid> = kept.iter().map(|secret| secret.uuid()).collect();
        let erased = sqlx::query(
            "UPDATE account_secrets
                SET key_id = NULL,
                    sealed = NULL,
                    erased_at = clock_timestamp()
              WHERE user_id = $1
                AND secret_id <> ALL ($2)
                AND erased_at IS NULL
                AND created_at <= clock_timestamp() - make_interval(secs => $3)",
        )
        .bind(user.uuid())
        .bind(kept)
        .bind(spared.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(erased.rows_affected())
    }

    /// Seals up to `limit` secrets anew whose key is not the active one; returns how many. Repeat until it is 0, then the other keys
    /// can go.
    pub async fn rotate(&self, limit: i64) -> Result<u64, VaultError> {
        let mut tx = self.pool.begin().await?;
        let rows = sqlx::query(
            "SELECT secret_id, user_id, purpose, key_id, sealed
               FROM account_secrets
              WHERE erased_at IS NULL
                AND key_id <> $1
              LIMIT $2
                FOR UPDATE SKIP LOCKED",
        )
        .bind(self.active_key_id())
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        let mut rotated = 0;
        for row in &rows {
            let purpose: String = row.try_get("purpose")?;
            let context = SecretContext {
                table: TABLE,
                row: row.try_get("secret_id")?,
                user: UserId::from_uuid(row.try_get("user_id")?),
                purpose: &purpose,
            };
            let sealed = SealedBytes { key_id: row.try_get("key_id")?, bytes: row.try_get("sealed")? };
            let plain = self.open(&context, &sealed)?;
            store_anew(&mut tx, context.row, &self.seal(&context, &plain)?).await?;
            rotated += 1;
        }
        tx.commit().await?;
        Ok(rotated)
    }

    async fn find(&self, secret: SecretId, user: UserId, purpose: Purpose) -> Result<Option<SealedBytes>, VaultError> {
        let row = sqlx::query(
            "SELECT key_id, sealed
               FROM account_secrets
              WHERE secret_id = $1
                AND user_id = $2
                AND purpose = $3
                AND erased_at IS NULL",
        )
        .bind(secret.uuid())
        .bind(user.uuid())
        .bind(purpose.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SealedBytes { key_id: row.try_get("key_id")?, bytes: row.try_get("sealed")? }))
    }
}

async fn store_anew(db: &mut PgConnection, secret: Uuid, sealed: &SealedBytes) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE account_secrets
            SET key_id = $2,
                sealed = $3
          WHERE secret_id = $1",
    )
    .bind(secret)
    .bind(&sealed.key_id)
    .bind(&sealed.bytes)
    .execute(db)
    .await?;
    Ok(())
}

const fn context(secret: SecretId, user: UserId, purpose: Purpose) -> SecretContext<'static> {
    SecretContext { table: TABLE, row: secret.uuid(), user, purpose: purpose.as_str() }
}

/// Laid out as format, nonce, ciphertext, tag. The nonce is random, which is safe for 2^32 values of one key.
fn seal(keyring: &Keyring, context: &SecretContext<'_>, plain: &[u8]) -> Result<SealedBytes, VaultError> {
    let mut nonce = [0_u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| VaultError::NotSealed)?;
    let key_id = keyring.active_id().to_owned();
    // Room for the tag from the start: a buffer that grows would leave plain text behind.
    let mut buffer = Vec::with_capacity(plain.len() + 16);
    buffer.extend_from_slice(plain);
    keyring.encrypt(&nonce, &bound(context, &key_id), &mut buffer).ok_or(VaultError::NotSealed)?;
    let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + buffer.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&buffer);
    Ok(SealedBytes { key_id, bytes })
}

fn open(
    keyring: &Keyring,
    context: &SecretContext<'_>,
    sealed: &SealedBytes,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (format, rest) = sealed.bytes.split_first().ok_or(VaultError::Broken)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Broken)?;
    if *format != FORMAT {
        return Err(VaultError::Broken);
    }
    let mut buffer = Zeroizing::new(rest.to_vec());
    let bound = bound(context, &sealed.key_id);
    match keyring.decrypt(&sealed.key_id, nonce, &bound, &mut buffer) {
        Some(Ok(())) => Ok(buffer),
        Some(Err(_)) => Err(VaultError::Broken),
        None => Err(VaultError::KeyMissing { key_id: sealed.key_id.clone() }),
    }
}

/// What a sealed value is bound to. Lengths are written, so that no two places look the same.
fn bound(context: &SecretContext<'_>, key_id: &str) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    let row = context.row.as_bytes();
    let user = context.user.uuid();
    for part in [context.table.as_bytes(), row, user.as_bytes(), context.purpose.as_bytes(), key_id.as_bytes()] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
