//! What commands ask of jobs: that one begins, hears something, or ends. Running them is the desk's.

use domain::ids::{JobId, RequestId, derive};
use domain::job::{Job, JobCommand, Origin};
use serde_json::Value;
use store::command_bus::ExecuteError;
use store::command_queue::QueueError;

use crate::disposition::Disposition;
use crate::engine::Engine;
use crate::errand::Errand;
use crate::fault::Fault;

/// Makes the job's stream; a second time it is the same job.
pub(crate) async fn start(
    errand: &Errand,
    job_id: JobId,
    workflow: String,
    input: Value,
    origin: Origin,
) -> Result<Disposition, Fault> {
    let at = errand.now();
    let create = JobCommand::Create { job_id, bot_id: errand.bot_id(), workflow, input, origin, at };
    let is_new = tell(errand, job_id, "create", create).await?;
    Ok(Disposition::done(if is_new { "STARTED" } else { "STARTED_BEFORE" }))
}

/// Sends a signal to each of `jobs`, or to all live ones of the bot.
pub(crate) async fn signal(
    engine: &Engine,
    errand: &Errand,
    name: &str,
    payload: &Value,
    jobs: Vec<JobId>,
) -> Result<Disposition, Fault> {
    each(engine, errand, jobs, "signal", |at| JobCommand::Signal {
        name: name.to_owned(),
        payload: payload.clone(),
        at,
    })
    .await
}

/// Asks each of `jobs`, or all live ones of the bot, to end.
pub(crate) async fn cancel(
    engine: &Engine,
    errand: &Errand,
    reason: &str,
    jobs: Vec<JobId>,
) -> Result<Disposition, Fault> {
    each(engine, errand, jobs, "cancel", |at| JobCommand::RequestCancel { reason: reason.to_owned(), at }).await
}

async fn each(
    engine: &Engine,
    errand: &Errand,
    jobs: Vec<JobId>,
    step: &str,
    command: impl Fn(chrono::DateTime<chrono::Utc>) -> JobCommand,
) -> Result<Disposition, Fault> {
    let jobs = if jobs.is_empty() { live_of_bot(engine, errand).await? } else { jobs };
    for job_id in jobs {
        tell(errand, job_id, step, command(errand.now())).await?;
    }
    Ok(Disposition::done("TOLD"))
}

/// The read model may be a moment behind; a job that it does not know yet looks at its bot before it acts.
async fn live_of_bot(engine: &Engine, errand: &Errand) -> Result<Vec<JobId>, Fault> {
    let live = projections::jobs::live_of_bot(&engine.pool, errand.bot_id()).await.map_err(QueueError::from)?;
    Ok(live.into_iter().map(|job| job.job_id).collect())
}

/// Tells a job something once for this command; `false` when it does not take it, because it is over or was told.
async fn tell(errand: &Errand, job_id: JobId, step: &str, command: JobCommand) -> Result<bool, Fault> {
    let id = errand.once(&format!("{step}:{job_id}")).uuid();
    let request = RequestId::from_uuid(derive(&["job", &id.to_string()]));
    let name = command.name();
    match errand.bus.execute::<Job>(&job_id.to_string(), command, &errand.metadata(request)).await {
        Ok(_) => Ok(true),
        Err(ExecuteError::Refused(refusal)) => {
            tracing::info!(job.id = %job_id, command = name, code = refusal.code(), "the job does not take this");
            Ok(false)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}
