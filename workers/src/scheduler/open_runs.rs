//! Looks now and then after runs that are not over: what was lost on the way between a job and its campaign is told again.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::bot::Bot;
use domain::campaign::{CampaignCommand, OpenRun, RunEnding, Stage};
use domain::ids::{JobId, partition_of};
use domain::job::{Job, JobState};
use projections::campaign_schedules;
use store::StoreError;
use store::command_bus::CommandBus;

use super::{PAGE, tell};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::job::continuation_of;
use crate::runs::ending_of;

/// Settles the runs of `partitions` whose jobs are over, go on under another id, or will never be made.
pub(super) async fn settle(engine: &Engine, bus: &CommandBus, partitions: &BTreeSet<i32>) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let page = campaign_schedules::with_open_runs(&engine.pool, after, PAGE).await.map_err(StoreError::from)?;
        let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE;
        after = page.last().map(|row| row.campaign_id);
        for row in page.iter().filter(|row| partitions.contains(&partition_of(row.bot_id))) {
            for open in row.open_runs.iter().filter(|open| open.stage != Stage::Waiting) {
                let Some(found) = look(engine, bus, open).await? else { continue };
                let job_id = open.run.job_id;
                tracing::warn!(campaign.id = %row.campaign_id, job.id = %job_id, "told a campaign what it had not heard");
                let bot = bus.load::<Bot>(&row.bot_id.to_string()).await?.state.state();
                tell(&engine.hands, bus, row.campaign_id, |at| match found {
                    Found::Over(ending) => CampaignCommand::RecordRunEnded { job_id, ending, bot, at },
                    Found::Continued(next) => CampaignCommand::RecordRunContinued { job_id, next, at },
                    Found::Nothing => CampaignCommand::RecordRunNotStarted { job_id, bot, at },
                })
                .await?;
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// What a campaign has not heard of the job of a run.
enum Found {
    Over(RunEnding),
    Continued(JobId),
    /// There is no job, and nothing that will make it.
    Nothing,
}

async fn look(engine: &Engine, bus: &CommandBus, open: &OpenRun) -> Result<Option<Found>, Fault> {
    let job_id = open.run.job_id;
    let job = bus.load::<Job>(&job_id.to_string()).await?.state;
    if job.state() == JobState::NotCreated {
        let is_old = open.run.start_at < before(engine, engine.hands.config.settle_time);
        let is_lost = is_old && engine.queue.open_in_group(job_id.uuid()).await? == 0;
        return Ok(is_lost.then_some(Found::Nothing));
    }
    let next = (job.state() == JobState::Continued).then(|| Found::Continued(continuation_of(job_id)));
    Ok(ending_of(job.state()).map(Found::Over).or(next))
}

/// The engine time that was so long ago in real time.
fn before(engine: &Engine, real: Duration) -> DateTime<Utc> {
    let now = engine.hands.now();
    now - (engine.hands.after(real) - now)
}
