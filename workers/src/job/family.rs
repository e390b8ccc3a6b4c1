//! Children and their parents: how a child's end comes to its parent.
//!
//! The end of a child is durable in its own stream, and nowhere else until its parent takes it into its journal. So a
//! parent is only ever told to look; after a crash every parent that waits looks by itself.

use cqrs_es::Aggregate;
use domain::ids::JobId;
use domain::job::{Entry, Job, JobCommand, JobEvent, JobState, Origin, Outcome};
use store::decode::Decoder;
use store::error::StoreError;
use store::event::RawEvent;

use super::desk::Children;
use super::error::EngineError;
use super::runner::Runner;
use super::stream::JobStream;

/// A chain of jobs that continue each other is followed no further.
const LONGEST_CHAIN: usize = 100_000;
const FIRST_PAGE: i64 = 200;
const PAGE: i64 = 5_000;

impl Runner {
    /// Takes the ends of `children` into the parent's journal.
    pub(super) async fn finish_children(&self, parent: &mut JobStream, children: &Children) -> Result<(), EngineError> {
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
        for (index, child) in open {
            if let Some(outcome) = self.outcome_of(child).await? {
                parent.decide(JobCommand::FinishChild { index, outcome, at: self.clock.now() })?;
            }
        }
        Ok(())
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
        let id = job_id.to_string();
        let (mut last, mut limit): (Option<RawEvent>, _) = (None, FIRST_PAGE);
        loop {
            let after = last.as_ref().map_or(0, |event| event.sequence);
            let mut page = self.repository.raw_stream(Job::TYPE, &id, after, limit).await?;
            let is_end = i64::try_from(page.len()).unwrap_or(i64::MAX) < limit;
            last = page.pop().or(last);
            if is_end {
                break;
            }
            limit = PAGE;
        }
        last.map(|raw| Decoder::<Job>::default().decode(&raw)).transpose()
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
