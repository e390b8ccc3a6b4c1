//! Names that only one user may have: user names and linked Instagram accounts.
//!
//! A claim is made before the command that needs it and given back when the command is refused. A process that died
//! in between leaves a claim that nothing stands behind; the caller says so, and the claim is taken over.

use domain::ids::UserId;
use sqlx::PgPool;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

/// What is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimKind {
    Username,
    InstagramAccount,
    /// There is one first administrator in the life of a database.
    FirstAdmin,
}

impl ClaimKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "USERNAME",
            Self::InstagramAccount => "INSTAGRAM_ACCOUNT",
            Self::FirstAdmin => "FIRST_ADMIN",
        }
    }
}

/// A claim as it stands. The stamp changes whenever it is made or renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub owner: UserId,
    stamp: DateTime<Utc>,
}

/// What became of an attempt to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours. `new` unless it was before.
    Ours { claim: Claim, new: bool },
    /// It is somebody else's. `settled` when it is older than any command in flight.
    Foreign { claim: Claim, settled: bool },
}

/// Every claim. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Claims {
    pool: PgPool,
}

impl Claims {
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Claims `value` for `owner`, or tells whose it is.
    pub async fn claim(&self, kind: ClaimKind, value: &str, owner: UserId) -> Result<Claimed, sqlx::Error> {
        // The second round is for a claim that was given back between the two statements.
        for _ in 0..3 {
            if let Some(ours) = self.insert_or_renew(kind, value, owner).await? {
                return Ok(ours);
            }
            if let Some((claim, settled)) = self.read(kind, value).await? {
                return Ok(Claimed::Foreign { claim, settled });
            }
        }
        Err(sqlx::Error::Protocol("a claim changes too often to be read".to_owned()))
    }

    async fn insert_or_renew(
        &self,
        kind: ClaimKind,
        value: &str,
        owner: UserId,
    ) -> Result<Option<Claimed>, sqlx::Error> {
        let row: Option<(DateTime<Utc>, bool)> = sqlx::query_as(
            "INSERT INTO identity_claims AS claims (kind, value, owner, claimed_at)
             VALUES ($1, $2, $3, clock_timestamp())
             ON CONFLICT (kind, value)
             DO UPDATE SET claimed_at = clock_timestamp()
                     WHERE claims.owner = $3
             RETURNING claimed_at, xmax = 0",
        )
        .bind(kind.as_str())
        .bind(value)
        .bind(owner.uuid())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(stamp, new)| Claimed::Ours { claim: Claim { owner, stamp }, new }))
    }

    async fn read(&self, kind: ClaimKind, value: &str) -> Result<Option<(Claim, bool)>, sqlx::Error> {
        let row: Option<(Uuid, DateTime<Utc>, bool)> = sqlx::query_as(
            "SELECT owner, claimed_at, claimed_at < clock_timestamp() - interval '1 minute'
               FROM identity_claims
              WHERE kind = $1
                AND value = $2",
        )
        .bind(kind.as_str())
        .bind(value)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(owner, stamp, settled)| (Claim { owner: UserId::from_uuid(owner), stamp }, settled)))
    }

    /// Who claimed `value`.
    pub async fn find(&self, kind: ClaimKind, value: &str) -> Result<Option<Claim>, sqlx::Error> {
        Ok(self.read(kind, value).await?.map(|(claim, _)| claim))
    }

    /// Whether anything of `kind` is claimed.
    pub async fn any(&self, kind: ClaimKind) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM identity_claims WHERE kind = $1)")
            .bind(kind.as_str())
            .fetch_one(&self.pool)
            .await
    }

    /// Gives a claim back, unless it was renewed since.
    pub async fn release(&self, kind: ClaimKind, value: &str, claim: &Claim) -> Result<(), sqlx::Error> {
        sqlx::query(
            "DELETE FROM identity_claims
              WHERE kind = $1
                AND value = $2
                AND owner = $3
                AND claimed_at = $4",
        )
        .bind(kind.as_str())
        .bind(value)
        .bind(claim.owner.uuid())
        .bind(claim.stamp)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
