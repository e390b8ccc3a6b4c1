//! One job's row, event by event. Pure: rows come from and go to the database elsewhere.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{BotId, CampaignId, JobId, partition_of};
use domain::job::{JobEvent, JobPriority, JobState, Origin};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Diverged, Failure, JobView, OriginKind};
use crate::columns;

/// What of the journal is open: enough to say what the job waits for, whatever came before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenJournal {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    waits: BTreeMap<u32, Wait>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    signals: BTreeMap<String, Signals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<(DateTime<Utc>, bool)>,
    /// The first index that nothing is recorded under.
    edge: u32,
    /// While the job is being cancelled, what was waited for before counts no more.
    #[serde(default)]
    waits_from: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Wait {
    Timer(DateTime<Utc>),
    /// A step that failed and is tried again.
    Retry(String, DateTime<Utc>),
    /// An attempt with side effects that began.
    Effect(String, u32),
    Child(JobId),
}

/// The signals of one name: how many came, and who waits or waited for one. The n-th wait takes the n-th signal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Signals {
    received: usize,
    waits: BTreeMap<u32, Option<DateTime<Utc>>>,
}

impl OpenJournal {
    /// What is waited for, with the time at which the wait ends by itself; the earliest first.
    fn next(&self) -> Option<(Option<DateTime<Utc>>, String)> {
        let waits = self.waits.range(self.waits_from..).filter_map(|(_, wait)| match wait {
            Wait::Timer(at) => Some((Some(*at), "timer".to_owned())),
            Wait::Retry(step, at) => Some((Some(*at), format!("retry of step {step}"))),
            Wait::Child(child) => Some((None, format!("child {child}"))),
            Wait::Effect(..) => None,
        });
        let signals = self.signals.iter().filter_map(|(name, signals)| {
            let open = signals.waits.iter().skip(signals.received).filter(|(index, _)| **index >= self.waits_from);
            let first = open.map(|(_, until)| *until).min_by_key(|until| until.unwrap_or(DateTime::<Utc>::MAX_UTC))?;
            Some((first, format!("signal {name}")))
        });
        waits.chain(signals).min_by_key(|(due, _)| due.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    fn is_retrying(&self) -> bool {
        let mut waits = self.waits.range(self.waits_from..);
        waits.any(|(_, wait)| matches!(wait, Wait::Retry(..) | Wait::Effect(_, 2..)))
    }

    fn is_acting(&self) -> bool {
        self.waits.range(self.waits_from..).any(|(_, wait)| matches!(wait, Wait::Effect(..)))
    }

    /// Everything that was due and had not come is later by `pause`.
    fn postpone(&mut self, pause: TimeDelta) {
        for wait in self.waits.values_mut() {
            if let Wait::Timer(at) | Wait::Retry(_, at) = wait {
                *at += pause;
            }
        }
        for signals in self.signals.values_mut() {
            for until in signals.waits.values_mut().skip(signals.received).flatten() {
                *until += pause;
            }
        }
    }

    fn reset(&mut self, index: u32) {
        self.edge = self.edge.min(index);
        self.waits_from = 0;
        self.waits.split_off(&index);
        for signals in self.signals.values_mut() {
            signals.waits.split_off(&index);
        }
    }
}

/// What the log knows of an event beside its payload.
pub(super) struct Recorded<'a> {
    pub position: i64,
    pub sequence: i64,
    pub actor: &'a str,
}

impl JobView {
    /// The row that a job begins with; `None` for any other event.
    pub(super) fn created(event: &JobEvent, recorded: &Recorded<'_>) -> Option<Self> {
        let JobEvent::JobCreated { job_id, bot_id, workflow, input, origin, at } = event else { return None };
        let (origin_kind, origin_job, origin_index) = match origin {
            Origin::Campaign { .. } => (OriginKind::Campaign, None, None),
            Origin::Person => (OriginKind::Person, None, None),
            Origin::Parent { job_id, index } => (OriginKind::Parent, Some(*job_id), Some(*index)),
            Origin::Continued { job_id } => (OriginKind::Continued, Some(*job_id), None),
            Origin::Forked { job_id, index } => (OriginKind::Forked, Some(*job_id), Some(*index)),
        };
        let (campaign_id, due_at) = match origin {
            Origin::Campaign { campaign_id, due_at } => (Some(*campaign_id), Some(*due_at)),
            _ => (campaign_in(input), None),
        };
        let mut row = Self::new(*job_id, *bot_id, columns::text(workflow).into_owned(), origin_kind, *at);
        row.priority = JobPriority::of_origin(origin);
        row.origin_job_id = origin_job;
        row.origin_index = origin_index;
        row.campaign_id = campaign_id;
        row.due_at = due_at;
        row.first_position = recorded.position;
        row.note(recorded);
        row.settle(*at);
        Some(row)
    }

    fn new(job_id: JobId, bot_id: BotId, workflow: String, origin_kind: OriginKind, at: DateTime<Utc>) -> Self {
        Self {
            job_id,
            bot_id,
            partition: partition_of(bot_id),
            workflow,
            origin_kind,
            origin_job_id: None,
            origin_index: None,
            campaign_id: None,
            due_at: None,
            next_job_id: None,
            state: JobState::Pending,
            priority: JobPriority::Normal,
            reason: None,
            created_at: at,
            started_at: None,
            ended_at: None,
            updated_at: at,
            wake_at: None,
            runnable: true,
            waiting_for: None,
            step_index: None,
            step_name: None,
            attempts: 0,
            retrying: false,
            failure: None,
            end_code: None,
            end_message: None,
            result: None,
            divergence: None,
            last_actor: String::new(),
            last_sequence: 0,
            first_position: 0,
            journal: OpenJournal::default(),
        }
    }

    fn note(&mut self, recorded: &Recorded<'_>) {
        self.last_sequence = recorded.sequence;
        if self.last_actor != recorded.actor {
            self.last_actor = columns::text(recorded.actor).into_owned();
        }
    }

    /// Folds a later event into the row.
    pub(super) fn apply(&mut self, event: &JobEvent, recorded: &Recorded<'_>) {
        let at = event.at();
        self.note(recorded);
        self.updated_at = at;
        if !self.journal_entry(event) {
            self.turn(event, at);
        }
        self.settle(at);
    }

    /// What follows from the rest of the row.
    fn settle(&mut self, at: DateTime<Utc>) {
        let works = matches!(self.state, JobState::Pending | JobState::Running | JobState::Cancelling);
        let next = if works { self.journal.next() } else { None };
        self.retrying = works && self.journal.is_retrying();
        self.runnable = works && (self.runnable || self.journal.is_acting());
        self.wake_at = match &next {
            _ if !works => None,
            _ if self.runnable => Some(at),
            Some((due, _)) => *due,
            None => None,
        };
        self.waiting_for = next.map(|(_, what)| columns::text(&what).into_owned());
        if self.state.is_over() && self.ended_at.is_none() {
            self.ended_at = Some(at);
        }
    }

    /// A record of what the code asked for. False: it is something else.
    fn journal_entry(&mut self, event: &JobEvent) -> bool {
        if let Some(index) = index_of(event) {
            self.journal.edge = self.journal.edge.max(index.saturating_add(1));
        }
        let waits = &mut self.journal.waits;
        self.runnable = match event {
            JobEvent::StepStarted { .. } | JobEvent::StepCompleted { .. } | JobEvent::StepFailed { .. } => {
                self.step(event)
            }
            JobEvent::TimerSet { index, fires_at, .. } => {
                waits.insert(*index, Wait::Timer(*fires_at));
                false
            }
            JobEvent::ChildStarted { index, child, .. } => {
                waits.insert(*index, Wait::Child(*child));
                false
            }
            JobEvent::TimerFired { index, .. } | JobEvent::ChildFinished { index, .. } => {
                waits.remove(index);
                true
            }
            JobEvent::SignalAwaited { index, name, until, .. } => {
                let signals = self.journal.signals.entry(name.clone()).or_default();
                signals.waits.insert(*index, *until);
                // One that came earlier is taken at once.
                signals.waits.len() <= signals.received
            }
            JobEvent::SignalTimedOut { index, .. } => {
                for signals in self.journal.signals.values_mut() {
                    signals.waits.remove(index);
                }
                true
            }
            JobEvent::SignalReceived { name, .. } => {
                let signals = self.journal.signals.entry(name.clone()).or_default();
                signals.received += 1;
                self.runnable || signals.waits.len() >= signals.received
            }
            JobEvent::PatchMarked { .. } => true,
            _ => return false,
        };
        true
    }

    fn step(&mut self, event: &JobEvent) -> bool {
        let (index, name, attempt) = match event {
            JobEvent::StepStarted { index, name, attempt, .. }
            | JobEvent::StepCompleted { index, name, attempt, .. }
            | JobEvent::StepFailed { index, name, attempt, .. } => (*index, name, *attempt),
            _ => return false,
        };
        let is_same = self.step_index == Some(index);
        self.step_index = Some(index);
        self.step_name = Some(columns::text(name).into_owned());
        self.attempts = attempt;
        match event {
            JobEvent::StepStarted { .. } => {
                self.journal.waits.insert(index, Wait::Effect(name.clone(), attempt));
                true
            }
            JobEvent::StepFailed { code, message, retry_at, at, .. } => {
                let (code, message) = (columns::text(code).into_owned(), columns::text(message).into_owned());
                self.failure = Some(Failure { code, message, at: *at });
                match retry_at {
                    Some(again) => self.journal.waits.insert(index, Wait::Retry(name.clone(), *again)),
                    None => self.journal.waits.remove(&index),
                };
                retry_at.is_none()
            }
            _ => {
                self.journal.waits.remove(&index);
                if is_same {
                    self.failure = None;
                }
                true
            }
        }
    }

    /// A change of what the job is.
    fn turn(&mut self, event: &JobEvent, at: DateTime<Utc>) {
        match event {
            JobEvent::JobStarted { .. } => {
                self.state = JobState::Running;
                self.started_at = self.started_at.or(Some(at));
                self.runnable = true;
            }
            JobEvent::JobPaused { reason, .. } => {
                self.journal.paused = Some((at, self.state == JobState::Pending));
                self.state = JobState::Paused;
                self.reason = Some(columns::text(reason).into_owned());
            }
            JobEvent::JobResumed { .. } => {
                if let Some((since, was_pending)) = self.journal.paused.take() {
                    self.journal.postpone(at - since);
                    self.state = if was_pending { JobState::Pending } else { JobState::Running };
                }
                self.reason = None;
                self.runnable = true;
            }
            JobEvent::JobPrioritized { priority, .. } => self.priority = *priority,
            JobEvent::JobReset { index, reason, .. } => self.reset(*index, reason),
            JobEvent::JobForked { history, .. } => {
                for inherited in history {
                    self.journal_entry(inherited);
                }
                self.runnable = true;
            }
            JobEvent::JobDiverged { index, recorded, attempted, .. } => {
                self.state = JobState::NeedsAttention;
                self.divergence = Some(Diverged {
                    index: *index,
                    recorded: columns::text(recorded).into_owned(),
                    attempted: columns::text(attempted).into_owned(),
                });
            }
            event => self.end(event),
        }
    }

    fn reset(&mut self, index: u32, reason: &str) {
        self.journal.reset(index);
        self.journal.paused = None;
        self.state = JobState::Running;
        self.reason = Some(columns::text(reason).into_owned());
        self.runnable = true;
        self.step_index = Some(index);
        self.step_name = None;
        self.attempts = 0;
        self.failure = None;
        self.divergence = None;
        self.ended_at = None;
        self.end_code = None;
        self.end_message = None;
        self.result = None;
    }

    fn end(&mut self, event: &JobEvent) {
        match event {
            JobEvent::JobCancelRequested { reason, .. } => {
                self.journal.waits_from = self.journal.edge;
                self.journal.paused = None;
                self.state = JobState::Cancelling;
                self.reason = Some(columns::text(reason).into_owned());
                self.runnable = true;
            }
            JobEvent::JobCancelled { .. } => self.state = JobState::Cancelled,
            JobEvent::JobTerminated { reason, .. } => {
                self.state = JobState::Terminated;
                self.reason = Some(columns::text(reason).into_owned());
            }
            JobEvent::JobCompleted { result, .. } => {
                self.state = JobState::Completed;
                self.result = Some(columns::clean(result.clone()));
            }
            JobEvent::JobFailed { code, message, .. } => {
                self.state = JobState::Failed;
                self.end_code = Some(columns::text(code).into_owned());
                self.end_message = Some(columns::text(message).into_owned());
            }
            JobEvent::JobContinuedAsNew { next, .. } => {
                self.state = JobState::Continued;
                self.next_job_id = Some(*next);
            }
            _ => {}
        }
    }
}

/// Where in the journal an event is recorded.
const fn index_of(event: &JobEvent) -> Option<u32> {
    match event {
        JobEvent::StepStarted { index, .. }
        | JobEvent::StepCompleted { index, .. }
        | JobEvent::StepFailed { index, .. }
        | JobEvent::TimerSet { index, .. }
        | JobEvent::SignalAwaited { index, .. }
        | JobEvent::ChildStarted { index, .. }
        | JobEvent::PatchMarked { index, .. } => Some(*index),
        _ => None,
    }
}

/// A run that goes on, is forked or was asked for by a person has its campaign in its input.
fn campaign_in(input: &Value) -> Option<CampaignId> {
    input.get("campaign_id")?.as_str()?.parse().ok()
}
