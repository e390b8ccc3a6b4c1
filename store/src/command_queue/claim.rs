//! Taking commands to run, and taking back those whose holder is lost.

use chrono::{DateTime, Utc};
use domain::ids::BotId;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{CommandQueue, QueueError};
use crate::error::StoreError;
use crate::writer::WriterLease;

/// Another claim was faster to a bot; the next try sees it.
const CLAIM_TRIES: u32 = 3;
const RUNNING_BOT_KEY: &str = "commands_running_bot_key";
/// A command that was running so often when its process was lost is taken to be the cause.
const MAX_RECOVERIES: i32 = 50;

/// The right to settle one command, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub command_id: Uuid,
    pub writer_id: Uuid,
    /// The first epoch of the unbroken run of leases under which it was claimed.
    pub epoch: i64,
    /// Tells this claim from the writer's earlier ones of the same command.
    pub number: i64,
}

/// A command that this process has to run and to settle.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedCommand {
    pub claim: Claim,
    pub bot_id: BotId,
    pub kind: String,
    pub payload: Value,
    pub group_key: Option<Uuid>,
    pub priority: i16,
    /// The engine's time.
    pub not_before: DateTime<Utc>,
    /// Failures that counted, so far.
    pub attempt: i32,
    pub max_attempts: i32,
    /// Not 0: an earlier holder was lost while it ran, so it may have had an effect.
    pub recoveries: i32,
    pub correlation_id: Uuid,
    pub causation_id: Uuid,
    pub actor: String,
}

/// What recovery found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Back to PENDING.
    pub pending: u64,
    /// Given up or cancelled instead.
    pub ended: u64,
}

// Priorities that occur are found one by one in the index, so that commands that are not due are passed over as a whole.
// For each priority and partition the index gives the due ones in order. Bots that run one already are left out, and of
// the others only the first command counts. The partitions of what is claimed stay locked until the end, so that nobody
// gives one away, or takes it over, between the look and the claim.
pub(super) const CLAIM: &str = "
WITH RECURSIVE writer AS (
    SELECT 1
      FROM writers
     WHERE writer_id = $2
       AND epoch = $3
       AND lease_until > clock_timestamp()
), owned AS (
    SELECT partition
      FROM partitions
     WHERE partition = ANY ($1)
       AND writer_id = $2
       AND epoch = $4
       AND EXISTS (SELECT 1 FROM writer)
), levels AS (
    (SELECT priority
       FROM commands
      WHERE status = 'PENDING'
      ORDER BY priority
      LIMIT 1)
    UNION ALL
    SELECT (SELECT priority
              FROM commands
             WHERE status = 'PENDING'
               AND priority > levels.priority
             ORDER BY priority
             LIMIT 1)
      FROM levels
     WHERE levels.priority IS NOT NULL
), due AS (
    SELECT candidate.command_id, candidate.bot_id, candidate.priority, candidate.not_before
      FROM levels
     CROSS JOIN owned
     CROSS JOIN LATERAL (
           SELECT command_id, bot_id, priority, not_before
             FROM commands
            WHERE status = 'PENDING'
              AND priority = levels.priority
              AND partition = owned.partition
              AND not_before <= $5
              AND NOT EXISTS (
                  SELECT 1
                    FROM commands AS running
                   WHERE running.bot_id = commands.bot_id
                     AND running.status = 'RUNNING')
            ORDER BY not_before, command_id
            LIMIT $6) AS candidate
), firsts AS (
    SELECT DISTINCT ON (bot_id) command_id, priority, not_before
      FROM due
     ORDER BY bot_id, priority, not_before, command_id
), chosen AS (
    SELECT commands.command_id, commands.partition
      FROM commands
     WHERE commands.command_id IN (
           SELECT command_id
             FROM firsts
            ORDER BY priority, not_before, command_id
            LIMIT $6)
       AND commands.status = 'PENDING'
       FOR UPDATE SKIP LOCKED
), kept AS (
    SELECT partition
      FROM partitions
     WHERE partition IN (SELECT partition FROM chosen)
       AND writer_id = $2
       AND epoch = $4
       FOR SHARE
), claimed AS (
    UPDATE commands
       SET status = 'RUNNING',
           claims = claims + 1,
           claimed_by = $2,
           claim_epoch = $4,
           claimed_at = clock_timestamp()
      FROM chosen
      JOIN kept ON kept.partition = chosen.partition
     WHERE commands.command_id = chosen.command_id
 RETURNING commands.command_id, bot_id, kind, payload, group_key, priority, not_before, attempt, max_attempts,
           claims, recoveries, correlation_id, causation_id, actor
)
SELECT lease.valid, claimed.command_id, bot_id, kind, payload, group_key, priority, not_before, attempt, max_attempts,
       claims, recoveries, correlation_id, causation_id, actor
  FROM (SELECT EXISTS (SELECT 1 FROM writer)) AS lease (valid)
  LEFT JOIN claimed ON true
 ORDER BY priority, not_before, command_id";

impl CommandQueue {
    /// Claims up to `limit` due commands of those of `partitions` that `lease` owns, at most one of a bot and none of a bot
    /// that runs one. Without a valid lease it is [`StoreError::Fenced`].
    pub async fn claim(
        &self,
        partitions: &[i32],
        lease: &WriterLease,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<ClaimedCommand>, QueueError> {
        let mut tries = 1;
        loop {
            match self.try_claim(partitions, lease, now, limit).await {
                Err(error) if tries < CLAIM_TRIES && is_faster_claim(&error) => tries += 1,
                Err(error) if is_faster_claim(&error) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
                Ok(rows) => return read_claimed(&rows, lease),
            }
        }
    }

    async fn try_claim(
        &self,
        partitions: &[i32],
        lease: &WriterLease,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::query(CLAIM)
            .bind(partitions)
            .bind(lease.writer_id)
            .bind(lease.epoch)
            .bind(lease.unbroken_since)
            .bind(now)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
    }

    /// When the first of the waiting commands of `partitions` is due, by the engine's time. It can be in the past: then a
    /// command waits for a worker, or for its bot's other command to end.
    pub async fn next_due(&self, partitions: &[i32]) -> Result<Option<DateTime<Utc>>, QueueError> {
        let due = sqlx::query_scalar(
            "WITH RECURSIVE levels AS (
                 (SELECT priority
                    FROM commands
                   WHERE status = 'PENDING'
                   ORDER BY priority
                   LIMIT 1)
                 UNION ALL
                 SELECT (SELECT priority
                           FROM commands
                          WHERE status = 'PENDING'
                            AND priority > levels.priority
                          ORDER BY priority
                          LIMIT 1)
                   FROM levels
                  WHERE levels.priority IS NOT NULL
             )
             SELECT min(earliest.not_before)
               FROM levels
              CROSS JOIN UNNEST($1) AS mine (partition)
              CROSS JOIN LATERAL (
                    SELECT not_before
                      FROM commands
                     WHERE status = 'PENDING'
                       AND priority = levels.priority
                       AND partition = mine.partition
                     ORDER BY not_before
                     LIMIT 1) AS earliest",
        )
        .bind(partitions)
        .fetch_one(&self.pool)
        .await?;
        Ok(due)
    }

    /// Takes back what holders that are lost left RUNNING in those of `partitions` that `lease` owns. It does not count as a
    /// failure of the command, but a command that loses its holder again and again ends as dead.
    pub async fn recover(&self, partitions: &[i32], lease: &WriterLease) -> Result<Recovered, QueueError> {
        let rows = sqlx::query(
            "WITH writer AS (
                 SELECT 1
                   FROM writers
                  WHERE writer_id = $2
                    AND epoch = $3
                    AND lease_until > clock_timestamp()
             ), owned AS (
                 SELECT partition
                   FROM partitions
                  WHERE partition = ANY ($1)
                    AND writer_id = $2
                    AND epoch = $4
                    AND EXISTS (SELECT 1 FROM writer)
                    FOR SHARE
             ), recovered AS (
                 UPDATE commands
                    SET status = CASE
                            WHEN cancel_requested THEN 'CANCELLED'
                            WHEN recoveries + 1 >= $5 THEN 'DEAD'
                            ELSE 'PENDING'
                        END,
                        recoveries = recoveries + 1,
                        reason_code = CASE WHEN cancel_requested THEN reason_code ELSE 'COMMAND_HOLDER_LOST' END,
                        reason = CASE
                            WHEN cancel_requested THEN reason
                            ELSE 'the process that ran it was lost'
                        END,
                        settled_at = CASE
                            WHEN cancel_requested OR recoveries + 1 >= $5 THEN clock_timestamp()
                        END
                   FROM owned
                  WHERE commands.partition = owned.partition
                    AND commands.status = 'RUNNING'
                    AND (commands.claimed_by, commands.claim_epoch) <> ($2, $4)
              RETURNING status
             )
             SELECT lease.valid, recovered.status
               FROM (SELECT EXISTS (SELECT 1 FROM writer)) AS lease (valid)
               LEFT JOIN recovered ON true",
        )
        .bind(partitions)
        .bind(lease.writer_id)
        .bind(lease.epoch)
        .bind(lease.unbroken_since)
        .bind(MAX_RECOVERIES)
        .fetch_all(&self.pool)
        .await?;
        let mut recovered = Recovered::default();
        for row in &rows {
            require_valid(row)?;
            match row.try_get::<Option<&str>, _>("status")? {
                Some("PENDING") => recovered.pending += 1,
                Some(_) => recovered.ended += 1,
                None => {}
            }
        }
        if recovered.pending > 0 {
            self.wake();
        }
        Ok(recovered)
    }

    /// Puts back what `lease` has RUNNING beside `held`: commands whose claim was stored without the answer coming back, so that
    /// nobody runs them. No other claim may be under way. Returns how many.
    pub async fn put_back(&self, lease: &WriterLease, held: &[Uuid]) -> Result<u64, QueueError> {
        let put_back = sqlx::query(
            "UPDATE commands
                SET status = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'PENDING' END,
                    settled_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
                    recoveries = recoveries + 1
              WHERE status = 'RUNNING'
                AND claimed_by = $1
                AND claim_epoch = $2
                AND command_id <> ALL ($3)",
        )
        .bind(lease.writer_id)
        .bind(lease.unbroken_since)
        .bind(held)
        .execute(&self.pool)
        .await?;
        Ok(put_back.rows_affected())
    }
}

fn is_faster_claim(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some(RUNNING_BOT_KEY))
}

/// The statement tells a lease that is not valid from a queue that is empty.
fn require_valid(row: &PgRow) -> Result<(), QueueError> {
    if row.try_get("valid")? { Ok(()) } else { Err(StoreError::Fenced.into()) }
}

fn read_claimed(rows: &[PgRow], lease: &WriterLease) -> Result<Vec<ClaimedCommand>, QueueError> {
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        require_valid(row)?;
        let Some(command_id) = row.try_get("command_id")? else { continue };
        claimed.push(ClaimedCommand {
            claim: Claim {
                command_id,
                writer_id: lease.writer_id,
                epoch: lease.unbroken_since,
                number: row.try_get("claims")?,
            },
            bot_id: BotId::from_uuid(row.try_get("bot_id")?),
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
            group_key: row.try_get("group_key")?,
            priority: row.try_get("priority")?,
            not_before: row.try_get("not_before")?,
            attempt: row.try_get("attempt")?,
            max_attempts: row.try_get("max_attempts")?,
            recoveries: row.try_get("recoveries")?,
            correlation_id: row.try_get("correlation_id")?,
            causation_id: row.try_get("causation_id")?,
            actor: row.try_get("actor")?,
        });
    }
    Ok(claimed)
}
