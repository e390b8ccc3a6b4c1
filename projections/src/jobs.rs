//! `jobs`: where each job stands, and what it waits for. What it did step by step is its stream; see `events`.

mod fold;
mod list;
mod live;
mod rows;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::bot::UnknownName;
use domain::ids::{BotId, CampaignId, JobId};
use domain::job::{JobEvent, JobPriority, JobState};
use serde_json::Value;
use sqlx::PgConnection;
use store::event::StoredEvent;
use uuid::Uuid;

use self::fold::{OpenJournal, Recorded};
pub use self::list::{JobFilter, OVERDUE_AFTER, by_id, by_ids, children_of, count, count_children_of, ids, list};
pub use self::live::{LiveJob, live, live_of_bot};
use crate::error::ProjectionError;
use crate::projection::{LogEvent, Projection};

/// The name of the projection.
const NAME: &str = "jobs";

/// The projection of `jobs`.
#[derive(Debug, Clone, Copy)]
pub struct Jobs;

/// Why a job is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginKind {
    Campaign,
    Person,
    Parent,
    Continued,
    Forked,
}

impl OriginKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Campaign, Self::Person, Self::Parent, Self::Continued, Self::Forked];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Campaign => "CAMPAIGN",
            Self::Person => "PERSON",
            Self::Parent => "PARENT",
            Self::Continued => "CONTINUED",
            Self::Forked => "FORKED",
        }
    }
}

impl fmt::Display for OriginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OriginKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownName { what: "OriginKind", name: text.to_owned() })
    }
}

/// How a step failed the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub at: DateTime<Utc>,
}

/// What the history has and what the code asked for instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    pub index: u32,
    pub recorded: String,
    pub attempted: String,
}

/// One job as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    pub job_id: JobId,
    pub bot_id: BotId,
    pub partition: i32,
    pub workflow: String,
    pub origin_kind: OriginKind,
    /// Its parent, the job that it goes on from, or the one that it is a fork of.
    pub origin_job_id: Option<JobId>,
    /// Where in the other's journal it began.
    pub origin_index: Option<u32>,
    pub campaign_id: Option<CampaignId>,
    pub due_at: Option<DateTime<Utc>>,
    /// The job that goes on in its place.
    pub next_job_id: Option<JobId>,
    pub state: JobState,
    /// How urgent it is among the jobs of its bot.
    pub priority: JobPriority,
    /// Why a person paused, cancelled, ended or reset it.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// When something is to be done next: at once if the code can go on, else when the first wait ends by itself. None
    /// while it waits for others alone, is paused, needs attention or is over.
    pub wake_at: Option<DateTime<Utc>>,
    /// Whether its code can go on, as far as the history tells.
    pub runnable: bool,
    /// `timer`, `retry of step NAME`, `signal NAME` or `child ID`.
    pub waiting_for: Option<String>,
    /// The step that began or ended last.
    pub step_index: Option<u32>,
    pub step_name: Option<String>,
    /// How often that step began.
    pub attempts: u32,
    /// A step failed and is tried again.
    pub retrying: bool,
    /// The last failure of a step that has not completed since.
    pub failure: Option<Failure>,
    pub end_code: Option<String>,
    pub end_message: Option<String>,
    pub result: Option<Value>,
    pub divergence: Option<Diverged>,
    pub last_actor: String,
    /// How many events its history has.
    pub last_sequence: i64,
    /// Position of its first event: the key of lists.
    pub first_position: i64,
    journal: OpenJournal,
}

impl JobView {
    /// Whether it needs attention, retries a step, or is due for long without being taken up.
    #[must_use]
    pub fn is_stuck(&self, now: DateTime<Utc>) -> bool {
        let works = matches!(self.state, JobState::Pending | JobState::Running | JobState::Cancelling);
        let is_due = !self.runnable || self.state == JobState::Pending;
        let is_overdue = is_due && self.wake_at.is_some_and(|wake_at| wake_at < now - OVERDUE_AFTER);
        self.state == JobState::NeedsAttention || (works && (self.retrying || is_overdue))
    }

    /// The row with what its stream has beyond it: `events` follow the row's last one, or begin the stream. `None` when
    /// there is nothing.
    pub fn after(row: Option<Self>, events: &[StoredEvent]) -> Result<Option<Self>, ProjectionError> {
        let mut row = row;
        for stored in events {
            let event = LogEvent { stored: stored.clone(), event: stored.decode()? };
            let AnyEvent::Job(_, change) = &event.event else { continue };
            let actor = event.metadata()?.actor.to_string();
            let recorded = Recorded { position: stored.position, sequence: stored.sequence, actor: &actor };
            match &mut row {
                Some(row) if row.last_sequence < stored.sequence => row.apply(change, &recorded),
                Some(_) => {}
                None => row = Self::created(change, &recorded),
            }
        }
        Ok(row)
    }
}

#[async_trait]
impl Projection for Jobs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        2
    }

    fn tables(&self) -> &'static [&'static str] {
        &["jobs"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Job"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        self.apply_all(db, &[event]).await
    }

    /// Two statements for all, as jobs have more events than everything else together.
    async fn apply_all(&self, db: &mut PgConnection, events: &[&LogEvent]) -> Result<(), ProjectionError> {
        let mut known = rows::fetch(db, &known_before(events)).await?;
        let mut changed = Vec::new();
        for event in events {
            let AnyEvent::Job(job_id, change) = &event.event else { continue };
            let metadata = event.metadata()?;
            let actor = metadata.actor.to_string();
            let stored = &event.stored;
            let recorded = Recorded { position: stored.position, sequence: stored.sequence, actor: &actor };
            if let Some(row) = JobView::created(change, &recorded) {
                known.insert(*job_id, row);
            } else {
                let missing = || ProjectionError::RowMissing { table: NAME, key: job_id.to_string() };
                known.get_mut(job_id).ok_or_else(missing)?.apply(change, &recorded);
            }
            changed.push(*job_id);
        }
        changed.sort_unstable();
        changed.dedup();
        let rows: Vec<_> = changed.iter().filter_map(|job_id| known.remove(job_id)).collect();
        rows::store(db, &rows).await
    }
}

/// The jobs of `events` that began earlier.
fn known_before(events: &[&LogEvent]) -> Vec<Uuid> {
    let mut new = HashMap::new();
    for event in events {
        if let AnyEvent::Job(job_id, change) = &event.event {
            new.entry(job_id.uuid()).or_insert(matches!(change, JobEvent::JobCreated { .. }));
        }
    }
    new.into_iter().filter(|(_, is_new)| !is_new).map(|(job_id, _)| job_id).collect()
}
