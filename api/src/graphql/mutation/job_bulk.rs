//! One change of many jobs: the jobs are chosen at once, and changed by a worker.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use domain::ids::derive;
use domain::job as job_domain;
use domain::metadata::Metadata;
use projections::jobs;
use projections::reactor::work::Work;
use store::bulk::{self, MOST_JOBS, NewBulkOperation};
use store::command_queue::NewCommand;
use uuid::Uuid;

use crate::code::Code;
use crate::graphql::ask::{Answer, Ask};
use crate::graphql::error::{UserError, fault};
use crate::graphql::job::JobFilter;
use crate::graphql::job_bulk::JobBulkOperation;
use crate::graphql::names::{JobChange, JobPriority};

/// Failures that count before the worker gives up.
const MOST_ATTEMPTS: i32 = 10;
const LONGEST_REASON: usize = 500;

/// A change of many jobs.
#[derive(Debug, InputObject)]
pub struct ChangeJobsInput {
    /// Which of the caller's own jobs. Without states, those that can take the change by their state.
    filter: JobFilter,
    /// What is asked of each.
    action: JobChange,
    /// Which priority they get: with `PRIORITIZE`, and with nothing else.
    priority: Option<JobPriority>,
    /// Why, at most 500 characters; the history of each job keeps it.
    #[graphql(default)]
    reason: String,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// What `changeJobs` began.
#[derive(SimpleObject)]
pub struct ChangeJobsPayload {
    /// The operation, which goes on by itself; null when it was refused.
    operation: Option<JobBulkOperation>,
    /// Why it was refused; empty when it was begun.
    user_errors: Vec<UserError>,
}

/// Mutations of many jobs.
#[derive(Default)]
pub struct JobBulkMutation;

#[Object]
impl JobBulkMutation {
    /// Pauses, resumes, cancels, ends, retries or prioritizes the jobs that a filter finds now, at most 10,000. Each job's history
    /// says who asked.
    async fn change_jobs(&self, ctx: &Context<'_>, input: ChangeJobsInput) -> Result<ChangeJobsPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let ChangeJobsInput { filter, action, priority, reason, .. } = input;
        let change = job_domain::JobChange::from(action);
        let filter = filter.checked(ask.caller, ask.services.deps.clock.now())?;
        let answer = ask
            .once(&[], |metadata: Metadata| async move {
                if filter.bot_id != Some(ask.bot_id()) {
                    let message = "only the jobs of one's own bot can be changed";
                    return Ok(Answer::refused(UserError::new(Code::Forbidden, message, &["filter"])));
                }
                if reason.chars().count() > LONGEST_REASON {
                    let (field, length) = ("the reason", reason.chars().count());
                    let error = job_domain::JobError::TooLong { field, length, most: LONGEST_REASON };
                    return Ok(Answer::refused(&error));
                }
                if priority.is_some() != (change == job_domain::JobChange::Prioritize) {
                    let message = "a priority is given with PRIORITIZE, and with nothing else";
                    return Ok(Answer::refused(UserError::new(Code::BadInput, message, &["priority"])));
                }
                begin(ask, filter, (change, priority.map(Into::into)), reason, &metadata).await
            })
            .await?;
        let operation = match answer.subject() {
            Some(id) => bulk::find(&ask.services.deps.pool, id).await.map_err(fault)?.map(JobBulkOperation),
            None => None,
        };
        Ok(ChangeJobsPayload { operation, user_errors: answer.user_errors })
    }
}

async fn begin(
    ask: &Ask<'_>,
    mut filter: jobs::JobFilter,
    (change, priority): (job_domain::JobChange, Option<job_domain::JobPriority>),
    reason: String,
    metadata: &Metadata,
) -> Result<Answer> {
    if filter.states.is_empty() {
        filter.states = change.states().to_vec();
    }
    let deps = &ask.services.deps;
    let most = i64::try_from(MOST_JOBS + 1).unwrap_or(i64::MAX);
    let found = jobs::ids(&deps.pool, &filter, most).await.map_err(fault)?;
    if found.len() > MOST_JOBS {
        let message = format!("the filter finds more than {MOST_JOBS} jobs; narrow it and ask several times");
        return Ok(Answer::refused(UserError::new(Code::JobSelectionTooLarge, message, &["filter"])));
    }
    let id = metadata.request_id.uuid();
    let operation = NewBulkOperation {
        id,
        bot_id: ask.bot_id(),
        change: change.as_str().to_owned(),
        priority: priority.map(|priority| priority.as_str().to_owned()),
        reason,
        actor: metadata.actor.to_string(),
        correlation_id: metadata.correlation_id,
        at: metadata.recorded_at,
    };
    let work = Work::ChangeJobs { operation_id: id };
    let begun = bulk::begin(&deps.pool, &operation, &found, errand(ask, &work, id, metadata)).await;
    begun.map_err(fault)?;
    deps.queue.wake();
    Ok(Answer { subject: Some(id), ..Answer::default() })
}

/// The durable command that a person's wish leads to; `about` is what it can be found by.
pub fn errand(ask: &Ask<'_>, work: &Work, about: Uuid, metadata: &Metadata) -> NewCommand {
    let request = metadata.request_id.to_string();
    NewCommand {
        id: derive(&["command", work.kind(), &request]),
        bot_id: ask.bot_id(),
        kind: work.kind().to_owned(),
        payload: work.payload(),
        dedupe_key: Some(format!("{}:{request}", work.kind())),
        group_key: Some(about),
        priority: work.priority(),
        not_before: metadata.recorded_at,
        max_attempts: MOST_ATTEMPTS,
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id,
        actor: metadata.actor.to_string(),
    }
}
