//! Forgetting what was settled long ago. What the commands led to are events, which stay.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::{CommandQueue, QueueError};

impl CommandQueue {
    /// Deletes at most `most` commands that were done or cancelled longer ago than `retention`, by the database's clock;
    /// says how many. Dead ones stay until a person has dealt with them. Any number of processes may do so at once.
    ///
    /// The key of a forgotten command is free again: `retention` must be longer than anything that may ask twice.
    pub async fn forget_settled(&self, retention: Duration, most: i64) -> Result<u64, QueueError> {
        let retention =
            PgInterval { months: 0, days: 0, microseconds: i64::try_from(retention.as_micros()).unwrap_or(i64::MAX) };
        let forgotten = sqlx::query(
            "DELETE FROM commands
              WHERE command_id IN (
                    SELECT command_id
                      FROM commands
                     WHERE status IN ('DONE', 'CANCELLED')
                       AND settled_at < clock_timestamp() - $1
                     ORDER BY settled_at
                     LIMIT $2
                       FOR UPDATE SKIP LOCKED)",
        )
        .bind(retention)
        .bind(most)
        .execute(&self.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }
}
