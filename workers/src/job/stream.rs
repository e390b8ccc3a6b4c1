//! One job's stream while this worker runs it: decides on the state in memory, and writes what was decided before
//! anything outside sees it.
//!
//! Others write to the stream too (a pause, a signal); then what is not written yet is decided again on top of theirs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::decide::{Decide, fold};
use domain::entropy::Entropy;
use domain::ids::{JobId, RequestId};
use domain::job::{Job, JobCommand, JobError, JobEvent};
use domain::metadata::{Actor, Metadata};
use store::decode::Decoder;
use store::error::StoreError;
use store::event::NewEvent;
use store::repository::{AppendRequest, EventRepository, MemoryRepository};

use super::error::EngineError;

/// Most histories fit into the first page, which is read together with those of others.
const FIRST_PAGE: i64 = 200;
const PAGE: i64 = 5_000;

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
    unwritten: Vec<JobCommand>,
    events: Vec<JobEvent>,
    last_position: i64,
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
        stream.read_on().await?;
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
            unwritten: Vec::new(),
            events: Vec::new(),
            last_position: 0,
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
            unwritten: Vec::new(),
            events: Vec::new(),
            last_position: 0,
        }
    }

    /// The job with everything that was decided.
    #[must_use]
    pub const fn job(&self) -> &Job {
        &self.job
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
        let events = self.job.decide(command.clone())?;
        for event in &events {
            self.job.apply(event.clone());
        }
        self.events.extend(events);
        self.unwritten.push(command);
        Ok(())
    }

    /// Writes what was decided. After it, the job may be in another state than before: what others wrote counts too,
    /// and what the job does not take any more on top of it is dropped.
    pub async fn write(&mut self) -> Result<(), EngineError> {
        while !self.events.is_empty() {
            match self.repository.append(self.request()?).await {
                Ok(appended) => {
                    self.sequence = appended.last_sequence;
                    self.last_position = appended.last_position;
                    self.events.clear();
                    self.unwritten.clear();
                }
                Err(StoreError::Conflict { .. }) => self.decide_again().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether all that is not written yet is that the job has begun.
    pub(super) fn has_only_begun(&self) -> bool {
        matches!(self.events.as_slice(), [JobEvent::JobStarted { .. }])
    }

    /// Writes what was decided together with `last`. When others wrote meanwhile, their events count first: `false`, and
    /// `last` is not decided.
    pub(super) async fn write_with(&mut self, last: JobCommand) -> Result<bool, EngineError> {
        self.decide(last)?;
        match self.repository.append(self.request()?).await {
            Ok(appended) => {
                self.sequence = appended.last_sequence;
                self.last_position = appended.last_position;
                self.events.clear();
                self.unwritten.clear();
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => {
                self.unwritten.pop();
                self.decide_again().await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what others wrote; says whether there was something.
    pub async fn refresh(&mut self) -> Result<bool, EngineError> {
        let head = self.repository.raw_stream(Job::TYPE, &self.job_id.to_string(), self.sequence, 1).await?;
        if head.is_empty() {
            return Ok(false);
        }
        self.decide_again().await?;
        Ok(true)
    }

    fn request(&self) -> Result<AppendRequest, StoreError> {
        let request_id = RequestId::from_uuid(self.entropy.uuid());
        let recorded_at = self.events.last().map_or(DateTime::<Utc>::MIN_UTC, JobEvent::at);
        Ok(AppendRequest {
            request_id,
            aggregate_type: Job::TYPE.to_owned(),
            aggregate_id: self.job_id.to_string(),
            expected_sequence: self.sequence,
            events: self.events.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
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

    /// Reads the stream from its beginning, so that nothing of what was decided in memory is left in the state.
    async fn decide_again(&mut self) -> Result<(), StoreError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        self.events.clear();
        self.job = Job::default();
        self.sequence = 0;
        self.read_on().await?;
        for command in unwritten {
            let name = command.name();
            if let Err(error) = self.decide(command) {
                tracing::info!(job.id = %self.job_id, command = name, %error,
                    "the job does not take this any more; somebody else acted on it");
            }
        }
        Ok(())
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let decoder = Decoder::<Job>::default();
        let id = self.job_id.to_string();
        let mut limit = FIRST_PAGE;
        loop {
            let page = self.repository.raw_stream(Job::TYPE, &id, self.sequence, limit).await?;
            let Some(last) = page.last() else { return Ok(()) };
            if let Some(first) = page.first().filter(|first| first.sequence == 1) {
                self.provenance.causation_id = first.event_id;
                if let Some(correlation_id) = first.correlation_id() {
                    self.provenance.correlation_id = correlation_id;
                }
            }
            let events = page.iter().map(|raw| decoder.decode(raw)).collect::<Result<Vec<_>, _>>()?;
            self.sequence = last.sequence;
            self.job = fold(std::mem::take(&mut self.job), events);
            if i64::try_from(page.len()).unwrap_or(i64::MAX) < limit {
                return Ok(());
            }
            limit = PAGE;
        }
    }
}
