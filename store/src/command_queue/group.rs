//! Commands that belong together, such as the actions of a run: how far they are, and what is done to all that wait.
//!
//! Always those of one kind: what ends a run belongs to the run too, and must not be stopped with its actions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use super::{CommandQueue, QueueError};

/// The commands of one kind in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Siblings<'a> {
    pub group_key: Uuid,
    pub kind: &'a str,
}

/// How far the commands of a group are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Not settled yet.
    pub open: i64,
    /// When the first of those that wait is due, by the engine's time.
    pub next_due: Option<DateTime<Utc>>,
    /// Why some will not be done, one of the reasons.
    pub withdrawn: Option<String>,
}

impl CommandQueue {
    /// How far they are.
    pub async fn progress(&self, siblings: Siblings<'_>) -> Result<Progress, QueueError> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE status IN ('PENDING', 'RUNNING', 'HELD')) AS open,
                    min(not_before) FILTER (WHERE status = 'PENDING') AS next_due,
                    min(reason) FILTER (WHERE status = 'CANCELLED') AS withdrawn
               FROM commands
              WHERE group_key = $1
                AND kind = $2",
        )
        .bind(siblings.group_key)
        .bind(siblings.kind)
        .fetch_one(&self.pool)
        .await?;
        Ok(Progress {
            open: row.try_get("open")?,
            next_due: row.try_get("next_due")?,
            withdrawn: row.try_get("withdrawn")?,
        })
    }

    /// The results of those that were done last, the latest first.
    pub async fn latest_results(&self, siblings: Siblings<'_>, limit: i64) -> Result<Vec<Value>, QueueError> {
        let results = sqlx::query_scalar(
            "SELECT result
               FROM commands
              WHERE group_key = $1
                AND kind = $2
                AND status = 'DONE'
                AND result IS NOT NULL
              ORDER BY settled_at DESC, command_id DESC
              LIMIT $3",
        )
        .bind(siblings.group_key)
        .bind(siblings.kind)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(results)
    }

    /// None of those that wait before `until`: they have the reason to wait of one that was tried. Returns how many.
    pub async fn defer(&self, siblings: Siblings<'_>, until: DateTime<Utc>) -> Result<u64, QueueError> {
        let deferred = sqlx::query(
            "UPDATE commands
                SET not_before = $3
              WHERE group_key = $1
                AND kind = $2
                AND status = 'PENDING'
                AND not_before < $3",
        )
        .bind(siblings.group_key)
        .bind(siblings.kind)
        .bind(until)
        .execute(&self.pool)
        .await?;
        Ok(deferred.rows_affected())
    }

    /// None of those that wait shall be done, for `reason`. What runs goes on. Returns how many.
    pub async fn withdraw_waiting(&self, siblings: Siblings<'_>, reason: &str) -> Result<u64, QueueError> {
        let withdrawn = sqlx::query(
            "UPDATE commands
                SET status = 'CANCELLED',
                    cancel_requested = true,
                    reason_code = 'COMMAND_CANCELLED',
                    reason = $3,
                    settled_at = clock_timestamp()
              WHERE group_key = $1
                AND kind = $2
                AND status IN ('PENDING', 'HELD')",
        )
        .bind(siblings.group_key)
        .bind(siblings.kind)
        .bind(reason)
        .execute(&self.pool)
        .await?;
        Ok(withdrawn.rows_affected())
    }
}
