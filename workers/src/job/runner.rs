//! One activation of a job: replay, go on as far as it goes, write, and say what ends the wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::decide::Decide;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, derive};
use domain::job::{Job, JobCommand, JobEvent, JobPriority, JobState, LARGEST_VALUE, LONGEST_HISTORY, Origin, Wake};
use domain::metadata::Metadata;
use futures_util::future::try_join_all;
use serde_json::Value;
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, EventRepository};
use tokio::time::Sleep;
use uuid::Uuid;

use super::context::{Context, Known, NewChild, Stop};
use super::desk::{Attention, Children, Seed};
use super::error::{EngineError, WorkflowError};
use super::stream::{JobStream, Provenance};
use super::workflow::Registry;

/// Code that waits longer for something which its context does not know of breaks the rules.
const LONGEST_FOREIGN_WAIT: Duration = Duration::from_secs(10);

/// How one activation of a job ended.
#[derive(Debug, PartialEq)]
pub enum Activation {
    /// The job is over, or needs a person: nothing more happens by itself.
    Settled { state: JobState, started: Vec<JobId> },
    /// It waits for the earliest of these. `started` are jobs that it started and that have to be run.
    Waits { wakes: Vec<Wake>, started: Vec<JobId> },
}

/// A job that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub job_id: JobId,
    pub bot_id: BotId,
    pub workflow: String,
    pub input: Value,
    pub origin: Origin,
    /// `None`: as its origin has it.
    pub priority: Option<JobPriority>,
}

/// What is to be run, and what is known of it.
#[derive(Debug)]
pub struct Assignment {
    pub job_id: JobId,
    pub provenance: Provenance,
    /// The event that made the job, if nothing else is known to be written.
    pub seed: Option<Seed>,
    /// The children that are asked whether they have ended.
    pub children: Children,
    pub attention: Option<Arc<Attention>>,
}

impl Assignment {
    /// A job of which nothing is known.
    #[must_use]
    pub const fn new(job_id: JobId, provenance: Provenance) -> Self {
        Self { job_id, provenance, seed: None, children: Children::Unasked, attention: None }
    }
}

/// What an activation came to, and who waits for that.
#[derive(Debug, PartialEq)]
pub struct Ran {
    pub activation: Activation,
    /// The job is over and was a child: its parent, and the child that the parent knows.
    pub parent: Option<(JobId, JobId)>,
    /// As the stream says.
    pub priority: JobPriority,
}

/// Runs jobs.
#[derive(Clone)]
pub struct Runner {
    pub(super) repository: Arc<dyn EventRepository>,
    registry: Registry,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    history_limit: u32,
}

enum Ended {
    Returned(Result<Value, WorkflowError>),
    Stopped(Vec<Stop>),
    /// It waits for something that is not the context's.
    Astray,
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
        Self { repository, registry, clock, entropy, history_limit: LONGEST_HISTORY }
    }

    /// Jobs go on as new ones, where their code can, after so many events.
    #[must_use]
    pub const fn with_history_limit(mut self, events: u32) -> Self {
        self.history_limit = events;
        self
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
        let workflow = workflow.to_owned();
        self.make(NewJob { job_id, bot_id, workflow, input, origin, priority: None }, provenance).await
    }

    async fn make(&self, new: NewJob, provenance: &Provenance) -> Result<(), EngineError> {
        self.append_new(self.creation(new, provenance)?).await
    }

    /// Makes many jobs at once; those that are there already are left as they are. When it fails, some may be made;
    /// asking again makes the others.
    pub async fn create_all(&self, jobs: Vec<NewJob>, provenance: &Provenance) -> Result<(), EngineError> {
        let creations = jobs.into_iter().map(|job| self.creation(job, provenance)).collect::<Result<Vec<_>, _>>()?;
        try_join_all(creations.into_iter().map(|creation| self.append_new(creation))).await?;
        Ok(())
    }

    fn creation(&self, new: NewJob, provenance: &Provenance) -> Result<AppendRequest, EngineError> {
        let NewJob { job_id, bot_id, workflow, input, origin, priority } = new;
        let at = self.clock.now();
        let mut events = Job::default().decide(JobCommand::Create { job_id, bot_id, workflow, input, origin, at })?;
        events.extend(priority.map(|priority| JobEvent::JobPrioritized { priority, at }));
        let request_id = creation_id(job_id);
        Ok(AppendRequest {
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
        })
    }

    async fn append_new(&self, creation: AppendRequest) -> Result<(), EngineError> {
        match self.repository.append(creation).await {
            // A conflict says that it is there already.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the job until it waits or is over.
    pub async fn activate(&self, job_id: JobId, provenance: Provenance) -> Result<Activation, EngineError> {
        let assignment = Assignment { children: Children::All, ..Assignment::new(job_id, provenance) };
        Ok(self.run(assignment).await?.activation)
    }

    /// As [`Runner::activate`], for whoever knows more of the job, and tells a parent of its child's end.
    pub async fn run(&self, assignment: Assignment) -> Result<Ran, EngineError> {
        let Assignment { job_id, provenance, seed, children, attention } = assignment;
        let mut stream = self.open(job_id, provenance.clone(), seed).await?;
        if stream.state() == JobState::NotCreated {
            return Err(EngineError::NoSuchJob { job_id });
        }
        if children == Children::All {
            self.follow_parent(&mut stream).await?;
        }
        match stream.state() {
            JobState::Pending => stream.decide(JobCommand::Start { at: self.clock.now() })?,
            JobState::Running | JobState::Cancelling => {}
            state => {
                stream.write().await?;
                return self
                    .ran(stream.job(), Activation::Settled { state, started: Vec::new() }, &provenance, true)
                    .await;
            }
        }
        let name = stream.job().workflow();
        let workflow = self.registry.get(name).cloned();
        let workflow = workflow.ok_or_else(|| EngineError::UnknownWorkflow { workflow: name.to_owned() })?;
        let missing = self.finish_children(&mut stream, &children).await?;
        let input = stream.job().input().clone();
        let known = Known { attention, history_limit: self.history_limit, missing };
        let context = Context::new(job_id, stream, Arc::clone(&self.clock), Arc::clone(&self.entropy), known);
        let ended = run(&context, workflow.start(context.clone(), input)).await;
        let activation = self.settle(&context, ended, &provenance).await?;
        let stream = context.shared().stream.lock().await;
        self.ran(stream.job(), activation, &provenance, children == Children::All).await
    }

    /// What an activation came to. `looks`: the job looks at its children, whether or not it is over.
    async fn ran(
        &self,
        job: &Job,
        activation: Activation,
        provenance: &Provenance,
        looks: bool,
    ) -> Result<Ran, EngineError> {
        if looks || job.state().is_over() {
            self.let_go(job, provenance).await?;
        }
        let parent = match &activation {
            Activation::Settled { .. } => self.parent_of(job).await?,
            Activation::Waits { .. } => None,
        };
        Ok(Ran { activation, parent, priority: job.priority() })
    }

    /// Ends the job with a failure that is not its code's own decision.
    pub async fn fail(
        &self,
        job_id: JobId,
        code: &str,
        message: &str,
        provenance: Provenance,
    ) -> Result<Ran, EngineError> {
        let mut stream = self.open(job_id, provenance.clone(), None).await?;
        let (code, message, at) = (code.to_owned(), message.to_owned(), self.clock.now());
        if stream.state() == JobState::Pending {
            stream.decide(JobCommand::Start { at })?;
        }
        // Somebody else may have ended it.
        if stream.decide(JobCommand::Fail { code, message, at }).is_ok() {
            stream.write().await?;
        }
        let activation = Activation::Settled { state: stream.state(), started: Vec::new() };
        self.ran(stream.job(), activation, &provenance, true).await
    }

    pub(super) async fn open(
        &self,
        job_id: JobId,
        provenance: Provenance,
        seed: Option<Seed>,
    ) -> Result<JobStream, StoreError> {
        let (repository, entropy) = (Arc::clone(&self.repository), Arc::clone(&self.entropy));
        if let Some(Seed { payload, event_id, correlation_id }) = seed {
            let provenance = Provenance { correlation_id, causation_id: event_id, ..provenance.clone() };
            let (repository, entropy) = (Arc::clone(&repository), Arc::clone(&entropy));
            if let Some(stream) = JobStream::seeded(repository, entropy, provenance, job_id, &payload) {
                return Ok(stream);
            }
        }
        JobStream::open(repository, entropy, provenance, job_id).await
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
            _ if stream.is_rewound() => {}
            Ended::Returned(result) => {
                started.extend(self.end(context, &mut stream, result, provenance).await?);
            }
            Ended::Astray => {
                let seconds = LONGEST_FOREIGN_WAIT.as_secs();
                let message = format!("the code waited for {seconds} s for something that its context does not know");
                self.break_off(&mut stream, "WORKFLOW_STALLED", message)?;
            }
            Ended::Stopped(stops) => {
                for stop in stops {
                    match stop {
                        Stop::Wait(wake) => wakes.push(wake),
                        Stop::Interrupted | Stop::Beyond(_) => {}
                        Stop::Fault(EngineError::Broken { code, message }) => {
                            self.break_off(&mut stream, code, message)?;
                        }
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
        match stream.state() {
            // It runs again from where it was taken back to.
            _ if stream.is_rewound() => Ok(Activation::Waits { wakes: vec![Wake::At(self.clock.now())], started }),
            JobState::Running | JobState::Cancelling => Ok(Activation::Waits { wakes, started }),
            state => Ok(Activation::Settled { state, started }),
        }
    }

    /// Ends the job because its code breaks the rules; what it did until then is recorded with that.
    fn break_off(&self, stream: &mut JobStream, code: &'static str, message: String) -> Result<(), EngineError> {
        // Somebody may have ended it.
        if !stream.state().is_over() {
            tracing::error!(job.id = %stream.job_id(), code, message, "the job ends, as its code breaks the rules");
            stream.decide(JobCommand::Fail { code: code.to_owned(), message, at: self.clock.now() })?;
        }
        Ok(())
    }

    /// Their ids follow from the parent's, so none is made twice; one that is missing after a crash is made when the parent
    /// asks for it again.
    async fn start_children(&self, context: &Context, provenance: &Provenance) -> Result<Vec<JobId>, EngineError> {
        let shared = context.shared();
        let children = std::mem::take(&mut *shared.children.lock().unwrap_or_else(PoisonError::into_inner));
        let (bot_id, priority) = {
            let stream = shared.stream.lock().await;
            (stream.job().bot_id(), stream.job().own_priority())
        };
        let Some(bot_id) = bot_id else { return Ok(Vec::new()) };
        let mut started = Vec::with_capacity(children.len());
        for NewChild { job_id, index, workflow, input } in children {
            let origin = Origin::Parent { job_id: shared.job_id, index };
            // Whoever waits for it is as urgent.
            self.make(NewJob { job_id, bot_id, workflow, input, origin, priority }, provenance).await?;
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
        if let (Ok(value), JobState::Running) = (&result, stream.state())
            && fits(value)
        {
            if stream.write_with(JobCommand::Complete { result: value.clone(), at }).await? {
                return Ok(Vec::new());
            }
        } else {
            stream.write().await?;
        }
        let command = match (result, stream.state()) {
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
        let next = continuation_of(job_id);
        let Some(bot_id) = stream.job().bot_id() else { return Ok(Vec::new()) };
        let workflow = stream.job().workflow().to_owned();
        let origin = Origin::Continued { job_id };
        let priority = stream.job().own_priority();
        self.make(NewJob { job_id: next, bot_id, workflow, input: input.clone(), origin, priority }, provenance)
            .await?;
        stream.decide(JobCommand::ContinueAsNew { next, input, at: self.clock.now() })?;
        Ok(vec![next])
    }
}

/// The job that goes on where a job with a long history stops.
pub(crate) fn continuation_of(job_id: JobId) -> JobId {
    JobId::from_uuid(derive(&["continued", &job_id.to_string()]))
}

/// Whether a value may be kept; how large it is, is only looked at where it may matter.
pub(super) fn fits(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() < LARGEST_VALUE / 8,
        _ => serde_json::to_string(value).is_ok_and(|text| text.len() <= LARGEST_VALUE),
    }
}

/// The request that makes a job: derived from its id, with the id's time in front, by which the log's index is ordered.
fn creation_id(job_id: JobId) -> RequestId {
    let mut bytes = derive(&["create", &job_id.to_string()]).into_bytes();
    bytes[..6].copy_from_slice(&job_id.uuid().as_bytes()[..6]);
    RequestId::from_uuid(Uuid::from_bytes(bytes))
}

/// Polls the code until it returns, or until nothing of it is busy and something stopped it.
async fn run(
    context: &Context,
    mut code: futures_util::future::BoxFuture<'static, Result<Value, WorkflowError>>,
) -> Ended {
    let shared = context.shared();
    let mut astray: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|task| {
        if let Poll::Ready(result) = code.as_mut().poll(task) {
            return Poll::Ready(Ended::Returned(result));
        }
        if shared.busy.load(Ordering::Acquire) > 0 {
            astray = None;
            return Poll::Pending;
        }
        let mut stops = shared.stops();
        if !stops.is_empty() {
            return Poll::Ready(Ended::Stopped(stops.drain(..).collect()));
        }
        let patience = astray.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST_FOREIGN_WAIT)));
        patience.as_mut().poll(task).map(|()| Ended::Astray)
    })
    .await
}
