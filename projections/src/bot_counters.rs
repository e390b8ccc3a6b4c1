//! `bot_counters`: what each bot reserved and how that ended, by the account's local day, kind and mode.
//!
//! The balance holds in every row: reserved = performed + simulated + refused + failed + in doubt + open. These
//! counters show; the limits are decided in the aggregate.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use domain::any_event::AnyEvent;
use domain::bot::{ActionKind, BotEvent, Mode, Settlement};
use domain::ids::{ActionId, BotId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::columns;
use crate::error::ProjectionError;
use crate::projection::{LogEvent, Projection};

/// The projection of `bot_counters`.
#[derive(Debug, Clone, Copy)]
pub struct BotCounters;

/// The counters of one bot, day, kind and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotCounter {
    pub bot_id: BotId,
    pub local_day: NaiveDate,
    pub kind: ActionKind,
    pub mode: Mode,
    pub counts: Counts,
    pub updated_at: DateTime<Utc>,
}

/// How actions ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub reserved: u32,
    pub performed: u32,
    pub simulated: u32,
    pub refused: u32,
    pub failed: u32,
    pub in_doubt: u32,
    /// Reserved and not settled.
    pub open: u32,
    /// Times that an action had to wait; not part of the balance.
    pub suppressed: u32,
}

impl Counts {
    /// Whether everything that was reserved is accounted for.
    #[must_use]
    pub fn balance(&self) -> bool {
        let settled = self.performed + self.simulated + self.refused + self.failed + self.in_doubt;
        self.reserved == settled + self.open
    }
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy)]
enum Count {
    Performed,
    Simulated,
    Refused,
    Failed,
    InDoubt,
}

/// One row's change: the counters, and when.
macro_rules! update {
    ($counters:literal) => {
        concat!(
            "UPDATE bot_counters SET ",
            $counters,
            ", updated_at = $5 WHERE bot_id = $1 AND local_day = $2 AND kind = $3 AND mode = $4"
        )
    };
}

/// The action is settled; the mode that it was reserved in.
const SETTLE: &str = "DELETE FROM bot_counters_open WHERE bot_id = $1 AND action_id = $2 RETURNING mode";

/// The row that an event counts in.
#[derive(Debug, Clone, Copy)]
struct Place {
    bot_id: BotId,
    local_day: NaiveDate,
    kind: ActionKind,
    at: DateTime<Utc>,
}

#[async_trait]
impl Projection for BotCounters {
    fn name(&self) -> &'static str {
        "bot_counters"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["bot_counters", "bot_counters_open"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Bot(bot_id, change) = &event.event else { return Ok(()) };
        let place = |kind: ActionKind, local_day: NaiveDate| Place {
            bot_id: *bot_id,
            local_day,
            kind,
            at: event.stored.recorded_at,
        };
        match change {
            BotEvent::ActionReserved { action_id, kind, mode, local_day, .. } => {
                place(*kind, *local_day).reserve(db, *action_id, *mode).await
            }
            BotEvent::ActionSuppressed { kind, mode, local_day, .. } => {
                place(*kind, *local_day).suppress(db, *mode).await
            }
            BotEvent::ActionPerformed { action_id, kind, local_day, .. } => {
                place(*kind, *local_day).settle(db, *action_id, Count::Performed).await
            }
            BotEvent::ActionSimulated { action_id, kind, local_day, .. } => {
                place(*kind, *local_day).settle(db, *action_id, Count::Simulated).await
            }
            BotEvent::ActionRefused { action_id, kind, local_day, .. } => {
                place(*kind, *local_day).settle(db, *action_id, Count::Refused).await
            }
            BotEvent::ActionFailed { action_id, kind, local_day, .. } => {
                place(*kind, *local_day).settle(db, *action_id, Count::Failed).await
            }
            BotEvent::ActionInDoubt { action_id, kind, local_day, .. } => {
                place(*kind, *local_day).settle(db, *action_id, Count::InDoubt).await
            }
            BotEvent::ActionReconciled { action_id, kind, local_day, settlement, .. } => {
                place(*kind, *local_day).reconcile(db, *action_id, *settlement).await
            }
            _ => Ok(()),
        }
    }
}

impl Place {
    async fn reserve(self, db: &mut PgConnection, action_id: ActionId, mode: Mode) -> Result<(), ProjectionError> {
        sqlx::query("INSERT INTO bot_counters_open (bot_id, action_id, mode) VALUES ($1, $2, $3)")
            .bind(self.bot_id.uuid())
            .bind(action_id.uuid())
            .bind(mode.as_str())
            .execute(&mut *db)
            .await?;
        self.begin(
            db,
            mode,
            "INSERT INTO bot_counters (bot_id, local_day, kind, mode, updated_at, reserved)
             VALUES ($1, $2, $3, $4, $5, 1)
             ON CONFLICT (bot_id, local_day, kind, mode) DO UPDATE
                SET reserved = bot_counters.reserved + 1, updated_at = excluded.updated_at",
        )
        .await
    }

    async fn suppress(self, db: &mut PgConnection, mode: Mode) -> Result<(), ProjectionError> {
        self.begin(
            db,
            mode,
            "INSERT INTO bot_counters (bot_id, local_day, kind, mode, updated_at, suppressed)
             VALUES ($1, $2, $3, $4, $5, 1)
             ON CONFLICT (bot_id, local_day, kind, mode) DO UPDATE
                SET suppressed = bot_counters.suppressed + 1, updated_at = excluded.updated_at",
        )
        .await
    }

    async fn begin(self, db: &mut PgConnection, mode: Mode, sql: &str) -> Result<(), ProjectionError> {
        sqlx::query(sql)
            .bind(self.bot_id.uuid())
            .bind(self.local_day)
            .bind(self.kind.as_str())
            .bind(mode.as_str())
            .bind(self.at)
            .execute(db)
            .await?;
        Ok(())
    }

    /// Ends the reservation of an action; one in doubt is still to be settled.
    async fn settle(self, db: &mut PgConnection, action_id: ActionId, how: Count) -> Result<(), ProjectionError> {
        let mode = match how {
            Count::InDoubt => {
                self.mode(db, action_id, "SELECT mode FROM bot_counters_open WHERE bot_id = $1 AND action_id = $2")
                    .await?
            }
            _ => self.mode(db, action_id, SETTLE).await?,
        };
        let sql = match how {
            Count::Performed => update!("performed = performed + 1"),
            Count::Simulated => update!("simulated = simulated + 1"),
            Count::Refused => update!("refused = refused + 1"),
            Count::Failed => update!("failed = failed + 1"),
            Count::InDoubt => update!("in_doubt = in_doubt + 1"),
        };
        self.change(db, &mode, sql).await
    }

    /// Moves an action out of doubt.
    async fn reconcile(
        self,
        db: &mut PgConnection,
        action_id: ActionId,
        settlement: Settlement,
    ) -> Result<(), ProjectionError> {
        let mode = self.mode(db, action_id, SETTLE).await?;
        let sql = match settlement {
            Settlement::Performed => update!("in_doubt = in_doubt - 1, performed = performed + 1"),
            Settlement::NotPerformed => update!("in_doubt = in_doubt - 1, failed = failed + 1"),
        };
        self.change(db, &mode, sql).await
    }

    async fn mode(self, db: &mut PgConnection, action_id: ActionId, sql: &str) -> Result<String, ProjectionError> {
        let mode = sqlx::query_scalar(sql).bind(self.bot_id.uuid()).bind(action_id.uuid()).fetch_optional(db).await?;
        mode.ok_or_else(|| ProjectionError::RowMissing { table: "bot_counters_open", key: action_id.to_string() })
    }

    async fn change(self, db: &mut PgConnection, mode: &str, sql: &str) -> Result<(), ProjectionError> {
        let done = sqlx::query(sql)
            .bind(self.bot_id.uuid())
            .bind(self.local_day)
            .bind(self.kind.as_str())
            .bind(mode)
            .bind(self.at)
            .execute(db)
            .await?;
        columns::one_row(&done, "bot_counters", self.bot_id)
    }
}

impl FromRow<'_, PgRow> for Counts {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            reserved: columns::count(row, "reserved")?,
            performed: columns::count(row, "performed")?,
            simulated: columns::count(row, "simulated")?,
            refused: columns::count(row, "refused")?,
            failed: columns::count(row, "failed")?,
            in_doubt: columns::count(row, "in_doubt")?,
            open: columns::count(row, "open")?,
            suppressed: columns::count(row, "suppressed")?,
        })
    }
}

impl FromRow<'_, PgRow> for BotCounter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            local_day: row.try_get("local_day")?,
            kind: columns::name(row, "kind")?,
            mode: columns::name(row, "mode")?,
            counts: Counts::from_row(row)?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// The counters of a bot from one local day to another, both included; newest day first.
pub async fn of_bot(
    db: impl PgExecutor<'_>,
    bot_id: BotId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<BotCounter>, sqlx::Error> {
    sqlx::query_as(
        "SELECT bot_id, local_day, kind, mode, reserved, performed, simulated, refused, failed, in_doubt, open,
                suppressed, updated_at
           FROM bot_counters
          WHERE bot_id = $1
            AND local_day BETWEEN $2 AND $3
          ORDER BY local_day DESC, kind, mode",
    )
    .bind(bot_id.uuid())
    .bind(from)
    .bind(to)
    .fetch_all(db)
    .await
}

/// The counters of a bot over all days, by kind and mode.
pub async fn totals(db: impl PgExecutor<'_>, bot_id: BotId) -> Result<Vec<(ActionKind, Mode, Counts)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT kind, mode, sum(reserved)::integer AS reserved, sum(performed)::integer AS performed,
                sum(simulated)::integer AS simulated, sum(refused)::integer AS refused,
                sum(failed)::integer AS failed, sum(in_doubt)::integer AS in_doubt, sum(open)::integer AS open,
                sum(suppressed)::integer AS suppressed
           FROM bot_counters
          WHERE bot_id = $1
          GROUP BY kind, mode
          ORDER BY kind, mode",
    )
    .bind(bot_id.uuid())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((columns::name(row, "kind")?, columns::name(row, "mode")?, Counts::from_row(row)?)))
        .collect()
}
