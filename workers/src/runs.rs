//! Tells campaigns what became of the jobs of their runs.

use chrono::{DateTime, Utc};
use domain::campaign::{Campaign, CampaignCommand, RunEnding};
use domain::ids::{CampaignId, JobId};
use domain::job::JobState;
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
    let metadata = errand.metadata(errand.once("record"));
    match errand.bus.execute::<Campaign>(&campaign_id.to_string(), command, &metadata).await {
        Ok(_) => Ok(Disposition::done("RECORDED")),
        Err(ExecuteError::Refused(refusal)) => {
            tracing::warn!(campaign.id = %campaign_id, code = refusal.code(), "the campaign does not take this");
            Ok(Disposition::done("REFUSED"))
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
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
