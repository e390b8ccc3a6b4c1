//! `campaign_runs`: when each campaign ran, and why it stopped. How its actions ended is counted from `actions`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::bot::{BotEvent, Mode};
use domain::ids::{BotId, CampaignId, EnablementId, RunId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::bot_counters::Counts;
use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `campaign_runs`.
#[derive(Debug, Clone, Copy)]
pub struct CampaignRuns;

/// One run of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignRun {
    pub run_id: RunId,
    pub bot_id: BotId,
    pub campaign_id: CampaignId,
    pub enablement_id: EnablementId,
    pub mode: Mode,
    /// How many targets were found.
    pub targets: Option<u32>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it ended early.
    pub stopped_by: Option<String>,
    /// Position of its first event: the key of lists.
    pub first_position: i64,
    /// `suppressed` counts actions that still wait, not the times that they did.
    pub counts: Counts,
    pub updated_at: DateTime<Utc>,
}

#[async_trait]
impl Projection for CampaignRuns {
    fn name(&self) -> &'static str {
        "campaign_runs"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["campaign_runs"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Bot(bot_id, change) = &event.event else { return Ok(()) };
        let stored = &event.stored;
        let query = match change {
            BotEvent::RunStarted { run_id, campaign_id, enablement_id, mode, targets, at } => sqlx::query(
                "INSERT INTO campaign_runs (run_id, bot_id, campaign_id, enablement_id, mode, first_position,
                                            updated_at, targets, started_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT (run_id) DO UPDATE
                    SET targets = excluded.targets,
                        started_at = coalesce(campaign_runs.started_at, excluded.started_at),
                        updated_at = excluded.updated_at",
            )
            .bind(run_id.uuid())
            .bind(bot_id.uuid())
            .bind(campaign_id.uuid())
            .bind(enablement_id.uuid())
            .bind(mode.as_str())
            .bind(stored.position)
            .bind(stored.recorded_at)
            .bind(i64::from(*targets))
            .bind(at),
            BotEvent::RunFinished { run_id, campaign_id, enablement_id, mode, stopped_by, at } => sqlx::query(
                "INSERT INTO campaign_runs (run_id, bot_id, campaign_id, enablement_id, mode, first_position,
                                            updated_at, stopped_by, finished_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT (run_id) DO UPDATE
                    SET stopped_by = excluded.stopped_by,
                        finished_at = excluded.finished_at,
                        updated_at = excluded.updated_at",
            )
            .bind(run_id.uuid())
            .bind(bot_id.uuid())
            .bind(campaign_id.uuid())
            .bind(enablement_id.uuid())
            .bind(mode.as_str())
            .bind(stored.position)
            .bind(stored.recorded_at)
            .bind(stopped_by.as_deref().map(columns::text))
            .bind(at),
            _ => return Ok(()),
        };
        query.execute(db).await?;
        Ok(())
    }
}

impl FromRow<'_, PgRow> for CampaignRun {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run_id: columns::id(row, "run_id", RunId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            campaign_id: columns::id(row, "campaign_id", CampaignId::from_uuid)?,
            enablement_id: columns::id(row, "enablement_id", EnablementId::from_uuid)?,
            mode: columns::name(row, "mode")?,
            targets: columns::optional_count(row, "targets")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            stopped_by: row.try_get("stopped_by")?,
            first_position: row.try_get("first_position")?,
            counts: Counts::from_row(row)?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Runs with the counts of their actions, each action counted once, as it stands now.
const SELECT: &str = "
    SELECT run.run_id, run.bot_id, run.campaign_id, run.enablement_id, run.mode, run.targets, run.started_at,
           run.finished_at, run.stopped_by, run.first_position, run.updated_at,
           counts.reserved, counts.performed, counts.simulated, counts.refused, counts.failed, counts.in_doubt,
           counts.open, counts.suppressed
      FROM campaign_runs AS run
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE status <> 'SUPPRESSED')::integer AS reserved,
                  count(*) FILTER (WHERE status IN ('PERFORMED', 'RECONCILED_PERFORMED'))::integer AS performed,
                  count(*) FILTER (WHERE status = 'SIMULATED')::integer AS simulated,
                  count(*) FILTER (WHERE status = 'REFUSED')::integer AS refused,
                  count(*) FILTER (WHERE status IN ('FAILED', 'RECONCILED_NOT_PERFORMED'))::integer AS failed,
                  count(*) FILTER (WHERE status = 'IN_DOUBT')::integer AS in_doubt,
                  count(*) FILTER (WHERE status = 'OPEN')::integer AS open,
                  count(*) FILTER (WHERE status = 'SUPPRESSED')::integer AS suppressed
             FROM actions
            WHERE actions.run_id = run.run_id
     ) AS counts";

/// The run of an id.
pub async fn by_id(db: impl PgExecutor<'_>, run_id: RunId) -> Result<Option<CampaignRun>, sqlx::Error> {
    sqlx::query_as(&format!("{SELECT} WHERE run.run_id = $1")).bind(run_id.uuid()).fetch_optional(db).await
}

/// The runs of a bot, of one campaign or all, in the order of their first events.
pub async fn of_bot(
    db: impl PgExecutor<'_>,
    bot_id: BotId,
    campaign_id: Option<CampaignId>,
    page: &PageRequest<i64>,
) -> Result<Page<CampaignRun>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "{SELECT}
          WHERE run.bot_id = $1
            AND ($2::uuid IS NULL OR run.campaign_id = $2)
            AND ($3::bigint IS NULL OR run.first_position {beyond} $3)
          ORDER BY run.first_position {order}
          LIMIT $4"
    );
    let rows = sqlx::query_as(&sql)
        .bind(bot_id.uuid())
        .bind(campaign_id.map(CampaignId::uuid))
        .bind(page.after)
        .bind(page.fetched())
        .fetch_all(db)
        .await?;
    Ok(page.page(rows))
}

/// How many runs a bot had, of one campaign or all.
pub async fn count_of_bot(
    db: impl PgExecutor<'_>,
    bot_id: BotId,
    campaign_id: Option<CampaignId>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) FROM campaign_runs WHERE bot_id = $1 AND ($2::uuid IS NULL OR campaign_id = $2)",
    )
    .bind(bot_id.uuid())
    .bind(campaign_id.map(CampaignId::uuid))
    .fetch_one(db)
    .await
}
