//! `users`: who may sign in. Password hashes are not here; `credential_id` names one.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::ids::{CredentialId, UserId};
use domain::user::{Role, UserEvent};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `users`.
#[derive(Debug, Clone, Copy)]
pub struct Users;

/// A person with a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub user_id: UserId,
    pub username: String,
    pub role: Role,
    pub active: bool,
    pub must_change_password: bool,
    pub credential_id: CredentialId,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[async_trait]
impl Projection for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["users"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["User"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::User(user_id, change) = &event.event else { return Ok(()) };
        let at = event.stored.recorded_at;
        match change {
            UserEvent::UserRegistered { username, role, credential_id, must_change_password, .. } => {
                sqlx::query(
                    "INSERT INTO users (user_id, username, role, active, must_change_password, credential_id,
                                        created_at, updated_at)
                     VALUES ($1, $2, $3, true, $4, $5, $6, $6)",
                )
                .bind(user_id.uuid())
                .bind(username)
                .bind(role.as_str())
                .bind(must_change_password)
                .bind(credential_id.uuid())
                .bind(at)
                .execute(db)
                .await?;
                Ok(())
            }
            UserEvent::PasswordChanged { credential_id, must_change_password, .. } => {
                let done = sqlx::query(
                    "UPDATE users
                        SET credential_id = $2, must_change_password = $3, updated_at = $4
                      WHERE user_id = $1",
                )
                .bind(user_id.uuid())
                .bind(credential_id.uuid())
                .bind(must_change_password)
                .bind(at)
                .execute(db)
                .await?;
                columns::one_row(&done, "users", user_id)
            }
            UserEvent::UserDeactivated { .. } => {
                let done = sqlx::query("UPDATE users SET active = false, updated_at = $2 WHERE user_id = $1")
                    .bind(user_id.uuid())
                    .bind(at)
                    .execute(db)
                    .await?;
                columns::one_row(&done, "users", user_id)
            }
        }
    }
}

impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: columns::id(row, "user_id", UserId::from_uuid)?,
            username: row.try_get("username")?,
            role: columns::name(row, "role")?,
            active: row.try_get("active")?,
            must_change_password: row.try_get("must_change_password")?,
            credential_id: columns::id(row, "credential_id", CredentialId::from_uuid)?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

const COLUMNS: &str = "user_id, username, role, active, must_change_password, credential_id, created_at, updated_at";

/// The user of an id.
pub async fn by_id(db: impl PgExecutor<'_>, user_id: UserId) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM users WHERE user_id = $1"))
        .bind(user_id.uuid())
        .fetch_optional(db)
        .await
}

/// The users of many ids, in no order.
pub async fn by_ids(db: impl PgExecutor<'_>, user_ids: &[UserId]) -> Result<Vec<User>, sqlx::Error> {
    let ids: Vec<_> = user_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM users WHERE user_id = ANY ($1)")).bind(ids).fetch_all(db).await
}

/// The user of a login name in its stored form.
pub async fn by_username(db: impl PgExecutor<'_>, username: &str) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM users WHERE username = $1")).bind(username).fetch_optional(db).await
}

/// All users by their login names.
pub async fn list(db: impl PgExecutor<'_>, page: &PageRequest<String>) -> Result<Page<User>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "SELECT {COLUMNS}
           FROM users
          WHERE ($1::text IS NULL OR username {beyond} $1)
          ORDER BY username {order}
          LIMIT $2"
    );
    let rows = sqlx::query_as(&sql).bind(page.after.as_deref()).bind(page.fetched()).fetch_all(db).await?;
    Ok(page.page(rows))
}

/// How many users there are.
pub async fn count(db: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(db).await
}
