//! One job's stream while this worker runs it: decides on the state in memory, and writes what was decided before
//! anything outside sees it.
//!
//! One append at a time is on its way, and more may be decided meanwhile; what waits goes with the next. Others write
//! to the stream too (a pause, a signal); then what is not written yet is decided again on top of theirs.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::decide::{Decide, fold};
use domain::entropy::Entropy;
use domain::ids::{JobId, RequestId};
use domain::job::{Job, JobCommand, JobError, JobEvent, JobState};
use domain::metadata::{Actor, Metadata};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use store::decode::Decoder;
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, Appended, EventRepository, MemoryRepository};

use super::error::EngineError;

/// Most histories fit into the first page, which is read together with those of others.
const FIRST_PAGE: i64 = 200;
const PAGE: i64 = 5_000;
/// So many events may be decided while an append is on its way; then the code waits for the answer.
const MOST_AHEAD: usize = 32;

/// Who writes, and why.
#[derive(Debug, Clone)]
pub struct Provenance {
    pub actor: Actor,
    pub correlation_id: uuid::Uuid,
    pub causation_id: uuid::Uuid,
    /// The writer's epoch that the hold on the job depends on.
    pub held_epoch: Option<i64>,
}

/// One job's stream.
pub struct JobStream {
    repository: Arc<dyn EventRepository>,
    entropy: Arc<dyn Entropy>,
    provenance: Provenance,
    job_id: JobId,
    /// With everything that was decided, written or not.
    job: Job,
    /// What is written.
    sequence: i64,
    /// What is decided, and neither written nor on its way.
    waiting: Decided,
    on_its_way: Option<OnItsWay>,
    last_position: i64,
    /// Somebody took back what the code has gone through.
    is_rewound: bool,
}

/// Commands, and the events that they came to.
#[derive(Default)]
struct Decided {
    commands: Vec<JobCommand>,
    events: Vec<JobEvent>,
}

/// An append whose answer has not come.
struct OnItsWay {
    answer: MaybeDone<BoxFuture<'static, Result<Appended, StoreError>>>,
    decided: Decided,
}

impl JobStream {
    /// Reads the job.
    pub async fn open(
        repository: Arc<dyn EventRepository>,
        entropy: Arc<dyn Entropy>,
        provenance: Provenance,
        job_id: JobId,
    ) -> Result<Self, StoreError> {
        let mut stream = Self::unread(repository, entropy, provenance, job_id);
        stream.read().await?;
        Ok(stream)
    }

    /// The job with the event that made it, if that is all that was written; whether it is shows at the first write.
    pub(super) fn seeded(
        repository: Arc<dyn EventRepository>,
        entropy: Arc<dyn Entropy>,
        provenance: Provenance,
        job_id: JobId,
        created: &str,
    ) -> Option<Self> {
        let created: JobEvent = serde_json::from_str(created).ok()?;
        let mut stream = Self::unread(repository, entropy, provenance, job_id);
        stream.job.apply(created);
        stream.sequence = 1;
        Some(stream)
    }

    fn unread(
        repository: Arc<dyn EventRepository>,
        entropy: Arc<dyn Entropy>,
        provenance: Provenance,
        job_id: JobId,
    ) -> Self {
        Self {
            repository,
            entropy,
            provenance,
            job_id,
            job: Job::default(),
            sequence: 0,
            waiting: Decided::default(),
            on_its_way: None,
            last_position: 0,
            is_rewound: false,
        }
    }

    /// A stream of `job` that is nowhere: what is decided on it goes nowhere.
    pub(super) fn detached(job_id: JobId, job: Job, entropy: Arc<dyn Entropy>) -> Self {
        let id = job_id.uuid();
        let actor = Actor::System("replay".to_owned());
        Self {
            repository: Arc::new(MemoryRepository::default()),
            entropy,
            provenance: Provenance { actor, correlation_id: id, causation_id: id, held_epoch: None },
            job_id,
            job,
            sequence: 0,
            waiting: Decided::default(),
            on_its_way: None,
            last_position: 0,
            is_rewound: false,
        }
    }

    /// The job with everything that was decided.
    #[must_use]
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The job's state for the code that runs: when somebody took back what it has gone through, the job is one that has
    /// not begun, and takes nothing more from it.
    #[must_use]
    pub const fn state(&self) -> JobState {
        if self.is_rewound { JobState::Pending } else { self.job.state() }
    }

    /// Whether somebody took back what the code has gone through.
    pub(super) const fn is_rewound(&self) -> bool {
        self.is_rewound
    }

    /// Who writes, and why: the work follows from the job's creation.
    #[must_use]
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Whose stream it is.
    #[must_use]
    pub const fn job_id(&self) -> JobId {
        self.job_id
    }

    /// The sequence of the last event that is written.
    #[must_use]
    pub const fn sequence(&self) -> i64 {
        self.sequence
    }

    /// The log position of the last event that this worker wrote; 0 before the first.
    #[must_use]
    pub const fn last_position(&self) -> i64 {
        self.last_position
    }

    /// Decides `command` in memory; [`JobStream::write`] makes it durable.
    pub fn decide(&mut self, command: JobCommand) -> Result<(), JobError> {
        if self.is_rewound {
            return Err(JobError::NotAllowed { command: command.name(), state: self.state() });
        }
        let events = self.job.decide(command.clone())?;
        for event in &events {
            self.job.apply(event.clone());
        }
        self.waiting.events.extend(events);
        self.waiting.commands.push(command);
        Ok(())
    }

    /// Writes what was decided. After it, the job may be in another state than before: what others wrote counts too,
    /// and what the job does not take any more on top of it is dropped. Dropped before its end, it has lost nothing.
    pub async fn write(&mut self) -> Result<(), EngineError> {
        loop {
            self.send()?;
            if self.on_its_way.is_none() {
                return Ok(());
            }
            self.settle().await?;
        }
    }

    /// Sends what was decided, unless an append is on its way already, and waits for no answer. When the code is far
    /// ahead of what is written, it waits all the same.
    pub(super) async fn hand_over(&mut self) -> Result<(), EngineError> {
        if self.waiting.events.len() >= MOST_AHEAD {
            return self.write().await;
        }
        // An answer that is there makes room for the next append, which begins with its first poll.
        for _ in 0..2 {
            if self.is_answered().await {
                self.settle().await?;
            }
            self.send()?;
        }
        Ok(())
    }

    /// Whether something that was decided is not known to be written.
    pub(super) const fn has_unwritten(&self) -> bool {
        self.on_its_way.is_some() || !self.waiting.events.is_empty()
    }

    /// Whether all that is not written yet is that the job has begun.
    pub(super) fn has_only_begun(&self) -> bool {
        self.on_its_way.is_none() && matches!(self.waiting.events.as_slice(), [JobEvent::JobStarted { .. }])
    }

    /// Writes what was decided together with `last`. When others wrote meanwhile, their events count first: `false`, and
    /// `last` is not decided.
    pub(super) async fn write_with(&mut self, last: JobCommand) -> Result<bool, EngineError> {
        let before = self.state();
        while self.on_its_way.is_some() {
            self.settle().await?;
        }
        // An answer from before may have told of them.
        if self.state() != before {
            self.write().await?;
            return Ok(false);
        }
        self.decide(last)?;
        self.send()?;
        let Some(Err(error)) = self.answer().await else { return Ok(true) };
        self.waiting.commands.pop();
        self.refused(error).await?;
        Ok(false)
    }

    /// Takes in what others wrote; says whether there was something.
    pub async fn refresh(&mut self) -> Result<bool, EngineError> {
        if self.on_its_way.is_some() {
            self.settle().await?;
        }
        let head = self.repository.raw_stream(Job::TYPE, &self.job_id.to_string(), self.sequence, 1).await?;
        if head.is_empty() {
            return Ok(false);
        }
        self.decide_again().await?;
        Ok(true)
    }

    /// Puts what waits on its way, if nothing is.
    fn send(&mut self) -> Result<(), StoreError> {
        if self.on_its_way.is_some() || self.waiting.events.is_empty() {
            return Ok(());
        }
        let request = self.request()?;
        let repository = Arc::clone(&self.repository);
        let answer = maybe_done(async move { repository.append(request).await }.boxed());
        self.on_its_way = Some(OnItsWay { answer, decided: std::mem::take(&mut self.waiting) });
        Ok(())
    }

    /// Waits for the answer to what is on its way, and decides again what others came before.
    async fn settle(&mut self) -> Result<(), EngineError> {
        match self.answer().await {
            Some(Err(error)) => self.refused(error).await,
            _ => Ok(()),
        }
    }

    /// Waits for the answer to what is on its way. What was refused waits again, before what was decided after it.
    async fn answer(&mut self) -> Option<Result<(), StoreError>> {
        // Dropped while it waits, it is still on its way.
        (&mut self.on_its_way.as_mut()?.answer).await;
        let OnItsWay { mut answer, mut decided } = self.on_its_way.take()?;
        Some(match Pin::new(&mut answer).take_output()? {
            Ok(appended) => {
                self.sequence = appended.last_sequence;
                self.last_position = appended.last_position;
                Ok(())
            }
            Err(error) => {
                decided.commands.append(&mut self.waiting.commands);
                decided.events.append(&mut self.waiting.events);
                self.waiting = decided;
                Err(error)
            }
        })
    }

    /// Whether the answer to what is on its way is there; goes on with it as far as it goes.
    async fn is_answered(&mut self) -> bool {
        let Some(sent) = &mut self.on_its_way else { return false };
        poll_fn(|task| Poll::Ready(sent.answer.poll_unpin(task).is_ready())).await
    }

    async fn refused(&mut self, error: StoreError) -> Result<(), EngineError> {
        match error {
            StoreError::Conflict { .. } => Ok(self.decide_again().await?),
            error => Err(error.into()),
        }
    }

    fn request(&self) -> Result<AppendRequest, StoreError> {
        let request_id = RequestId::from_uuid(self.entropy.uuid());
        let recorded_at = self.waiting.events.last().map_or(DateTime::<Utc>::MIN_UTC, JobEvent::at);
        Ok(AppendRequest {
            request_id,
            aggregate_type: Job::TYPE.to_owned(),
            aggregate_id: self.job_id.to_string(),
            expected_sequence: self.sequence,
            events: self.waiting.events.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
            metadata: Metadata {
                correlation_id: self.provenance.correlation_id,
                causation_id: self.provenance.causation_id,
                actor: self.provenance.actor.clone(),
                request_id,
                recorded_at,
            },
            held_epoch: self.provenance.held_epoch,
        })
    }

    /// Reads the stream from its beginning, so that nothing of what was decided in memory is left in the state, and
    /// decides again what waits. Dropped before its end, it has changed nothing, and the next append is refused again.
    async fn decide_again(&mut self) -> Result<(), StoreError> {
        let resets = self.job.resets();
        self.read().await?;
        let commands = std::mem::take(&mut self.waiting).commands;
        // What the code did after what was taken back from it counts no more.
        self.is_rewound |= self.job.resets() != resets;
        for command in commands {
            let name = command.name();
            if let Err(error) = self.decide(command) {
                tracing::info!(job.id = %self.job_id, command = name, %error,
                    "the job does not take this any more; somebody else acted on it");
            }
        }
        Ok(())
    }

    /// Takes the job to be what is written.
    async fn read(&mut self) -> Result<(), StoreError> {
        let decoder = Decoder::<Job>::default();
        let id = self.job_id.to_string();
        let (mut job, mut sequence, mut limit) = (Job::default(), 0, FIRST_PAGE);
        loop {
            let page = self.repository.raw_stream(Job::TYPE, &id, sequence, limit).await?;
            let Some(last) = page.last() else { break };
            if let Some(first) = page.first().filter(|first| first.sequence == 1) {
                self.provenance.causation_id = first.event_id;
                if let Some(correlation_id) = first.correlation_id() {
                    self.provenance.correlation_id = correlation_id;
                }
            }
            let events = page.iter().map(|raw| decoder.decode(raw)).collect::<Result<Vec<_>, _>>()?;
            sequence = last.sequence;
            job = fold(job, events);
            if i64::try_from(page.len()).unwrap_or(i64::MAX) < limit {
                break;
            }
            limit = PAGE;
        }
        (self.job, self.sequence) = (job, sequence);
        Ok(())
    }
}
