//! Children and their parents: how a child's end comes to its parent, and its parent's to a child.
//!
//! The end of a child is durable in its own stream, and nowhere else until its parent takes it into its journal. So a
//! parent is only ever told to look; after a crash every parent that waits looks by itself.
//!
//! A child whose parent is asked to end, is over, or was taken back to before it, is asked to end. Its parent does that; a
//! child that a process takes over looks at its parent by itself.

use std::collections::{BTreeSet, HashSet};

use cqrs_es::Aggregate;
use domain::ids::JobId;
use domain::job::{Entry, Job, JobCommand, JobEvent, JobState, Origin, Outcome};
use store::decode::Decoder;
use store::error::StoreError;

use super::desk::Children;
use super::error::EngineError;
use super::runner::Runner;
use super::stream::{JobStream, Provenance};

/// A chain of jobs that continue each other is followed no further.
const LONGEST_CHAIN: usize = 100_000;

impl Runner {
    /// Takes the ends of `children` into the parent's journal. Gives those that were begun and never made: a process died
    /// between the two.
    pub(super) async fn finish_children(
        &self,
        parent: &mut JobStream,
        children: &Children,
    ) -> Result<HashSet<JobId>, EngineError> {
        let waits = |child: &JobId| match children {
            Children::Unasked => false,
            Children::These(these) => these.contains(child),
            Children::All => true,
        };
        let open: Vec<(u32, JobId)> = parent
            .job()
            .journal()
            .entries()
            .filter_map(|(index, entry)| match entry {
                Entry::Child { child, outcome: None, .. } => Some((index, *child)),
                _ => None,
            })
            .filter(|(_, child)| waits(child))
            .collect();
        let mut missing = HashSet::new();
        for (index, child) in open {
            if let Some(outcome) = self.outcome_of(child).await? {
                parent.decide(JobCommand::FinishChild { index, outcome, at: self.clock.now() })?;
            } else if self.last_event(child).await?.is_none() {
                missing.insert(child);
            }
        }
        Ok(missing)
    }

    /// How a job ended, or the one that goes on in its place; `None` while it goes on.
    async fn outcome_of(&self, job_id: JobId) -> Result<Option<Outcome>, StoreError> {
        let mut job_id = job_id;
        for _ in 0..LONGEST_CHAIN {
            return Ok(match self.last_event(job_id).await? {
                Some(JobEvent::JobCompleted { result, .. }) => Some(Outcome::Completed { result }),
                Some(JobEvent::JobFailed { code, message, .. }) => Some(Outcome::Failed { code, message }),
                Some(JobEvent::JobCancelled { .. } | JobEvent::JobTerminated { .. }) => Some(Outcome::Cancelled),
                Some(JobEvent::JobContinuedAsNew { next, .. }) => {
                    job_id = next;
                    continue;
                }
                _ => None,
            });
        }
        Ok(None)
    }

    async fn last_event(&self, job_id: JobId) -> Result<Option<JobEvent>, StoreError> {
        let last = self.repository.raw_last(Job::TYPE, &job_id.to_string()).await?;
        last.map(|raw| Decoder::<Job>::default().decode(&raw)).transpose()
    }

    /// Asks the children of `job` to end that nobody waits for any more.
    pub(super) async fn let_go(&self, job: &Job, provenance: &Provenance) -> Result<(), EngineError> {
        let mut left: BTreeSet<JobId> = job.journal().dropped().collect();
        if job.state().is_over() {
            left.extend(job.journal().open_children());
        }
        for child in left {
            self.ask_to_end(child, provenance).await?;
        }
        Ok(())
    }

    /// Asks the job, or the one that goes on in its place, to end, unless that is asked or it is over.
    async fn ask_to_end(&self, job_id: JobId, provenance: &Provenance) -> Result<(), EngineError> {
        let mut job_id = job_id;
        for _ in 0..LONGEST_CHAIN {
            if let Some(JobEvent::JobContinuedAsNew { next, .. }) = self.last_event(job_id).await? {
                job_id = next;
                continue;
            }
            let mut stream = self.open(job_id, provenance.clone(), None).await?;
            if matches!(stream.job().state(), JobState::Pending | JobState::Running | JobState::Paused) {
                stream.decide(self.end_of_parent())?;
                stream.write().await?;
            }
            if stream.job().state() != JobState::Continued {
                break;
            }
        }
        Ok(())
    }

    fn end_of_parent(&self) -> JobCommand {
        JobCommand::RequestCancel {
            reason: "its parent does not wait for it any more".to_owned(),
            at: self.clock.now(),
        }
    }

    /// Asks the job itself to end when its parent is over and could not ask.
    pub(super) async fn follow_parent(&self, stream: &mut JobStream) -> Result<(), EngineError> {
        let Some(Origin::Parent { job_id, .. }) = stream.job().origin() else { return Ok(()) };
        let is_over = matches!(
            self.last_event(*job_id).await?,
            Some(
                JobEvent::JobCompleted { .. }
                    | JobEvent::JobFailed { .. }
                    | JobEvent::JobCancelled { .. }
                    | JobEvent::JobTerminated { .. }
                    | JobEvent::JobContinuedAsNew { .. }
            )
        );
        if is_over && matches!(stream.job().state(), JobState::Pending | JobState::Running) {
            stream.decide(self.end_of_parent())?;
        }
        Ok(())
    }

    /// The parent of a job that is over, and the child as the parent knows it.
    pub(super) async fn parent_of(&self, job: &Job) -> Result<Option<(JobId, JobId)>, StoreError> {
        if !job.state().is_over() || job.state() == JobState::Continued {
            return Ok(None);
        }
        let Some(mut child) = job.id() else { return Ok(None) };
        let mut origin = job.origin().cloned();
        for _ in 0..LONGEST_CHAIN {
            match origin {
                Some(Origin::Parent { job_id, .. }) => return Ok(Some((job_id, child))),
                Some(Origin::Continued { job_id }) => {
                    child = job_id;
                    let first = self.repository.raw_stream(Job::TYPE, &job_id.to_string(), 0, 1).await?;
                    let first = first.first().map(|raw| Decoder::<Job>::default().decode(raw)).transpose()?;
                    origin = match first {
                        Some(JobEvent::JobCreated { origin, .. }) => Some(origin),
                        _ => None,
                    };
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}
