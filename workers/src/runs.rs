//! The runs of campaigns as jobs: whether one may begin, and what its campaign is told when it ends.

use chrono::{DateTime, Utc};
use domain::campaign::{Campaign, CampaignCommand, RunEnding, Stage, schedule};
use domain::ids::{CampaignId, JobId};
use domain::job::{JobState, Origin};
use projections::reactor::work::RunNews;
use store::command_bus::ExecuteError;

use crate::disposition::Disposition;
use crate::errand::Errand;
use crate::fault::Fault;

/// Tells a campaign; told again, it changes nothing.
pub(crate) async fn record(
    errand: &Errand,
    campaign_id: CampaignId,
    (job_id, due_at): (JobId, DateTime<Utc>),
    news: RunNews,
) -> Result<Disposition, Fault> {
    let bot = errand.load().await?.state();
    let at = errand.now();
    let command = match news {
        RunNews::Ended { ending } => CampaignCommand::RecordRunEnded { job_id, ending, bot, at },
        RunNews::Continued { next } => CampaignCommand::RecordRunContinued { job_id, next, at },
        RunNews::Reopened {} => CampaignCommand::RecordRunReopened { job_id, due_at, at },
    };
    let is_taken = tell(errand, campaign_id, command).await?;
    Ok(Disposition::done(if is_taken { "RECORDED" } else { "REFUSED" }))
}

/// Tells a campaign something once for this command.
async fn tell(errand: &Errand, campaign_id: CampaignId, command: CampaignCommand) -> Result<bool, Fault> {
    let metadata = errand.metadata(errand.once(command.name()));
    match errand.bus.execute::<Campaign>(&campaign_id.to_string(), command, &metadata).await {
        Ok(_) => Ok(true),
        Err(ExecuteError::Refused(refusal)) => {
            tracing::warn!(campaign.id = %campaign_id, code = refusal.code(), "the campaign does not take this");
            Ok(false)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

/// Why the job of a campaign is not to be made after all: its run was taken back meanwhile, or the campaign runs by a
/// schedule and not by automation being enabled.
pub(crate) async fn held_back(errand: &Errand, job_id: JobId, origin: &Origin) -> Result<Option<Disposition>, Fault> {
    let Origin::Campaign { campaign_id, due_at } = origin else { return Ok(None) };
    let campaign = errand.bus.load::<Campaign>(&campaign_id.to_string()).await?.state;
    if job_id != schedule::job_id(*campaign_id, *due_at) {
        return Ok(campaign.has_schedule().then(|| Disposition::done("RUNS_BY_SCHEDULE")));
    }
    let open = campaign.runs().and_then(|runs| runs.open().iter().find(|open| open.run.job_id == job_id));
    match open.map(|open| open.stage) {
        Some(Stage::Released) => Ok(None),
        Some(Stage::Cancelling) => {
            // It was asked to end before it began.
            let (bot, at) = (errand.load().await?.state(), errand.now());
            tell(errand, *campaign_id, CampaignCommand::RecordRunNotStarted { job_id, bot, at }).await?;
            Ok(Some(Disposition::done("CANCELLED_BEFORE")))
        }
        Some(Stage::Waiting) | None => Ok(Some(Disposition::done("NOT_PLANNED"))),
    }
}

/// How a job that is over ended; `None` for one that is not, or goes on as another.
pub(crate) const fn ending_of(state: JobState) -> Option<RunEnding> {
    match state {
        JobState::Completed => Some(RunEnding::Completed),
        JobState::Failed => Some(RunEnding::Failed),
        JobState::Cancelled => Some(RunEnding::Cancelled),
        JobState::Terminated => Some(RunEnding::Terminated),
        JobState::NotCreated
        | JobState::Pending
        | JobState::Running
        | JobState::Paused
        | JobState::Cancelling
        | JobState::NeedsAttention
        | JobState::Continued => None,
    }
}
