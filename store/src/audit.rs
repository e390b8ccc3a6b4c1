//! Recomputes the hashes of stored batches and names the first one that is not what was committed.
//!
//! It finds changed, missing, added and moved rows. It cannot find a log that was rewritten with all
//! its hashes; for that a chain hash has to be kept somewhere else, and compared.

use sqlx::{FromRow, PgPool};

use crate::error::StoreError;
use crate::event::RawEvent;
use crate::merkle::{self, EMPTY_CHAIN, Hash, Leaf};
use crate::repository::{EventRepository, MAX_EVENTS_OF_A_REQUEST};

/// A log that is what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub batches: u64,
    pub events: u64,
    /// The last position.
    pub head: i64,
    /// The chain hash at the head.
    pub chain_hash: Hash,
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The first bad batch.
    #[error("the batch of positions {first_position} to {last_position} of shard {shard}: {reason}")]
    BadBatch { shard: i32, first_position: i64, last_position: i64, reason: &'static str },
    /// All batches are good, and are not all that was committed.
    #[error("the log of shard {shard} ends at {found}, and its head is at {head}")]
    WrongHead { shard: i32, found: i64, head: i64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuditError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadBatch { .. } => "AUDIT_BAD_BATCH",
            Self::WrongHead { .. } => "AUDIT_WRONG_HEAD",
            Self::Store(error) => error.code(),
        }
    }
}

#[derive(FromRow)]
struct Batch {
    first_position: i64,
    last_position: i64,
    merkle_root: Vec<u8>,
    chain_hash: Vec<u8>,
}

const PAGE: i64 = 1_000;

/// Verifies the whole log of `shard`, telling `progress` how far it is.
pub async fn verify(
    pool: &PgPool,
    repository: &dyn EventRepository,
    shard: i32,
    mut progress: impl FnMut(i64),
) -> Result<Verified, AuditError> {
    let head: (i64, Vec<u8>) = sqlx::query_as("SELECT head, chain_hash FROM shards WHERE shard = $1")
        .bind(shard)
        .fetch_one(pool)
        .await
        .map_err(StoreError::from)?;
    let mut verified = Verified { batches: 0, events: 0, head: 0, chain_hash: EMPTY_CHAIN };
    loop {
        let batches = batches_after(pool, shard, verified.head, head.0).await?;
        if batches.is_empty() {
            break;
        }
        for batch in batches {
            verify_batch(repository, shard, &batch, &mut verified).await?;
            progress(verified.head);
        }
    }
    let beyond = repository.raw_read(shard, head.0, 1).await?;
    let now = repository.head(shard).await?;
    let is_too_long = now == head.0 && !beyond.is_empty();
    if verified.head != head.0 || verified.chain_hash[..] != head.1 || is_too_long {
        return Err(AuditError::WrongHead { shard, found: verified.head, head: head.0 });
    }
    Ok(verified)
}

async fn batches_after(pool: &PgPool, shard: i32, after: i64, until: i64) -> Result<Vec<Batch>, StoreError> {
    let batches = sqlx::query_as(
        "SELECT first_position, last_position, merkle_root, chain_hash
           FROM batches
          WHERE shard = $1
            AND first_position > $2
            AND first_position <= $3
          ORDER BY first_position
          LIMIT $4",
    )
    .bind(shard)
    .bind(after)
    .bind(until)
    .bind(PAGE)
    .fetch_all(pool)
    .await?;
    Ok(batches)
}

async fn verify_batch(
    repository: &dyn EventRepository,
    shard: i32,
    batch: &Batch,
    verified: &mut Verified,
) -> Result<(), AuditError> {
    let Batch { first_position, last_position, .. } = *batch;
    let bad = |reason| AuditError::BadBatch { shard, first_position, last_position, reason };
    if first_position != verified.head + 1 {
        return Err(bad("a batch before it is missing"));
    }
    let events = events_of(repository, shard, first_position, last_position).await?;
    let positions = events.iter().map(|event| event.position);
    if !positions.eq(first_position..=last_position) {
        return Err(bad("an event of it is missing"));
    }
    let root = merkle::root(events.iter().map(|event| Leaf::from(event).hash()).collect());
    if root[..] != batch.merkle_root {
        return Err(bad("an event of it is not what was committed"));
    }
    let chain_hash = merkle::link(&verified.chain_hash, shard, first_position, last_position, &root);
    if chain_hash[..] != batch.chain_hash {
        return Err(bad("it does not continue the batch before it"));
    }
    verified.batches += 1;
    verified.events += events.len() as u64;
    verified.head = last_position;
    verified.chain_hash = chain_hash;
    Ok(())
}

async fn events_of(
    repository: &dyn EventRepository,
    shard: i32,
    first: i64,
    last: i64,
) -> Result<Vec<RawEvent>, StoreError> {
    let page = i64::try_from(MAX_EVENTS_OF_A_REQUEST).unwrap_or(i64::MAX);
    let mut events: Vec<RawEvent> = Vec::new();
    loop {
        let after = events.last().map_or(first - 1, |event| event.position);
        let limit = page.min(last - after);
        if limit <= 0 {
            return Ok(events);
        }
        let more = repository.raw_read(shard, after, limit).await?;
        if more.is_empty() {
            return Ok(events);
        }
        events.extend(more.into_iter().filter(|event| event.position <= last));
        if events.last().is_none_or(|event| event.position == after) {
            return Ok(events);
        }
    }
}
