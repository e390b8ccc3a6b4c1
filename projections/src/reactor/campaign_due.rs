//! Runs of campaigns by their schedules: a planned run starts a job, the end of a job is told to its campaign.
//!
//! Which job is whose is in a table of the reactor's own; the end of a job does not say it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::campaign::schedule::PlannedRun;
use domain::campaign::{CampaignEvent, RunEnding};
use domain::ids::{BotId, CampaignId, JobId};
use domain::job::{JobEvent, Origin};
use sqlx::{PgConnection, Row};
use store::command_queue::CommandQueue;

use super::work::{CAMPAIGN_RUN, RunNews, Work};
use crate::columns;
use crate::error::ProjectionError;
use crate::projection::{Kind, LogEvent, Projection};

/// The reactor to runs that are planned and jobs that end.
#[derive(Debug, Clone)]
pub struct CampaignDue {
    queue: CommandQueue,
}

impl CampaignDue {
    /// A reactor that wakes the workers of `queue`.
    #[must_use]
    pub const fn new(queue: CommandQueue) -> Self {
        Self { queue }
    }
}

/// The work that begins a planned run; the same however often it is asked for.
#[must_use]
pub fn start_of(campaign_id: CampaignId, run: &PlannedRun) -> Work {
    let PlannedRun { job_id, due_at, .. } = *run;
    Work::StartJob {
        job_id,
        workflow: CAMPAIGN_RUN.to_owned(),
        input: serde_json::json!({ "campaign_id": campaign_id, "due_at": due_at }),
        origin: Origin::Campaign { campaign_id, due_at },
    }
}

#[async_trait]
impl Projection for CampaignDue {
    fn name(&self) -> &'static str {
        "reactor_campaign_due"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["campaign_due_jobs"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Campaign", "Job"]
    }

    fn kind(&self) -> Kind {
        Kind::Reactor
    }

    fn committed(&self) {
        self.queue.wake();
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        match &event.event {
            AnyEvent::Campaign(campaign_id, change) => of_campaign(db, event, *campaign_id, change).await,
            AnyEvent::Job(job_id, change) => of_job(db, event, *job_id, change).await,
            _ => Ok(()),
        }
    }
}

async fn of_campaign(
    db: &mut PgConnection,
    event: &LogEvent,
    campaign_id: CampaignId,
    change: &CampaignEvent,
) -> Result<(), ProjectionError> {
    match change {
        CampaignEvent::RunPlanned { bot_id, run, waits: false, .. }
        | CampaignEvent::RunReleased { bot_id, run, .. } => {
            let work = start_of(campaign_id, run);
            // Found again by its job, should it never begin.
            let group = Some(run.job_id.uuid());
            let mut command = super::command(event, *bot_id, &work, &run.job_id.to_string(), group)?;
            command.not_before = command.not_before.max(run.start_at);
            CommandQueue::enqueue_in(db, &[command]).await?;
        }
        CampaignEvent::RunCancelRequested { bot_id, job_id, by_due_at, .. } => {
            let reason = format!("the next run is due at {}", by_due_at.format("%Y-%m-%d %H:%M:%S UTC"));
            let work = Work::CancelJobs { reason, jobs: vec![*job_id] };
            let command = super::command(event, *bot_id, &work, &job_id.to_string(), None)?;
            CommandQueue::enqueue_in(db, &[command]).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn of_job(
    db: &mut PgConnection,
    event: &LogEvent,
    job_id: JobId,
    change: &JobEvent,
) -> Result<(), ProjectionError> {
    let news = match change {
        JobEvent::JobCreated { bot_id, origin: Origin::Campaign { campaign_id, due_at }, .. } => {
            let owner = Owner { bot_id: *bot_id, campaign_id: *campaign_id, due_at: *due_at };
            return owner.of(db, job_id).await;
        }
        JobEvent::JobCompleted { .. } => RunNews::Ended { ending: RunEnding::Completed },
        JobEvent::JobFailed { .. } => RunNews::Ended { ending: RunEnding::Failed },
        JobEvent::JobCancelled { .. } => RunNews::Ended { ending: RunEnding::Cancelled },
        JobEvent::JobTerminated { .. } => RunNews::Ended { ending: RunEnding::Terminated },
        JobEvent::JobContinuedAsNew { next, .. } => RunNews::Continued { next: *next },
        JobEvent::JobReset { .. } => RunNews::Reopened {},
        _ => return Ok(()),
    };
    let Some(owner) = Owner::find(db, job_id).await? else { return Ok(()) };
    if let RunNews::Continued { next } = news {
        owner.of(db, next).await?;
    }
    let Owner { bot_id, campaign_id, due_at } = owner;
    let work = Work::RecordRun { campaign_id, job_id, due_at, news };
    let command = super::command(event, bot_id, &work, "", None)?;
    CommandQueue::enqueue_in(db, &[command]).await?;
    Ok(())
}

/// Whose run a job is.
struct Owner {
    bot_id: BotId,
    campaign_id: CampaignId,
    due_at: DateTime<Utc>,
}

impl Owner {
    async fn of(&self, db: &mut PgConnection, job_id: JobId) -> Result<(), ProjectionError> {
        sqlx::query(
            "INSERT INTO campaign_due_jobs (job_id, bot_id, campaign_id, due_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(job_id.uuid())
        .bind(self.bot_id.uuid())
        .bind(self.campaign_id.uuid())
        .bind(self.due_at)
        .execute(db)
        .await?;
        Ok(())
    }

    async fn find(db: &mut PgConnection, job_id: JobId) -> Result<Option<Self>, ProjectionError> {
        let row = sqlx::query("SELECT bot_id, campaign_id, due_at FROM campaign_due_jobs WHERE job_id = $1")
            .bind(job_id.uuid())
            .fetch_optional(db)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Self {
            bot_id: columns::id(&row, "bot_id", BotId::from_uuid)?,
            campaign_id: columns::id(&row, "campaign_id", CampaignId::from_uuid)?,
            due_at: row.try_get("due_at")?,
        }))
    }
}
