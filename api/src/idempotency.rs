//! First answers of mutations, by the key that the client chose: repeated, a request is answered and not executed again.
//!
//! The key's row, with the request id that the command will have, is stored before the command. So a repetition after
//! a crash executes under the same request id, and the log answers it with what was appended then.

use std::sync::Arc;
use std::time::Duration;

use domain::entropy::Entropy;
use domain::ids::{RequestId, UserId};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::prelude::FromRow;
use store::vault::{SealedBytes, SecretContext, Vault, VaultError};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::time::Instant;
use uuid::Uuid;

const TABLE: &str = "idempotency_keys";
/// How long an answer is kept at least.
const KEPT_HOURS: i32 = 48;
/// How long the first execution may take before another one takes over.
const BUSY_SECONDS: i32 = 15;
/// How long a repetition waits for the first execution.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Every key. Cheap to clone.
#[derive(Clone)]
pub struct IdempotencyKeys {
    pool: PgPool,
    vault: Vault,
    entropy: Arc<dyn Entropy>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Begun {
    /// Execute it under this request id, and tell what came of it.
    Execute(Execution),
    /// It was executed; this is the answer.
    Answered(Vec<u8>),
    /// The key was used for something else.
    Mismatch,
    /// It is still being executed.
    Busy,
}

/// The right to execute a request.
#[derive(Debug, Clone)]
pub struct Execution {
    pub request_id: RequestId,
    user_id: UserId,
    key: String,
    attempt: Uuid,
}

/// A fault of the table of keys.
#[derive(Debug, Error)]
pub enum IdempotencyError {
    #[error("the idempotency keys are unavailable")]
    Database(#[from] sqlx::Error),
    #[error("an answer cannot be sealed or opened")]
    Vault(#[from] VaultError),
}

#[derive(FromRow)]
struct Row {
    request_id: Uuid,
    fingerprint: Vec<u8>,
    fingerprint_key: String,
    answer: Option<Vec<u8>>,
    answer_key: Option<String>,
    attempt: Uuid,
}

impl IdempotencyKeys {
    #[must_use]
    pub fn new(pool: PgPool, vault: Vault, entropy: Arc<dyn Entropy>) -> Self {
        Self { pool, vault, entropy }
    }

    /// Begins the request of `key`; `input` is the mutation's name and its input. Waits while it is being executed.
    pub async fn begin(&self, user_id: UserId, key: &str, input: &[u8]) -> Result<Begun, IdempotencyError> {
        let fingerprint = Sha256::digest(input);
        let until = Instant::now() + LONGEST_WAIT;
        loop {
            let attempt = self.entropy.uuid();
            let row = self.claim(user_id, key, &fingerprint, attempt).await?;
            let sealed = SealedBytes { key_id: row.fingerprint_key, bytes: row.fingerprint };
            let first = self.vault.open(&context(row.request_id, user_id, "FINGERPRINT"), &sealed)?;
            if !bool::from(first.ct_eq(fingerprint.as_slice())) {
                return Ok(Begun::Mismatch);
            }
            if let (Some(bytes), Some(key_id)) = (row.answer, row.answer_key) {
                let context = context(row.request_id, user_id, "ANSWER");
                return Ok(Begun::Answered(self.vault.open(&context, &SealedBytes { key_id, bytes })?.to_vec()));
            }
            if row.attempt == attempt {
                let request_id = RequestId::from_uuid(row.request_id);
                return Ok(Begun::Execute(Execution { request_id, user_id, key: key.to_owned(), attempt }));
            }
            if Instant::now() >= until {
                return Ok(Begun::Busy);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes the key's row, or takes over its execution when nobody is at it any more. Gives the row as it then is.
    async fn claim(
        &self,
        user_id: UserId,
        key: &str,
        fingerprint: &[u8],
        attempt: Uuid,
    ) -> Result<Row, IdempotencyError> {
        let request_id = self.entropy.uuid();
        let sealed = self.vault.seal(&context(request_id, user_id, "FINGERPRINT"), fingerprint)?;
        let row = sqlx::query_as(
            "INSERT INTO idempotency_keys AS keys
                (user_id, key, request_id, fingerprint, fingerprint_key, attempt, busy_until, created_at)
             SELECT $1, $2, $3, $4, $5, $6, now + make_interval(secs => $7), now
               FROM clock_timestamp() AS now
             ON CONFLICT (user_id, key)
             DO UPDATE SET attempt = CASE WHEN keys.busy_until < clock_timestamp() AND keys.answer IS NULL
                                          THEN EXCLUDED.attempt ELSE keys.attempt END,
                           busy_until = CASE WHEN keys.busy_until < clock_timestamp() AND keys.answer IS NULL
                                             THEN EXCLUDED.busy_until ELSE keys.busy_until END
             RETURNING request_id, fingerprint, fingerprint_key, answer, answer_key, attempt",
        )
        .bind(user_id.uuid())
        .bind(key)
        .bind(request_id)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .bind(attempt)
        .bind(f64::from(BUSY_SECONDS))
        .fetch_one(&self.pool)
        .await?;
        Ok(row)
    }

    /// Keeps the answer. If another took over meanwhile, theirs is the same: the request id is.
    pub async fn finish(&self, execution: &Execution, answer: &[u8]) -> Result<(), IdempotencyError> {
        let context = context(execution.request_id.uuid(), execution.user_id, "ANSWER");
        let sealed = self.vault.seal(&context, answer)?;
        sqlx::query(
            "UPDATE idempotency_keys
                SET answer = $4, answer_key = $5
              WHERE user_id = $1
                AND key = $2
                AND attempt = $3
                AND answer IS NULL",
        )
        .bind(execution.user_id.uuid())
        .bind(&execution.key)
        .bind(execution.attempt)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets a repetition execute at once: this one broke, and what came of it is not known.
    pub async fn give_up(&self, execution: &Execution) -> Result<(), IdempotencyError> {
        sqlx::query(
            "UPDATE idempotency_keys
                SET busy_until = created_at
              WHERE user_id = $1
                AND key = $2
                AND attempt = $3",
        )
        .bind(execution.user_id.uuid())
        .bind(&execution.key)
        .bind(execution.attempt)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets keys that are old enough; says how many.
    pub async fn sweep(&self) -> Result<u64, IdempotencyError> {
        let swept = sqlx::query(
            "DELETE FROM idempotency_keys
              WHERE created_at < clock_timestamp() - make_interval(hours => $1)",
        )
        .bind(KEPT_HOURS)
        .execute(&self.pool)
        .await?;
        Ok(swept.rows_affected())
    }
}

fn context(request_id: Uuid, user_id: UserId, purpose: &'static str) -> SecretContext<'static> {
    SecretContext { table: TABLE, row: request_id, user: user_id, purpose }
}
