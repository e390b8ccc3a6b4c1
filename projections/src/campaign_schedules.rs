//! `campaign_schedules`: when each campaign runs, what became of its last due times, and which of its runs are not over.
//! It also knows which bots run, as the scheduler looks at both at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::bot::BotEvent;
use domain::campaign::schedule::{Schedule, next_decision_at};
use domain::campaign::{CampaignEvent, OpenRun, Stage};
use domain::ids::{BotId, CampaignId, JobId};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::columns;
use crate::error::ProjectionError;
use crate::projection::{LogEvent, Projection};

/// How many decisions a row keeps; the log has them all.
pub const MOST_DECISIONS: usize = 20;

/// The projection of `campaign_schedules`.
#[derive(Debug, Clone, Copy)]
pub struct CampaignSchedules;

/// When a campaign runs.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignSchedule {
    pub campaign_id: CampaignId,
    pub bot_id: BotId,
    pub archived: bool,
    pub schedule: Option<Schedule>,
    /// Due times until then are decided, and perhaps more that were none.
    pub decided_until: Option<DateTime<Utc>>,
    /// Who paused the schedule, while it is paused.
    pub paused_by: Option<String>,
    pub planned: i64,
    pub skipped: i64,
    pub missed: i64,
    /// Newest first, at most [`MOST_DECISIONS`].
    pub decisions: Vec<CampaignEvent>,
    pub open_runs: Vec<OpenRun>,
    /// Whether the bot runs, as far as this read model has come.
    pub bot_running: bool,
}

impl CampaignSchedule {
    /// When the campaign has something to decide next, as far as this row tells; the campaign knows better.
    #[must_use]
    pub fn next_decision_at(&self) -> Option<DateTime<Utc>> {
        let schedule = self.schedule.as_ref().filter(|_| !self.archived)?;
        next_decision_at(schedule, self.campaign_id, self.decided_until?, self.bot_running, |_| false)
    }
}

#[async_trait]
impl Projection for CampaignSchedules {
    fn name(&self) -> &'static str {
        "campaign_schedules"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["campaign_schedules", "campaign_schedules_bots"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot", "Campaign"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        match &event.event {
            AnyEvent::Bot(bot_id, change) => match runs_after(change) {
                Some(running) => turn_bot(db, *bot_id, running, event.stored.position).await,
                None => Ok(()),
            },
            AnyEvent::Campaign(campaign_id, change) => {
                Change { campaign_id: *campaign_id, event }.apply(db, change).await
            }
            _ => Ok(()),
        }
    }
}

/// Whether a bot runs after an event that can change that.
fn runs_after(event: &BotEvent) -> Option<bool> {
    match event {
        BotEvent::AutomationEnabled { .. } | BotEvent::AutomationResumed { .. } => Some(true),
        BotEvent::AutomationPaused { .. }
        | BotEvent::AutomationDisabled { .. }
        | BotEvent::AccountUnlinked { .. }
        | BotEvent::SessionExpired { .. }
        | BotEvent::LoggedOut { .. }
        | BotEvent::ChallengeRaised { .. }
        | BotEvent::BotFailed { .. } => Some(false),
        _ => None,
    }
}

async fn turn_bot(db: &mut PgConnection, bot_id: BotId, running: bool, position: i64) -> Result<(), ProjectionError> {
    sqlx::query(
        "INSERT INTO campaign_schedules_bots (bot_id, running, position)
         VALUES ($1, $2, $3)
         ON CONFLICT (bot_id) DO UPDATE
            SET running = excluded.running,
                position = excluded.position",
    )
    .bind(bot_id.uuid())
    .bind(running)
    .bind(position)
    .execute(db)
    .await?;
    Ok(())
}

/// An event of one campaign on its way into its row.
struct Change<'a> {
    campaign_id: CampaignId,
    event: &'a LogEvent,
}

impl Change<'_> {
    async fn apply(&self, db: &mut PgConnection, change: &CampaignEvent) -> Result<(), ProjectionError> {
        match change {
            CampaignEvent::CampaignDefined { bot_id, .. } => self.insert(db, *bot_id).await,
            CampaignEvent::CampaignRevised { .. } => Ok(()),
            CampaignEvent::CampaignArchived { .. } => self.set(db, "archived = true", Value::Null).await,
            CampaignEvent::ScheduleSet { schedule, at } => {
                self.set(db, "schedule = $4", columns::to_json(schedule)?).await?;
                self.decided(db, *at).await
            }
            CampaignEvent::ScheduleCleared { .. } => {
                self.set(db, "schedule = NULL, decided_until = NULL", Value::Null).await
            }
            CampaignEvent::SchedulePaused { reason, at } => {
                let pause = serde_json::json!({ "reason": reason, "paused_at": at });
                self.set(db, "schedule = jsonb_set(schedule, '{pause}', $4)", pause).await?;
                let by = self.event.metadata()?.actor.to_string();
                self.set(db, "paused_by = $4::jsonb #>> '{}'", by.into()).await?;
                self.decided(db, *at).await
            }
            CampaignEvent::ScheduleResumed { at } => {
                self.set(db, "schedule = jsonb_set(schedule, '{pause}', 'null')", Value::Null).await?;
                self.decided(db, *at).await
            }
            CampaignEvent::RunPlanned { .. }
            | CampaignEvent::RunsSkipped { .. }
            | CampaignEvent::RunsMissed { .. }
            | CampaignEvent::RunWithdrawn { .. } => self.decide(db, change).await,
            CampaignEvent::RunReleased { .. }
            | CampaignEvent::RunCancelRequested { .. }
            | CampaignEvent::RunEnded { .. }
            | CampaignEvent::RunContinued { .. }
            | CampaignEvent::RunReopened { .. } => self.run(db, change).await,
        }
    }

    async fn insert(&self, db: &mut PgConnection, bot_id: BotId) -> Result<(), ProjectionError> {
        sqlx::query(
            "INSERT INTO campaign_schedules (campaign_id, bot_id, archived, position, updated_at)
             VALUES ($1, $2, false, $3, $4)",
        )
        .bind(self.campaign_id.uuid())
        .bind(bot_id.uuid())
        .bind(self.event.stored.position)
        .bind(self.event.stored.recorded_at)
        .execute(db)
        .await?;
        Ok(())
    }

    /// A due time, or many, have found their fate.
    async fn decide(&self, db: &mut PgConnection, change: &CampaignEvent) -> Result<(), ProjectionError> {
        let kept = format!(
            "decisions = jsonb_path_query_array(jsonb_build_array($4::jsonb) || decisions, '$[0 to {}]')",
            MOST_DECISIONS - 1
        );
        self.set(db, &kept, columns::to_json(change)?).await?;
        match change {
            CampaignEvent::RunPlanned { backfill, at, .. } => {
                self.set(db, "planned = planned + 1", Value::Null).await?;
                self.run(db, change).await?;
                if *backfill { Ok(()) } else { self.decided(db, *at).await }
            }
            CampaignEvent::RunsSkipped { span, at, .. } => {
                self.set(db, "skipped = skipped + ($4::jsonb)::bigint", span.count.into()).await?;
                self.decided(db, *at).await
            }
            CampaignEvent::RunsMissed { span, at } => {
                self.set(db, "missed = missed + ($4::jsonb)::bigint", span.count.into()).await?;
                self.decided(db, *at).await
            }
            _ => self.run(db, change).await,
        }
    }

    /// A run that is not over changes.
    async fn run(&self, db: &mut PgConnection, change: &CampaignEvent) -> Result<(), ProjectionError> {
        let stage = |job_id: &JobId, stage| -> Result<(String, Value), ProjectionError> {
            Ok((format!("open_runs = jsonb_set(open_runs, '{{{job_id},stage}}', $4)"), columns::to_json(&stage)?))
        };
        let (assignment, value) = match change {
            CampaignEvent::RunPlanned { run, backfill, waits, .. } => {
                let stage = if *waits { Stage::Waiting } else { Stage::Released };
                add(run.job_id, OpenRun { run: *run, backfill: *backfill, stage })?
            }
            CampaignEvent::RunReopened { run, .. } => {
                add(run.job_id, OpenRun { run: *run, backfill: false, stage: Stage::Released })?
            }
            CampaignEvent::RunReleased { run, .. } => stage(&run.job_id, Stage::Released)?,
            CampaignEvent::RunCancelRequested { job_id, .. } => stage(job_id, Stage::Cancelling)?,
            CampaignEvent::RunWithdrawn { job_id, .. } | CampaignEvent::RunEnded { job_id, .. } => {
                (format!("open_runs = open_runs - '{job_id}'"), Value::Null)
            }
            CampaignEvent::RunContinued { job_id, next, .. } => (
                format!(
                    "open_runs = (open_runs - '{job_id}')
                              || jsonb_build_object('{next}',
                                     jsonb_set(open_runs -> '{job_id}', '{{run,job_id}}', $4))"
                ),
                columns::to_json(next)?,
            ),
            _ => return Ok(()),
        };
        self.set(db, &assignment, value).await
    }

    async fn decided(&self, db: &mut PgConnection, until: DateTime<Utc>) -> Result<(), ProjectionError> {
        let until = columns::to_json(&until)?;
        self.set(db, "decided_until = ($4::jsonb #>> '{}')::timestamptz", until).await
    }

    /// Updates the row by an assignment of ours, in which `$4` is `value`.
    async fn set(&self, db: &mut PgConnection, assignment: &str, value: Value) -> Result<(), ProjectionError> {
        let sql = format!(
            "UPDATE campaign_schedules
                SET {assignment}, position = $2, updated_at = $3
              WHERE campaign_id = $1
                AND ($4::jsonb IS NULL OR true)"
        );
        let done = sqlx::query(&sql)
            .bind(self.campaign_id.uuid())
            .bind(self.event.stored.position)
            .bind(self.event.stored.recorded_at)
            .bind(columns::clean(value))
            .execute(db)
            .await?;
        columns::one_row(&done, "campaign_schedules", self.campaign_id)
    }
}

fn add(job_id: JobId, open: OpenRun) -> Result<(String, Value), ProjectionError> {
    Ok((format!("open_runs = open_runs || jsonb_build_object('{job_id}', $4::jsonb)"), columns::to_json(&open)?))
}

impl FromRow<'_, PgRow> for CampaignSchedule {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let open: BTreeMap<String, OpenRun> = columns::json(row, "open_runs")?;
        let mut open_runs: Vec<OpenRun> = open.into_values().collect();
        open_runs.sort_by_key(|open| open.run.due_at);
        Ok(Self {
            campaign_id: columns::id(row, "campaign_id", CampaignId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            archived: row.try_get("archived")?,
            schedule: columns::optional_json(row, "schedule")?,
            decided_until: row.try_get("decided_until")?,
            paused_by: row.try_get("paused_by")?,
            planned: row.try_get("planned")?,
            skipped: row.try_get("skipped")?,
            missed: row.try_get("missed")?,
            decisions: columns::json(row, "decisions")?,
            open_runs,
            bot_running: row.try_get("bot_running")?,
        })
    }
}

/// A row with `decisions` as given: the scheduler has no use for them.
fn select(decisions: &str) -> String {
    format!(
        "SELECT campaign.campaign_id, campaign.bot_id, campaign.archived, campaign.schedule, campaign.decided_until,
                campaign.paused_by, campaign.planned, campaign.skipped, campaign.missed, {decisions} AS decisions,
                campaign.open_runs, COALESCE(bot.running, false) AS bot_running
           FROM campaign_schedules AS campaign
           LEFT JOIN campaign_schedules_bots AS bot ON bot.bot_id = campaign.bot_id"
    )
}

const ALL: &str = "campaign.decisions";
const NONE: &str = "'[]'::jsonb";

/// What the scheduler has to look after: active campaigns with a schedule.
const LOOKED_AFTER: &str = "campaign.schedule IS NOT NULL AND NOT campaign.archived";

/// The schedule of a campaign.
pub async fn by_id(db: impl PgExecutor<'_>, campaign_id: CampaignId) -> Result<Option<CampaignSchedule>, sqlx::Error> {
    sqlx::query_as(&format!("{} WHERE campaign.campaign_id = $1", select(ALL)))
        .bind(campaign_id.uuid())
        .fetch_optional(db)
        .await
}

/// The schedules of many campaigns, in no order.
pub async fn by_ids(
    db: impl PgExecutor<'_>,
    campaign_ids: &[CampaignId],
) -> Result<Vec<CampaignSchedule>, sqlx::Error> {
    let ids: Vec<_> = campaign_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("{} WHERE campaign.campaign_id = ANY ($1)", select(ALL))).bind(ids).fetch_all(db).await
}

/// What the scheduler has to look after of these bots. Without decisions.
pub async fn of_bots(db: impl PgExecutor<'_>, bot_ids: &[BotId]) -> Result<Vec<CampaignSchedule>, sqlx::Error> {
    let ids: Vec<_> = bot_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("{} WHERE campaign.bot_id = ANY ($1) AND {LOOKED_AFTER}", select(NONE)))
        .bind(ids)
        .fetch_all(db)
        .await
}

/// What the scheduler has to look after of all bots, by the ids of the campaigns. Without decisions.
pub async fn looked_after(
    db: impl PgExecutor<'_>,
    after: Option<CampaignId>,
    limit: i64,
) -> Result<Vec<CampaignSchedule>, sqlx::Error> {
    page(db, LOOKED_AFTER, after, limit).await
}

/// The campaigns that have runs that are not over, by their ids. Without decisions.
pub async fn with_open_runs(
    db: impl PgExecutor<'_>,
    after: Option<CampaignId>,
    limit: i64,
) -> Result<Vec<CampaignSchedule>, sqlx::Error> {
    page(db, "campaign.open_runs <> '{}'", after, limit).await
}

async fn page(
    db: impl PgExecutor<'_>,
    which: &str,
    after: Option<CampaignId>,
    limit: i64,
) -> Result<Vec<CampaignSchedule>, sqlx::Error> {
    let sql = format!(
        "{}
          WHERE {which}
            AND ($1::uuid IS NULL OR campaign.campaign_id > $1)
          ORDER BY campaign.campaign_id
          LIMIT $2",
        select(NONE)
    );
    sqlx::query_as(&sql).bind(after.map(CampaignId::uuid)).bind(limit).fetch_all(db).await
}

/// The bots whose schedules or running changed after a position of the log, in its order; rows become visible in it.
pub async fn changed(db: impl PgExecutor<'_>, after: i64, limit: i64) -> Result<Vec<(BotId, i64)>, sqlx::Error> {
    let rows: Vec<(uuid::Uuid, i64)> = sqlx::query_as(
        "SELECT bot_id, position
           FROM (SELECT bot_id, position FROM campaign_schedules WHERE position > $1
                  UNION ALL
                 SELECT bot_id, position FROM campaign_schedules_bots WHERE position > $1) AS changed
          ORDER BY position
          LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(bot_id, position)| (BotId::from_uuid(bot_id), position)).collect())
}

/// The position of the newest change.
pub async fn newest_change(db: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT GREATEST((SELECT COALESCE(max(position), 0) FROM campaign_schedules),
                         (SELECT COALESCE(max(position), 0) FROM campaign_schedules_bots))",
    )
    .fetch_one(db)
    .await
}

/// How many due times of all campaigns nobody decided in time.
pub async fn missed(db: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(sum(missed), 0)::bigint FROM campaign_schedules").fetch_one(db).await
}
