//! One activation of a job: replay, go on as far as it goes, write, and say what ends the wait.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::decide::Decide;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, derive};
use domain::job::{Job, JobCommand, JobState, Origin, Wake};
use domain::metadata::Metadata;
use serde_json::Value;
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, EventRepository};

use super::context::{Context, NewChild, Stop};
use super::error::{EngineError, WorkflowError};
use super::stream::{JobStream, Provenance};
use super::workflow::Registry;

/// How one activation of a job ended.
#[derive(Debug, PartialEq)]
pub enum Activation {
    /// The job is over, or needs a person: nothing more happens by itself.
    Settled { state: JobState, started: Vec<JobId> },
    /// It waits for the earliest of these. `started` are jobs that it started and that have to be run.
    Waits { wakes: Vec<Wake>, started: Vec<JobId> },
}

/// Runs jobs.
#[derive(Clone)]
pub struct Runner {
    repository: Arc<dyn EventRepository>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

enum Ended {
    Returned(Result<Value, WorkflowError>),
    Stopped(Vec<Stop>),
}

impl Runner {
    /// A runner of the workflows in `registry`.
    #[must_use]
    pub fn new(
        repository: Arc<dyn EventRepository>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { repository, registry, clock, entropy }
    }

    /// Makes a job; a second time it is the same job. Running it is [`Runner::activate`].
    pub async fn create(
        &self,
        job_id: JobId,
        bot_id: BotId,
        workflow: &str,
        input: Value,
        origin: Origin,
        provenance: &Provenance,
    ) -> Result<(), EngineError> {
        let at = self.clock.now();
        let workflow = workflow.to_owned();
        let events = Job::default().decide(JobCommand::Create { job_id, bot_id, workflow, input, origin, at })?;
        let request_id = RequestId::from_uuid(derive(&["create", &job_id.to_string()]));
        let request = AppendRequest {
            request_id,
            aggregate_type: Job::TYPE.to_owned(),
            aggregate_id: job_id.to_string(),
            expected_sequence: 0,
            events: events.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
            metadata: Metadata {
                correlation_id: provenance.correlation_id,
                causation_id: provenance.causation_id,
                actor: provenance.actor.clone(),
                request_id,
                recorded_at: at,
            },
            held_epoch: provenance.held_epoch,
        };
        match self.repository.append(request).await {
            // A conflict says that it is there already.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the job until it waits or is over.
    pub async fn activate(&self, job_id: JobId, provenance: Provenance) -> Result<Activation, EngineError> {
        let repository = Arc::clone(&self.repository);
        let mut stream = JobStream::open(repository, Arc::clone(&self.entropy), provenance.clone(), job_id).await?;
        match stream.job().state() {
            JobState::NotCreated => return Err(EngineError::NoSuchJob { job_id }),
            JobState::Pending => stream.decide(JobCommand::Start { at: self.clock.now() })?,
            JobState::Running | JobState::Cancelling => {}
            state => return Ok(Activation::Settled { state, started: Vec::new() }),
        }
        let name = stream.job().workflow().to_owned();
        let workflow =
            self.registry.get(&name).ok_or_else(|| EngineError::UnknownWorkflow { workflow: name.clone() })?;
        let input = stream.job().input().clone();
        let context = Context::new(job_id, stream, Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let ended = run(&context, workflow.start(context.clone(), input)).await;
        self.settle(&context, ended, &provenance).await
    }

    async fn settle(
        &self,
        context: &Context,
        ended: Ended,
        provenance: &Provenance,
    ) -> Result<Activation, EngineError> {
        let mut wakes = Vec::new();
        let mut started = self.start_children(context, provenance).await?;
        let mut stream = context.shared().stream.lock().await;
        match ended {
            Ended::Returned(result) => {
                started.extend(self.end(context, &mut stream, result, provenance).await?);
            }
            Ended::Stopped(stops) => {
                for stop in stops {
                    match stop {
                        Stop::Wait(wake) => wakes.push(wake),
                        Stop::Interrupted | Stop::Beyond(_) => {}
                        Stop::Fault(error) => return Err(error),
                        Stop::Diverged(divergence) => {
                            let at = self.clock.now();
                            stream.decide(JobCommand::Diverge { divergence, at })?;
                        }
                    }
                }
            }
        }
        stream.write().await?;
        match stream.job().state() {
            JobState::Running | JobState::Cancelling => Ok(Activation::Waits { wakes, started }),
            state => Ok(Activation::Settled { state, started }),
        }
    }

    /// Their streams are there before the parent says so, and their ids follow from the parent's: a crash between the
    /// two makes no second one.
    async fn start_children(&self, context: &Context, provenance: &Provenance) -> Result<Vec<JobId>, EngineError> {
        let shared = context.shared();
        let children = std::mem::take(&mut *shared.children.lock().unwrap_or_else(PoisonError::into_inner));
        let bot_id = shared.stream.lock().await.job().bot_id();
        let Some(bot_id) = bot_id else { return Ok(Vec::new()) };
        let mut started = Vec::with_capacity(children.len());
        for NewChild { job_id, index, workflow, input } in children {
            let origin = Origin::Parent { job_id: shared.job_id, index };
            self.create(job_id, bot_id, &workflow, input, origin, provenance).await?;
            started.push(job_id);
        }
        Ok(started)
    }

    /// The code returned.
    async fn end(
        &self,
        context: &Context,
        stream: &mut JobStream,
        result: Result<Value, WorkflowError>,
        provenance: &Provenance,
    ) -> Result<Vec<JobId>, EngineError> {
        let at = self.clock.now();
        if let Some(divergence) = stream.job().journal().left_over(context.index()) {
            stream.decide(JobCommand::Diverge { divergence, at })?;
            return Ok(Vec::new());
        }
        // What others wrote meanwhile, such as a cancellation, counts before the end does.
        stream.write().await?;
        let command = match (result, stream.job().state()) {
            (_, JobState::Cancelling) => JobCommand::FinishCancel { at },
            (_, state) if state != JobState::Running => return Ok(Vec::new()),
            (Ok(result), _) => JobCommand::Complete { result, at },
            (Err(WorkflowError::Failed { code, message }), _) => JobCommand::Fail { code, message, at },
            (Err(WorkflowError::Cancelled), _) => JobCommand::Fail {
                code: "WORKFLOW_CANCELLED".to_owned(),
                message: "the code ended as cancelled, and nobody had asked for it".to_owned(),
                at,
            },
            (Err(WorkflowError::ContinueAsNew(input)), _) => {
                return self.continue_as_new(context, stream, input, provenance).await;
            }
        };
        if let Err(error) = stream.decide(command) {
            let (code, message) = (error.code().to_owned(), error.to_string());
            stream.decide(JobCommand::Fail { code, message, at })?;
        }
        Ok(Vec::new())
    }

    async fn continue_as_new(
        &self,
        context: &Context,
        stream: &mut JobStream,
        input: Value,
        provenance: &Provenance,
    ) -> Result<Vec<JobId>, EngineError> {
        let job_id = context.job_id();
        let next = JobId::from_uuid(derive(&["continued", &job_id.to_string()]));
        let Some(bot_id) = stream.job().bot_id() else { return Ok(Vec::new()) };
        let workflow = stream.job().workflow().to_owned();
        let origin = Origin::Continued { job_id };
        self.create(next, bot_id, &workflow, input.clone(), origin, provenance).await?;
        stream.decide(JobCommand::ContinueAsNew { next, input, at: self.clock.now() })?;
        Ok(vec![next])
    }
}

/// Polls the code until it returns, or until nothing of it is busy and something stopped it.
async fn run(
    context: &Context,
    mut code: futures_util::future::BoxFuture<'static, Result<Value, WorkflowError>>,
) -> Ended {
    let shared = context.shared();
    poll_fn(|task| {
        if let Poll::Ready(result) = code.as_mut().poll(task) {
            return Poll::Ready(Ended::Returned(result));
        }
        let mut stops = shared.stops();
        if shared.busy.load(Ordering::Acquire) == 0 && !stops.is_empty() {
            return Poll::Ready(Ended::Stopped(stops.drain(..).collect()));
        }
        Poll::Pending
    })
    .await
}
