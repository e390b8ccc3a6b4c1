//! What becomes of a command: by its holder, under the claim, or by a person.
//!
//! A settlement that is repeated because its answer was lost succeeds, as long as nobody claimed the command since.

use chrono::{DateTime, Utc};
use domain::ids::BotId;
use serde_json::Value;
use sqlx::{PgConnection, QueryBuilder, Row};
use uuid::Uuid;

use super::{Claim, CommandQueue, CommandStatus, QueueError};

/// Which commands to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    Bot(BotId),
    /// A bot's commands of these kinds.
    Kinds(BotId, &'static [&'static str]),
    /// The group key, such as a run's id.
    Group(Uuid),
    Command(Uuid),
}

/// What a cancellation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// These will not run.
    pub cancelled: u64,
    /// These run now. Their holders may finish them, and nothing puts them back to be run again.
    pub running: u64,
}

/// How a holder puts a command down.
struct Settlement<'a> {
    status: CommandStatus,
    /// Counts as a failure, after the last of which the command is dead.
    fails: bool,
    not_before: Option<DateTime<Utc>>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
    result: Option<&'a Value>,
}

impl CommandQueue {
    /// It is done.
    pub async fn complete(&self, claim: &Claim, result: &Value) -> Result<(), QueueError> {
        let settlement = Settlement {
            status: CommandStatus::Done,
            fails: false,
            not_before: None,
            code: None,
            reason: None,
            result: Some(result),
        };
        self.settle(claim, &settlement).await?;
        Ok(())
    }

    /// Not now, for a reason that is not the command's fault: it does not count as an attempt.
    pub async fn snooze(
        &self,
        claim: &Claim,
        not_before: DateTime<Utc>,
        reason: &str,
    ) -> Result<CommandStatus, QueueError> {
        let settlement = Settlement {
            status: CommandStatus::Pending,
            fails: false,
            not_before: Some(not_before),
            code: Some("COMMAND_SNOOZED"),
            reason: Some(reason),
            result: None,
        };
        self.settle(claim, &settlement).await
    }

    /// It failed and can be tried again at `not_before`; past its attempts it is dead. Returns where it is now.
    pub async fn retry(
        &self,
        claim: &Claim,
        not_before: DateTime<Utc>,
        code: &str,
        reason: &str,
    ) -> Result<CommandStatus, QueueError> {
        let settlement = Settlement {
            status: CommandStatus::Pending,
            fails: true,
            not_before: Some(not_before),
            code: Some(code),
            reason: Some(reason),
            result: None,
        };
        self.settle(claim, &settlement).await
    }

    /// It is given up.
    pub async fn dead_letter(&self, claim: &Claim, code: &str, reason: &str) -> Result<(), QueueError> {
        let settlement = Settlement {
            status: CommandStatus::Dead,
            fails: false,
            not_before: None,
            code: Some(code),
            reason: Some(reason),
            result: None,
        };
        self.settle(claim, &settlement).await?;
        Ok(())
    }

    /// It shall not be done any more; the holder says why.
    pub async fn withdraw(&self, claim: &Claim, reason: &str) -> Result<(), QueueError> {
        let settlement = Settlement {
            status: CommandStatus::Cancelled,
            fails: false,
            not_before: None,
            code: Some("COMMAND_CANCELLED"),
            reason: Some(reason),
            result: None,
        };
        self.settle(claim, &settlement).await?;
        Ok(())
    }

    async fn settle(&self, claim: &Claim, settlement: &Settlement<'_>) -> Result<CommandStatus, QueueError> {
        let settled: Option<String> = sqlx::query_scalar(
            "UPDATE commands
                SET status = CASE
                        WHEN cancel_requested AND $5 = 'PENDING' THEN 'CANCELLED'
                        WHEN $6 AND attempt + 1 >= max_attempts THEN 'DEAD'
                        ELSE $5
                    END,
                    attempt = attempt + CASE WHEN $6 THEN 1 ELSE 0 END,
                    not_before = COALESCE($7, not_before),
                    reason_code = CASE
                        WHEN cancel_requested AND $5 = 'PENDING' THEN reason_code
                        ELSE $8
                    END,
                    reason = CASE
                        WHEN cancel_requested AND $5 = 'PENDING' THEN reason
                        ELSE $9
                    END,
                    result = $10::json,
                    settled_at = CASE
                        WHEN $5 IN ('DONE', 'DEAD', 'CANCELLED')
                          OR cancel_requested
                          OR $6 AND attempt + 1 >= max_attempts THEN clock_timestamp()
                    END
              WHERE command_id = $1
                AND status = 'RUNNING'
                AND claimed_by = $2
                AND claim_epoch = $3
                AND claims = $4
          RETURNING status",
        )
        .bind(claim.command_id)
        .bind(claim.writer_id)
        .bind(claim.epoch)
        .bind(claim.number)
        .bind(settlement.status.as_str())
        .bind(settlement.fails)
        .bind(settlement.not_before)
        .bind(settlement.code)
        .bind(settlement.reason)
        .bind(settlement.result.map(Value::to_string))
        .fetch_optional(&self.pool)
        .await?;
        let status = match settled {
            Some(status) => status.parse()?,
            None => self.repeated_settlement(claim, settlement).await?,
        };
        // The bot is free for its next command.
        self.wake();
        Ok(status)
    }

    /// The answer to a settlement that took effect before, if this is one.
    async fn repeated_settlement(
        &self,
        claim: &Claim,
        settlement: &Settlement<'_>,
    ) -> Result<CommandStatus, QueueError> {
        let lost = || QueueError::ClaimLost { id: claim.command_id };
        let status: Option<String> = sqlx::query_scalar(
            "SELECT status
               FROM commands
              WHERE command_id = $1
                AND claimed_by = $2
                AND claim_epoch = $3
                AND claims = $4
                AND (status = 'CANCELLED' OR (reason_code, reason) IS NOT DISTINCT FROM ($5, $6))",
        )
        .bind(claim.command_id)
        .bind(claim.writer_id)
        .bind(claim.epoch)
        .bind(claim.number)
        .bind(settlement.code)
        .bind(settlement.reason)
        .fetch_optional(&self.pool)
        .await?;
        let status: CommandStatus = status.ok_or_else(lost)?.parse()?;
        let can_follow = match status {
            CommandStatus::Dead => settlement.fails,
            CommandStatus::Cancelled => settlement.status == CommandStatus::Pending,
            _ => false,
        };
        if status == settlement.status || can_follow { Ok(status) } else { Err(lost()) }
    }

    /// Cancels what waits, and marks what runs so that it is not put back.
    pub async fn cancel(&self, scope: CancelScope, reason: &str) -> Result<Cancelled, QueueError> {
        let mut connection = self.pool.acquire().await?;
        Self::cancel_in(&mut connection, scope, reason).await
    }

    /// The same in the caller's transaction.
    pub async fn cancel_in(db: &mut PgConnection, scope: CancelScope, reason: &str) -> Result<Cancelled, QueueError> {
        let mut query = QueryBuilder::new(
            "UPDATE commands
                SET status = CASE status WHEN 'RUNNING' THEN 'RUNNING' ELSE 'CANCELLED' END,
                    cancel_requested = true,
                    reason_code = 'COMMAND_CANCELLED',
                    settled_at = CASE WHEN status <> 'RUNNING' THEN clock_timestamp() END,
                    reason = ",
        );
        query.push_bind(reason);
        query.push(" WHERE status IN ('PENDING', 'RUNNING') AND ");
        match scope {
            CancelScope::Bot(bot_id) => query.push("bot_id = ").push_bind(bot_id.uuid()),
            CancelScope::Kinds(bot_id, kinds) => {
                query.push("bot_id = ").push_bind(bot_id.uuid()).push(" AND kind = ANY (").push_bind(kinds).push(")")
            }
            CancelScope::Group(group_key) => query.push("group_key = ").push_bind(group_key),
            CancelScope::Command(id) => query.push("command_id = ").push_bind(id),
        };
        query.push(" RETURNING status");
        let rows = query.build().fetch_all(db).await?;
        let mut cancelled = Cancelled::default();
        for row in &rows {
            match row.try_get::<&str, _>("status")? {
                "RUNNING" => cancelled.running += 1,
                _ => cancelled.cancelled += 1,
            }
        }
        Ok(cancelled)
    }

    /// Gives a dead command all its attempts again, from `not_before` on.
    pub async fn requeue_dead(&self, id: Uuid, not_before: DateTime<Utc>) -> Result<(), QueueError> {
        let requeued = sqlx::query(
            "UPDATE commands
                SET status = 'PENDING',
                    attempt = 0,
                    recoveries = 0,
                    cancel_requested = false,
                    not_before = $2,
                    reason_code = NULL,
                    reason = NULL,
                    settled_at = NULL
              WHERE command_id = $1
                AND status = 'DEAD'",
        )
        .bind(id)
        .bind(not_before)
        .execute(&self.pool)
        .await?;
        if requeued.rows_affected() == 1 {
            self.wake();
            return Ok(());
        }
        match self.find(id).await? {
            Some(command) => Err(QueueError::NotDead { id, status: command.status }),
            None => Err(QueueError::NotFound { id }),
        }
    }
}
