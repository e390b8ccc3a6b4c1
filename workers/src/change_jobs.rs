//! Carries out a change of many jobs, one after the other, with the person who asked as the actor. Where it broke off, it
//! goes on: what became of each job is recorded, and a command that was told before gets its first answer.

use std::time::Duration;

use domain::ids::{JobId, RequestId, derive};
use domain::job::{Job, JobChange, JobError, JobPriority};
use domain::metadata::{Actor, Metadata};
use store::StoreError;
use store::bulk::{self, BulkOperation};
use store::command_bus::ExecuteError;
use tokio::time::Instant;
use uuid::Uuid;

use crate::disposition::Disposition;
use crate::engine::Engine;
use crate::errand::Errand;
use crate::fault::Fault;

/// Jobs whose turns are read at a time.
const PAGE: i64 = 200;
/// Then the other commands of the bot have their turn.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// Carries out the operation as far as its turn goes.
pub(crate) async fn change_jobs(engine: &Engine, errand: &Errand, id: Uuid) -> Result<Disposition, Fault> {
    let Some(operation) = bulk::find(&engine.pool, id).await? else { return Ok(Disposition::done("NO_OPERATION")) };
    let (Ok(change), Ok(actor)) = (operation.change.parse::<JobChange>(), operation.actor.parse::<Actor>()) else {
        return Ok(Disposition::done("UNREADABLE"));
    };
    let until = Instant::now() + LONGEST_TURN;
    loop {
        let pending = bulk::results(&engine.pool, id, Some("PENDING"), None, false, PAGE).await?;
        if pending.is_empty() {
            bulk::finish(&engine.pool, id, errand.now()).await?;
            return Ok(Disposition::done("CHANGED"));
        }
        for result in pending {
            if Instant::now() >= until {
                return Ok(Disposition::snooze(errand.now(), "MORE_TO_CHANGE"));
            }
            let refusal = change_one(errand, &operation, change, &actor, result.job_id).await?;
            let told = refusal.as_ref().map(|refusal| (refusal.code(), refusal.to_string()));
            let refused = told.as_ref().map(|(code, message)| (*code, message.as_str()));
            bulk::record(&engine.pool, id, result.number, refused, errand.now()).await?;
        }
    }
}

/// Why the job did not take the change; `None` when it did.
async fn change_one(
    errand: &Errand,
    operation: &BulkOperation,
    change: JobChange,
    actor: &Actor,
    job_id: JobId,
) -> Result<Option<JobError>, Fault> {
    let (stream, operation_id) = (job_id.to_string(), operation.id.to_string());
    let request_id = RequestId::from_uuid(derive(&["change_jobs", &operation_id, &stream]));
    let at = errand.now();
    let metadata = Metadata {
        correlation_id: operation.correlation_id,
        causation_id: operation.id,
        actor: actor.clone(),
        request_id,
        recorded_at: at,
    };
    if errand.bus.repository().request(request_id).await?.is_some() {
        return Ok(None);
    }
    let job = errand.bus.load::<Job>(&stream).await?.state;
    if job.bot_id() != Some(operation.bot_id) {
        return Err(StoreError::InvalidRequest { reason: "a job of another bot" }.into());
    }
    // One that is set was checked when it was asked for.
    let priority = operation.priority.as_deref().and_then(|name| name.parse::<JobPriority>().ok());
    let command = match change.command(&job, operation.reason.clone(), priority, at) {
        Ok(command) => command,
        Err(refusal) => return Ok(Some(refusal)),
    };
    match errand.bus.execute::<Job>(&stream, command, &metadata).await {
        Ok(_) => Ok(None),
        Err(ExecuteError::Refused(refusal)) => Ok(Some(refusal)),
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}
