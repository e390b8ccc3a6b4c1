//! The runs of a campaign that are not over, so that whatever meets at a due time is decided in one place.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::CampaignEvent;
use super::schedule::{DueSpan, PlannedRun};
use crate::ids::JobId;

/// How many due times that had a run are remembered, so that a backfill leaves them out.
const REMEMBERED: usize = 512;

/// Where an open run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Behind another; it has no job yet.
    Waiting,
    /// Its job may start, or has.
    Released,
    /// Its job was asked to end.
    Cancelling,
}

/// A run that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// With the job that it has now: one that continues as new goes on under another id.
    pub run: PlannedRun,
    pub backfill: bool,
    pub stage: Stage,
}

/// The runs of a campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// Oldest first.
    open: Vec<OpenRun>,
    /// The newest due times that have or had a run.
    planned: BTreeSet<DateTime<Utc>>,
    missed: u64,
}

impl Runs {
    /// The runs that are not over, oldest first.
    #[must_use]
    pub fn open(&self) -> &[OpenRun] {
        &self.open
    }

    /// How many due times nobody decided in time.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    pub(super) fn job_ids(&self) -> Vec<JobId> {
        self.open.iter().map(|open| open.run.job_id).collect()
    }

    pub(super) fn planned(&self) -> &BTreeSet<DateTime<Utc>> {
        &self.planned
    }

    pub(super) fn of_job(&self, job_id: JobId) -> Option<&OpenRun> {
        self.open.iter().find(|open| open.run.job_id == job_id)
    }

    /// Whether a job of it may be at work.
    pub(super) fn is_busy(&self) -> bool {
        self.open.iter().any(|open| open.stage != Stage::Waiting)
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &OpenRun> {
        self.open.iter().filter(|open| open.stage == Stage::Waiting)
    }

    pub(super) fn fold(&mut self, event: &CampaignEvent) {
        match event {
            CampaignEvent::RunPlanned { run, backfill, waits, .. } => {
                let stage = if *waits { Stage::Waiting } else { Stage::Released };
                self.open.push(OpenRun { run: *run, backfill: *backfill, stage });
                self.remember(run.due_at);
            }
            CampaignEvent::RunReleased { run, .. } => self.set(run.job_id, Stage::Released),
            CampaignEvent::RunCancelRequested { job_id, .. } => self.set(*job_id, Stage::Cancelling),
            CampaignEvent::RunWithdrawn { job_id, due_at, .. } => {
                self.open.retain(|open| open.run.job_id != *job_id);
                self.planned.remove(due_at);
            }
            CampaignEvent::RunEnded { job_id, .. } => self.open.retain(|open| open.run.job_id != *job_id),
            CampaignEvent::RunContinued { job_id, next, .. } => {
                if let Some(open) = self.open.iter_mut().find(|open| open.run.job_id == *job_id) {
                    open.run.job_id = *next;
                }
            }
            CampaignEvent::RunReopened { run, .. } => {
                self.open.push(OpenRun { run: *run, backfill: false, stage: Stage::Released });
                self.remember(run.due_at);
            }
            CampaignEvent::RunsMissed { span: DueSpan { count, .. }, .. } => {
                self.missed = self.missed.saturating_add(*count);
            }
            _ => {}
        }
    }

    fn set(&mut self, job_id: JobId, stage: Stage) {
        if let Some(open) = self.open.iter_mut().find(|open| open.run.job_id == job_id) {
            open.stage = stage;
        }
    }

    fn remember(&mut self, due_at: DateTime<Utc>) {
        self.planned.insert(due_at);
        while self.planned.len() > REMEMBERED {
            self.planned.pop_first();
        }
    }
}
