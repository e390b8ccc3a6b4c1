//! The durable command stream: what is to be done for a bot, stored until it is done or given up with a reason.
//!
//! Workers claim commands in batches, never two of one bot at a time, and settle what they claimed; a settlement counts
//! only under its own claim. What a command means, and when a failed one is tried again, is the workers' business. `not_before`
//! is the engine's time, given by the caller, and is never compared with the database's.

mod claim;
mod forget;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::{self, BotId};
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row};
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

pub use claim::{Claim, ClaimedCommand, Recovered};
pub use settle::{CancelScope, Cancelled};

use crate::error::StoreError;

/// A command to store. It holds no secrets, only ids of sealed ones.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommand {
    pub id: Uuid,
    pub bot_id: BotId,
    /// What is to be done, by a name that the workers know.
    pub kind: String,
    pub payload: Value,
    /// A second command with the same key is the first one.
    pub dedupe_key: Option<String>,
    /// What can be cancelled together, such as a run.
    pub group_key: Option<Uuid>,
    /// The lower, the sooner.
    pub priority: i16,
    /// The engine's time.
    pub not_before: DateTime<Utc>,
    /// Failures that count before it is dead; at least 1.
    pub max_attempts: i32,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    /// In the text form of `domain::metadata::Actor`.
    pub actor: String,
}

/// Where a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandStatus {
    /// Waits for its time and for a worker.
    Pending,
    /// A worker has it.
    Running,
    Done,
    /// Given up, with the reason; a person can queue it again.
    Dead,
    Cancelled,
}

impl CommandStatus {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Done => "DONE",
            Self::Dead => "DEAD",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandStatus {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        [Self::Pending, Self::Running, Self::Done, Self::Dead, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| QueueError::Unreadable { column: "status" })
    }
}

/// What became of one enqueued command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The stored command: the given one, or the earlier one with the same id or key.
    pub id: Uuid,
    /// Whether it was stored by this call.
    pub is_new: bool,
}

/// A stored command, for people to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCommand {
    pub id: Uuid,
    pub bot_id: BotId,
    pub kind: String,
    pub payload: Value,
    pub status: CommandStatus,
    pub attempt: i32,
    pub max_attempts: i32,
    pub recoveries: i32,
    /// The engine's time.
    pub not_before: DateTime<Utc>,
    pub reason_code: Option<String>,
    pub reason: Option<String>,
    pub result: Option<Value>,
    pub correlation_id: Uuid,
    /// The database's time.
    pub created_at: DateTime<Utc>,
    /// The database's time.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Why the queue did not do what was asked.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The command was settled, cancelled, recovered or claimed again meanwhile. What its holder did is not recorded here.
    #[error("command {id} is not held by this claim any more")]
    ClaimLost { id: Uuid },
    #[error("there is no command {id}")]
    NotFound { id: Uuid },
    #[error("command {id} is {status}, not DEAD")]
    NotDead { id: Uuid, status: CommandStatus },
    #[error("command {id} is not valid: {reason}")]
    Invalid { id: Uuid, reason: &'static str },
    #[error("column {column} of a stored command does not read")]
    Unreadable { column: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueueError {
    /// A stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClaimLost { .. } => "COMMAND_CLAIM_LOST",
            Self::NotFound { .. } => "COMMAND_NOT_FOUND",
            Self::NotDead { .. } => "COMMAND_NOT_DEAD",
            Self::Invalid { .. } => "COMMAND_INVALID",
            Self::Unreadable { .. } => "COMMAND_UNREADABLE",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The table `commands`, and the signal that there is something new in it. Clones share the signal.
#[derive(Debug, Clone)]
pub struct CommandQueue {
    pool: PgPool,
    wake: watch::Sender<()>,
}

impl CommandQueue {
    /// The queue in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, wake: watch::Sender::new(()) }
    }

    /// Stores commands, all or none, and wakes the workers of this process. The answers are in the order of the commands.
    pub async fn enqueue(&self, commands: &[NewCommand]) -> Result<Vec<Enqueued>, QueueError> {
        let mut tx = self.pool.begin().await?;
        let enqueued = Self::enqueue_in(&mut tx, commands).await?;
        tx.commit().await?;
        self.wake();
        Ok(enqueued)
    }

    /// Stores commands in the caller's transaction. Whoever commits it calls [`Self::wake`] afterwards.
    pub async fn enqueue_in(db: &mut PgConnection, commands: &[NewCommand]) -> Result<Vec<Enqueued>, QueueError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        validate(commands)?;
        let mut stored = insert(db, commands).await?;
        let mut enqueued = Vec::with_capacity(commands.len());
        for command in commands {
            let is_new = stored.remove(&command.id);
            let id = if is_new { command.id } else { find_earlier(db, command).await? };
            enqueued.push(Enqueued { id, is_new });
        }
        Ok(enqueued)
    }

    /// Tells the workers of this process that there may be something to claim.
    pub fn wake(&self) {
        self.wake.send_replace(());
    }

    /// A worker's own ear for [`Self::wake`]; it misses nothing that came after this call.
    #[must_use]
    pub fn wake_signal(&self) -> WakeSignal {
        WakeSignal { receiver: self.wake.subscribe() }
    }

    /// One command.
    pub async fn find(&self, id: Uuid) -> Result<Option<StoredCommand>, QueueError> {
        let row = sqlx::query(
            "SELECT command_id, bot_id, kind, payload, status, attempt, max_attempts, recoveries, not_before,
                    reason_code, reason, result, correlation_id, created_at, settled_at
               FROM commands
              WHERE command_id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| read_stored(&row)).transpose()
    }

    /// The dead commands, the latest first.
    pub async fn dead(&self, limit: i64) -> Result<Vec<StoredCommand>, QueueError> {
        let rows = sqlx::query(
            "SELECT command_id, bot_id, kind, payload, status, attempt, max_attempts, recoveries, not_before,
                    reason_code, reason, result, correlation_id, created_at, settled_at
               FROM commands
              WHERE status = 'DEAD'
              ORDER BY settled_at DESC
              LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_stored).collect()
    }

    /// How many commands there are in each status that has any. Reads the whole table.
    pub async fn counts(&self) -> Result<Vec<(CommandStatus, i64)>, QueueError> {
        let rows = sqlx::query("SELECT status, count(*) AS commands FROM commands GROUP BY status")
            .fetch_all(&self.pool)
            .await?;
        let mut counts = Vec::with_capacity(rows.len());
        for row in rows {
            let status: String = row.try_get("status")?;
            counts.push((status.parse()?, row.try_get("commands")?));
        }
        counts.sort_unstable();
        Ok(counts)
    }

    /// The command of a group and kind that was stored last.
    pub async fn latest_in_group(&self, group_key: Uuid, kind: &str) -> Result<Option<StoredCommand>, QueueError> {
        let row = sqlx::query(
            "SELECT command_id, bot_id, kind, payload, status, attempt, max_attempts, recoveries, not_before,
                    reason_code, reason, result, correlation_id, created_at, settled_at
               FROM commands
              WHERE group_key = $1
                AND kind = $2
              ORDER BY created_at DESC
              LIMIT 1",
        )
        .bind(group_key)
        .bind(kind)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| read_stored(&row)).transpose()
    }

    /// How many commands of a group are not settled.
    pub async fn open_in_group(&self, group_key: Uuid) -> Result<i64, QueueError> {
        let open = sqlx::query_scalar(
            "SELECT count(*)
               FROM commands
              WHERE group_key = $1
                AND status IN ('PENDING', 'RUNNING')",
        )
        .bind(group_key)
        .fetch_one(&self.pool)
        .await?;
        Ok(open)
    }
}

/// Wakes one worker.
#[derive(Debug, Clone)]
pub struct WakeSignal {
    receiver: watch::Receiver<()>,
}

impl WakeSignal {
    /// Waits for a wake that came since the last call, and no longer than `at_most`: commands of other processes, and those whose
    /// time comes, are found by looking.
    pub async fn wait(&mut self, at_most: Duration) {
        // Both the end of the time and the end of the queue mean: look now.
        let _ = tokio::time::timeout(at_most, self.receiver.changed()).await;
    }
}

fn validate(commands: &[NewCommand]) -> Result<(), QueueError> {
    for command in commands {
        let invalid = |reason| Err(QueueError::Invalid { id: command.id, reason });
        if command.kind.is_empty() {
            return invalid("it has no kind");
        }
        if command.max_attempts < 1 {
            return invalid("it allows no attempt");
        }
        let texts = [Some(&command.kind), command.dedupe_key.as_ref(), Some(&command.actor)];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return invalid("a text has a zero character");
        }
    }
    Ok(())
}

/// Stores what is not there yet and returns the ids of it.
async fn insert(db: &mut PgConnection, commands: &[NewCommand]) -> Result<HashSet<Uuid>, QueueError> {
    fn column<'a, T>(commands: &'a [NewCommand], value: impl Fn(&'a NewCommand) -> T) -> Vec<T> {
        commands.iter().map(value).collect()
    }
    let stored: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO commands (command_id, bot_id, partition, kind, payload, dedupe_key, group_key, priority,
                               not_before, max_attempts, correlation_id, causation_id, actor)
         SELECT command_id, bot_id, partition, kind, payload::json, dedupe_key, group_key, priority,
                not_before, max_attempts, correlation_id, causation_id, actor
           FROM UNNEST($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                       $8::smallint[], $9::timestamptz[], $10::int[], $11::uuid[], $12::uuid[], $13::text[])
             AS given (command_id, bot_id, partition, kind, payload, dedupe_key, group_key, priority,
                       not_before, max_attempts, correlation_id, causation_id, actor)
             ON CONFLICT DO NOTHING
         RETURNING command_id",
    )
    .bind(column(commands, |command| command.id))
    .bind(column(commands, |command| command.bot_id.uuid()))
    .bind(column(commands, |command| ids::partition_of(command.bot_id)))
    .bind(column(commands, |command| command.kind.as_str()))
    .bind(column(commands, |command| command.payload.to_string()))
    .bind(column(commands, |command| command.dedupe_key.as_deref()))
    .bind(column(commands, |command| command.group_key))
    .bind(column(commands, |command| command.priority))
    .bind(column(commands, |command| command.not_before))
    .bind(column(commands, |command| command.max_attempts))
    .bind(column(commands, |command| command.correlation_id))
    .bind(column(commands, |command| command.causation_id))
    .bind(column(commands, |command| command.actor.as_str()))
    .fetch_all(db)
    .await?;
    Ok(stored.into_iter().collect())
}

/// A statement of its own, as the earlier command may have been committed after the insert began.
async fn find_earlier(db: &mut PgConnection, command: &NewCommand) -> Result<Uuid, QueueError> {
    let earlier = sqlx::query_scalar(
        "SELECT command_id
           FROM commands
          WHERE command_id = $1
             OR dedupe_key = $2
          ORDER BY command_id = $1 DESC
          LIMIT 1",
    )
    .bind(command.id)
    .bind(command.dedupe_key.as_deref())
    .fetch_optional(db)
    .await?;
    earlier.ok_or(QueueError::NotFound { id: command.id })
}

fn read_stored(row: &sqlx::postgres::PgRow) -> Result<StoredCommand, QueueError> {
    let status: String = row.try_get("status")?;
    Ok(StoredCommand {
        id: row.try_get("command_id")?,
        bot_id: BotId::from_uuid(row.try_get("bot_id")?),
        kind: row.try_get("kind")?,
        payload: row.try_get("payload")?,
        status: status.parse()?,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        recoveries: row.try_get("recoveries")?,
        not_before: row.try_get("not_before")?,
        reason_code: row.try_get("reason_code")?,
        reason: row.try_get("reason")?,
        result: row.try_get("result")?,
        correlation_id: row.try_get("correlation_id")?,
        created_at: row.try_get("created_at")?,
        settled_at: row.try_get("settled_at")?,
    })
}
