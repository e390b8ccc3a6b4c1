//! Signed-in sessions of browsers and programs: a random token, stored hashed, with an idle and an absolute end.
//!
//! Times are the database's clock: an accelerated engine must not sign people out. What a session may do is fixed
//! when it is opened; whatever changes that (a password, a deactivation) ends every session of the user.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use domain::user::Role;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use sqlx::prelude::FromRow;
use thiserror::Error;
use tokio::sync::broadcast;
use uuid::Uuid;
use zeroize::Zeroizing;

const TOKEN_BYTES: usize = 32;
/// Revocations that a slow listener may fall behind; one that falls behind further asks the database.
const REMEMBERED_REVOCATIONS: usize = 256;

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    pub idle: Duration,
    pub absolute: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(12 * 3_600), absolute: Duration::from_secs(7 * 24 * 3_600) }
    }
}

/// The secret that a client shows; never stored and never logged.
#[derive(Clone)]
pub struct SessionToken(Zeroizing<String>);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(hidden)")
    }
}

impl SessionToken {
    fn try_new() -> Result<Self, SessionError> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(bytes.as_mut()).map_err(SessionError::Random)?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()))))
    }

    /// What a client sent, if it can be a token at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        (bytes.len() == TOKEN_BYTES).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text that goes into the cookie.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub session_id: Uuid,
    pub user_id: UserId,
    pub role: Role,
    /// It may change the password, sign out and see who it is; nothing else.
    pub must_change_password: bool,
    pub expires_at: DateTime<Utc>,
}

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    One(Uuid),
    AllOf(UserId),
}

impl Revoked {
    /// Whether this ends `session`.
    #[must_use]
    pub fn ends(self, session: &Session) -> bool {
        match self {
            Self::One(session_id) => session.session_id == session_id,
            Self::AllOf(user_id) => session.user_id == user_id,
        }
    }
}

/// A fault of the session table.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the sessions are unavailable")]
    Database(#[from] sqlx::Error),
    #[error("the machine gave no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("a session has a role that this version does not know: {role:?}")]
    UnknownRole { role: String },
}

impl SessionError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Database(_) => "UNAVAILABLE",
            Self::Random(_) | Self::UnknownRole { .. } => "INTERNAL",
        }
    }
}

/// A session that is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    pub session_id: Uuid,
    pub user_id: UserId,
    pub role: Role,
    pub must_change_password: bool,
}

/// Every session. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: PgPool,
    limits: SessionLimits,
    revocations: broadcast::Sender<Revoked>,
}

#[derive(FromRow)]
struct Row {
    session_id: Uuid,
    user_id: Uuid,
    role: String,
    must_change_password: bool,
    expires_at: DateTime<Utc>,
    untouched: bool,
}

impl Sessions {
    #[must_use]
    pub fn new(pool: PgPool, limits: SessionLimits) -> Self {
        Self { pool, limits, revocations: broadcast::Sender::new(REMEMBERED_REVOCATIONS) }
    }

    /// Opens a session and gives its token, which is known nowhere else.
    pub async fn open(&self, new: NewSession) -> Result<SessionToken, SessionError> {
        let token = SessionToken::try_new()?;
        sqlx::query(
            "INSERT INTO web_sessions
                (session_id, token_hash, user_id, role, must_change_password, created_at, last_seen_at, expires_at)
             SELECT $1, $2, $3, $4, $5, now, now, now + $6
               FROM clock_timestamp() AS now",
        )
        .bind(new.session_id)
        .bind(token.hash())
        .bind(new.user_id.uuid())
        .bind(new.role.as_str())
        .bind(new.must_change_password)
        .bind(interval(self.limits.absolute))
        .execute(&self.pool)
        .await?;
        Ok(token)
    }

    /// The session of a token, if it stands; it counts as seen now.
    pub async fn find(&self, token: &SessionToken) -> Result<Option<Session>, SessionError> {
        let found: Option<Row> = sqlx::query_as(
            "SELECT session_id, user_id, role, must_change_password, expires_at,
                    last_seen_at < now - interval '1 minute' AS untouched
               FROM web_sessions, clock_timestamp() AS now
              WHERE token_hash = $1
                AND expires_at > now
                AND last_seen_at > now - $2",
        )
        .bind(token.hash())
        .bind(interval(self.limits.idle))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = found else { return Ok(None) };
        if row.untouched {
            sqlx::query("UPDATE web_sessions SET last_seen_at = clock_timestamp() WHERE session_id = $1")
                .bind(row.session_id)
                .execute(&self.pool)
                .await?;
        }
        let Ok(role) = row.role.parse() else { return Err(SessionError::UnknownRole { role: row.role }) };
        Ok(Some(Session {
            session_id: row.session_id,
            user_id: UserId::from_uuid(row.user_id),
            role,
            must_change_password: row.must_change_password,
            expires_at: row.expires_at,
        }))
    }

    /// Whether a session still stands. Asking does not keep it alive.
    pub async fn stands(&self, session_id: Uuid) -> Result<bool, SessionError> {
        let stands = sqlx::query_scalar(
            "SELECT EXISTS (
                 SELECT FROM web_sessions, clock_timestamp() AS now
                  WHERE session_id = $1
                    AND expires_at > now
                    AND last_seen_at > now - $2)",
        )
        .bind(session_id)
        .bind(interval(self.limits.idle))
        .fetch_one(&self.pool)
        .await?;
        Ok(stands)
    }

    /// Ends one session.
    pub async fn close(&self, session_id: Uuid) -> Result<(), SessionError> {
        sqlx::query("DELETE FROM web_sessions WHERE session_id = $1").bind(session_id).execute(&self.pool).await?;
        self.tell(Revoked::One(session_id));
        Ok(())
    }

    /// Ends every session of a user.
    pub async fn close_all(&self, user_id: UserId) -> Result<(), SessionError> {
        sqlx::query("DELETE FROM web_sessions WHERE user_id = $1").bind(user_id.uuid()).execute(&self.pool).await?;
        self.tell(Revoked::AllOf(user_id));
        Ok(())
    }

    /// Deletes sessions that ended by themselves; says how many.
    pub async fn sweep(&self) -> Result<u64, SessionError> {
        let swept = sqlx::query(
            "DELETE FROM web_sessions
              WHERE expires_at < clock_timestamp()
                 OR last_seen_at < clock_timestamp() - $1",
        )
        .bind(interval(self.limits.idle))
        .execute(&self.pool)
        .await?;
        Ok(swept.rows_affected())
    }

    /// Follows the sessions that this process ends. Those that others end show in [`Sessions::stands`].
    #[must_use]
    pub fn revocations(&self) -> broadcast::Receiver<Revoked> {
        self.revocations.subscribe()
    }

    fn tell(&self, revoked: Revoked) {
        // Nobody listening is no fault.
        let _ = self.revocations.send(revoked);
    }
}

fn interval(length: Duration) -> PgInterval {
    let microseconds = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
