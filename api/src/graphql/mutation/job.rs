//! Mutations of one job. Each is a command with the person as its actor, so that the history says who did it.

use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::job::{self as job_domain, Inheritance, JobCommand, JobError, JobEvent};
use domain::metadata::Metadata;
use serde_json::Value;
use store::command_bus::ExecuteError;
use store::decode::Decoder;

use crate::code::Code;
use crate::graphql::ask::{Answer, Ask, JOBS};
use crate::graphql::error::{UserError, fault};
use crate::graphql::job::{Job, STREAM, own};
use crate::graphql::names::JobPriority;

/// Events of the original that are read at a time for a fork.
const PAGE: i64 = 1_000;

/// Inputs that name a job and say why.
macro_rules! reasoned_inputs {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, InputObject)]
            pub struct $name {
                /// Global id of the job.
                job_id: ID,
                /// Why, at most 500 characters; the history keeps it.
                #[graphql(default)]
                reason: String,
                /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
                idempotency_key: Option<String>,
            }
        )+
    };
}

reasoned_inputs! {
    /// A job that is to stand still.
    PauseJobInput,
    /// A job that is to end after cleaning up.
    CancelJobInput,
    /// A job that is to end at once.
    TerminateJobInput,
}

/// A paused job that is to go on.
#[derive(Debug, InputObject)]
pub struct ResumeJobInput {
    /// Global id of the job.
    job_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A job that is to be more or less urgent.
#[derive(Debug, InputObject)]
pub struct PrioritizeJobInput {
    /// Global id of the job.
    job_id: ID,
    /// How urgent it is among the jobs of its bot from now on.
    priority: JobPriority,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Something that a job is to hear.
#[derive(Debug, InputObject)]
pub struct SignalJobInput {
    /// Global id of the job.
    job_id: ID,
    /// The signal's name, 1 to 500 characters.
    name: String,
    /// What comes with it.
    payload: Option<Json<Value>>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A job that is to run again from a step.
#[derive(Debug, InputObject)]
pub struct RetryJobFromStepInput {
    /// Global id of the job.
    job_id: ID,
    /// Where in its journal; left out: the step that failed, where history and code part, or what is under way.
    index: Option<u32>,
    /// Why, at most 500 characters; the history keeps it.
    #[graphql(default)]
    reason: String,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A new job that is to begin with a part of another's history.
#[derive(Debug, InputObject)]
pub struct ForkJobInput {
    /// Global id of the original, which stays as it is.
    job_id: ID,
    /// What is recorded before this place of its journal is taken over; 0 begins from nothing.
    index: u32,
    /// What the new job begins with; the original's input when it is left out.
    input: Option<Json<Value>>,
    /// How urgent the new job is; as somebody set it for the original, else `HIGH`, when it is left out.
    priority: Option<JobPriority>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Payloads with the job as it is after the mutation.
macro_rules! job_payloads {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(SimpleObject)]
            pub struct $name {
                /// The job as it is now; null when it was refused.
                job: Option<Job>,
                /// Why it was refused; empty when it was done.
                user_errors: Vec<UserError>,
            }

            impl From<(Option<Job>, Vec<UserError>)> for $name {
                fn from((job, user_errors): (Option<Job>, Vec<UserError>)) -> Self {
                    Self { job, user_errors }
                }
            }
        )+
    };
}

job_payloads! {
    /// What `pauseJob` did.
    PauseJobPayload,
    /// What `resumeJob` did.
    ResumeJobPayload,
    /// What `prioritizeJob` did.
    PrioritizeJobPayload,
    /// What `cancelJob` did.
    CancelJobPayload,
    /// What `terminateJob` did.
    TerminateJobPayload,
    /// What `signalJob` did.
    SignalJobPayload,
    /// What `retryJobFromStep` did.
    RetryJobFromStepPayload,
    /// What `forkJob` did: the new job.
    ForkJobPayload,
}

/// Mutations of one job.
#[derive(Default)]
pub struct JobMutation;

#[Object]
impl JobMutation {
    /// Lets a job stand still, its timers too. What is under way ends; nothing new begins.
    async fn pause_job(&self, ctx: &Context<'_>, input: PauseJobInput) -> Result<PauseJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let PauseJobInput { job_id, reason, .. } = input;
        Ok(tell(ask, &job_id, |at| JobCommand::Pause { reason, at }).await?.into())
    }

    /// Lets a paused job go on. Timers that had not fired are later by the length of the pause.
    async fn resume_job(&self, ctx: &Context<'_>, input: ResumeJobInput) -> Result<ResumeJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(tell(ask, &input.job_id, |at| JobCommand::Resume { at }).await?.into())
    }

    /// Makes a job more or less urgent among those of its bot, in the line of those that wait to run too. What it starts
    /// or goes on as from then on is as urgent.
    async fn prioritize_job(&self, ctx: &Context<'_>, input: PrioritizeJobInput) -> Result<PrioritizeJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let PrioritizeJobInput { job_id, priority, .. } = input;
        Ok(tell(ask, &job_id, |at| JobCommand::Prioritize { priority: priority.into(), at }).await?.into())
    }

    /// Asks a job to end. Its cleanup runs first.
    async fn cancel_job(&self, ctx: &Context<'_>, input: CancelJobInput) -> Result<CancelJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let CancelJobInput { job_id, reason, .. } = input;
        Ok(tell(ask, &job_id, |at| JobCommand::RequestCancel { reason, at }).await?.into())
    }

    /// Ends a job at once, without its cleanup.
    async fn terminate_job(&self, ctx: &Context<'_>, input: TerminateJobInput) -> Result<TerminateJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let TerminateJobInput { job_id, reason, .. } = input;
        Ok(tell(ask, &job_id, |at| JobCommand::Terminate { reason, at }).await?.into())
    }

    /// Tells a job something that its code waits for, now or later.
    async fn signal_job(&self, ctx: &Context<'_>, input: SignalJobInput) -> Result<SignalJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let SignalJobInput { job_id, name, payload, .. } = input;
        if name.is_empty() {
            let error = UserError::new(Code::BadInput, "a signal has a name", &["name"]);
            return Ok((None, vec![error]).into());
        }
        let payload = payload.map_or(Value::Null, |payload| payload.0);
        Ok(tell(ask, &job_id, |at| JobCommand::Signal { name, payload, at }).await?.into())
    }

    /// Runs a job again from a step: what is recorded from there on counts no more. Side effects that it recorded there
    /// are asked for again, and actions are held to the bot's limits as any other.
    async fn retry_job_from_step(
        &self,
        ctx: &Context<'_>,
        input: RetryJobFromStepInput,
    ) -> Result<RetryJobFromStepPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let RetryJobFromStepInput { job_id, index, reason, .. } = input;
        let act = |metadata: Metadata| async move {
            let Some((id, job)) = own(ask.services, ask.bot_id(), &job_id).await? else { return Ok(missing()) };
            let Some(index) = index.or_else(|| job.retry_index()) else {
                return Ok(Answer::refused(&JobError::NoSuchStep { index: job.journal().edge() }));
            };
            let command = JobCommand::Reset { index, reason, at: metadata.recorded_at };
            execute(ask, id, command, &metadata).await
        };
        let answer = ask.once(JOBS, act).await?;
        Ok(shown(ask, answer).await?.into())
    }

    /// Makes a new job that begins with the history of another before a step, and goes on from there by itself. The
    /// original stays as it is.
    async fn fork_job(&self, ctx: &Context<'_>, input: ForkJobInput) -> Result<ForkJobPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let ForkJobInput { job_id, index, input, priority, .. } = input;
        let act = |metadata: Metadata| async move {
            let Some((from, job)) = own(ask.services, ask.bot_id(), &job_id).await? else { return Ok(missing()) };
            let history = match inherited(ask, from).await?.before(index) {
                Ok(history) => history,
                Err(refusal) => return Ok(Answer::refused(&refusal)),
            };
            // A repeated request must come to the same job.
            let id = JobId::from_uuid(metadata.request_id.uuid());
            let command = JobCommand::Fork {
                job_id: id,
                bot_id: ask.bot_id(),
                workflow: job.workflow().to_owned(),
                input: input.map_or_else(|| job.input().clone(), |input| input.0),
                from,
                index,
                history,
                priority: priority.map(Into::into).or(job.own_priority()),
                at: metadata.recorded_at,
            };
            execute(ask, id, command, &metadata).await
        };
        let answer = ask.once(JOBS, act).await?;
        Ok(shown(ask, answer).await?.into())
    }
}

fn missing() -> Answer {
    Answer::refused(UserError::not_found("job", &["jobId"]))
}

/// Tells a job of the caller's own bot something.
async fn tell(
    ask: &Ask<'_>,
    job_id: &ID,
    command: impl FnOnce(DateTime<Utc>) -> JobCommand + Send,
) -> Result<(Option<Job>, Vec<UserError>)> {
    let act = |metadata: Metadata| async move {
        let Some((id, _)) = own(ask.services, ask.bot_id(), job_id).await? else { return Ok(missing()) };
        let command = command(metadata.recorded_at);
        execute(ask, id, command, &metadata).await
    };
    let answer = ask.once(JOBS, act).await?;
    shown(ask, answer).await
}

async fn execute(ask: &Ask<'_>, id: JobId, command: JobCommand, metadata: &Metadata) -> Result<Answer> {
    match ask.services.deps.bus.execute::<job_domain::Job>(&id.to_string(), command, metadata).await {
        Ok(executed) => Ok(Answer { subject: Some(id.uuid()), ..Answer::done(executed.position) }),
        Err(ExecuteError::Refused(refusal)) => Ok(Answer::refused(&refusal)),
        Err(ExecuteError::Store(error)) => Err(fault(error)),
    }
}

/// The job as its stream says, so that whoever changed it sees that even while the read model is behind.
async fn shown(ask: &Ask<'_>, answer: Answer) -> Result<(Option<Job>, Vec<UserError>)> {
    let Some(id) = answer.subject().map(JobId::from_uuid) else { return Ok((None, answer.user_errors)) };
    Ok((Job::load(ask.services, ask.caller, id).await?, answer.user_errors))
}

/// What a fork of a job may take over.
async fn inherited(ask: &Ask<'_>, from: JobId) -> Result<Inheritance> {
    let repository = ask.services.deps.bus.repository();
    let decoder = Decoder::<job_domain::Job>::default();
    let (id, mut after, mut inheritance) = (from.to_string(), 0, Inheritance::default());
    loop {
        let page = repository.raw_stream(STREAM, &id, after, PAGE).await.map_err(fault)?;
        let Some(last) = page.last() else { return Ok(inheritance) };
        after = last.sequence;
        for raw in &page {
            let event: JobEvent = decoder.decode(raw).map_err(fault)?;
            inheritance.take(event);
        }
    }
}
