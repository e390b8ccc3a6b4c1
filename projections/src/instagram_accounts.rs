//! `instagram_accounts`: the account that a user linked. Password and session are sealed elsewhere; their ids are here.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::any_event::AnyEvent;
use domain::bot::BotEvent;
use domain::ids::{AccountId, SecretId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};
use uuid::Uuid;

use crate::columns;
use crate::error::ProjectionError;
use crate::projection::{LogEvent, Projection};

/// The projection of `instagram_accounts`.
#[derive(Debug, Clone, Copy)]
pub struct InstagramAccounts;

/// A linked account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstagramAccount {
    pub account_id: AccountId,
    pub user_id: UserId,
    pub username: String,
    pub zone: Tz,
    /// The platform's own key, known from the first login on.
    pub platform_pk: Option<String>,
    pub password: SecretId,
    /// The session that is in use.
    pub session: Option<SecretId>,
    pub session_key_id: Option<String>,
    pub session_expires_at: Option<DateTime<Utc>>,
    pub linked_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[async_trait]
impl Projection for InstagramAccounts {
    fn name(&self) -> &'static str {
        "instagram_accounts"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["instagram_accounts"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Bot(bot_id, change) = &event.event else { return Ok(()) };
        let user_id = bot_id.owner();
        let at = event.stored.recorded_at;
        match change {
            BotEvent::AccountLinked { account_id, username, zone, password, .. } => {
                link(db, user_id, *account_id, username, *zone, *password, at).await
            }
            BotEvent::AccountUnlinked { .. } => {
                let done = sqlx::query("DELETE FROM instagram_accounts WHERE user_id = $1")
                    .bind(user_id.uuid())
                    .execute(db)
                    .await?;
                columns::one_row(&done, "instagram_accounts", user_id)
            }
            BotEvent::LoginSucceeded { platform_pk, session, key_id, session_expires_at, .. } => {
                let done = sqlx::query(
                    "UPDATE instagram_accounts
                        SET platform_pk = $2, session_secret_id = $3, session_key_id = $4, session_expires_at = $5,
                            updated_at = $6
                      WHERE user_id = $1",
                )
                .bind(user_id.uuid())
                .bind(columns::text(platform_pk))
                .bind(session.uuid())
                .bind(columns::text(key_id))
                .bind(session_expires_at)
                .bind(at)
                .execute(db)
                .await?;
                columns::one_row(&done, "instagram_accounts", user_id)
            }
            BotEvent::ChallengeRaised { .. }
            | BotEvent::SessionExpired { .. }
            | BotEvent::LoggedOut { .. }
            | BotEvent::BotFailed { .. } => forget_session(db, user_id.uuid(), at).await,
            _ => Ok(()),
        }
    }
}

/// Linking the same account again replaces its password and keeps the rest.
async fn link(
    db: &mut PgConnection,
    user_id: UserId,
    account_id: AccountId,
    username: &str,
    zone: Tz,
    password: SecretId,
    at: DateTime<Utc>,
) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO instagram_accounts (account_id, user_id, username, zone, password_secret_id, linked_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (account_id) DO UPDATE
            SET username = excluded.username,
                zone = excluded.zone,
                password_secret_id = excluded.password_secret_id,
                updated_at = excluded.updated_at",
    )
    .bind(account_id.uuid())
    .bind(user_id.uuid())
    .bind(username)
    .bind(zone.name())
    .bind(password.uuid())
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

/// A bot may be logged out with no account and no session; then there is nothing to forget.
async fn forget_session(db: &mut PgConnection, user_id: Uuid, at: DateTime<Utc>) -> Result<(), ProjectionError> {
    sqlx::query(
        "UPDATE instagram_accounts
            SET session_secret_id = NULL, session_key_id = NULL, session_expires_at = NULL, updated_at = $2
          WHERE user_id = $1
            AND session_secret_id IS NOT NULL",
    )
    .bind(user_id)
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

impl FromRow<'_, PgRow> for InstagramAccount {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            account_id: columns::id(row, "account_id", AccountId::from_uuid)?,
            user_id: columns::id(row, "user_id", UserId::from_uuid)?,
            username: row.try_get("username")?,
            zone: columns::name(row, "zone")?,
            platform_pk: row.try_get("platform_pk")?,
            password: columns::id(row, "password_secret_id", SecretId::from_uuid)?,
            session: columns::optional_id(row, "session_secret_id", SecretId::from_uuid)?,
            session_key_id: row.try_get("session_key_id")?,
            session_expires_at: row.try_get("session_expires_at")?,
            linked_at: row.try_get("linked_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

const COLUMNS: &str = "account_id, user_id, username, zone, platform_pk, password_secret_id, session_secret_id,
                       session_key_id, session_expires_at, linked_at, updated_at";

/// The account of a user, if one is linked.
pub async fn of_user(db: impl PgExecutor<'_>, user_id: UserId) -> Result<Option<InstagramAccount>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM instagram_accounts WHERE user_id = $1"))
        .bind(user_id.uuid())
        .fetch_optional(db)
        .await
}

/// The accounts of many users, in no order.
pub async fn of_users(db: impl PgExecutor<'_>, user_ids: &[UserId]) -> Result<Vec<InstagramAccount>, sqlx::Error> {
    let ids: Vec<_> = user_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM instagram_accounts WHERE user_id = ANY ($1)"))
        .bind(ids)
        .fetch_all(db)
        .await
}
