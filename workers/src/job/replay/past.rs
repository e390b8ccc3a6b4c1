//! A history as a replay needs it: the job as its code saw it at last, and how it ended.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::JobId;
use domain::job::{Job, JobEvent, JobState};
use serde_json::Value;
use uuid::Uuid;

use super::error::ReplayError;
use super::{Parting, Verdict};

/// Longest value that is shown in a sentence, in characters.
const LONGEST_SHOWN: usize = 120;

/// How a workflow's code ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ended {
    Completed { result: Value },
    Failed { code: String, message: String },
    Continued { input: Value },
    Cancelled,
}

impl Ended {
    /// Whether both are the same kind of end.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed { code, .. }, Self::Failed { code: other, .. }) => code == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { result } => write!(f, "completed with {}", shown(result)),
            Self::Failed { code, message } => write!(f, "failed with {code} ({message})"),
            Self::Continued { input } => write!(f, "continued as new with {}", shown(input)),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST_SHOWN {
        return text;
    }
    text.chars().take(LONGEST_SHOWN).chain(['…']).collect()
}

/// A history, read.
pub(super) struct Past {
    pub job_id: JobId,
    /// With everything but its end, so that the code meets what it met while it ran.
    pub job: Job,
    /// Where the whole history leaves the job.
    pub state: JobState,
    /// How the code ended, if the history says so.
    pub ended: Option<Ended>,
    /// The event that recorded an index first.
    pub sequences: BTreeMap<u32, i64>,
    began: bool,
    diverged: Option<(i64, u32)>,
    terminated: bool,
}

impl Past {
    /// Reads `history`, which must be one job's from its beginning.
    pub fn of(history: &[(i64, JobEvent)]) -> Result<Self, ReplayError> {
        let job_id = match history.first() {
            None => return Err(ReplayError::Empty),
            Some((1, JobEvent::JobCreated { job_id, .. })) => *job_id,
            Some((sequence, _)) => return Err(not_a_history(*sequence, "it does not begin with JobCreated")),
        };
        let mut past = Self {
            job_id,
            job: Job::default(),
            state: JobState::NotCreated,
            ended: None,
            sequences: BTreeMap::new(),
            began: false,
            diverged: None,
            terminated: false,
        };
        for (expected, (sequence, event)) in (1..).zip(history) {
            if *sequence != expected {
                return Err(not_a_history(*sequence, "an event before it is missing or twice there"));
            }
            if expected > 1 && matches!(event, JobEvent::JobCreated { .. }) {
                return Err(not_a_history(*sequence, "another job begins"));
            }
            past.take(*sequence, event);
        }
        past.state = past.last_state();
        past.wake();
        Ok(past)
    }

    fn take(&mut self, sequence: i64, event: &JobEvent) {
        self.place(sequence, event);
        match event {
            JobEvent::JobStarted { .. } => self.began = true,
            JobEvent::JobCompleted { result, .. } => self.ended = Some(Ended::Completed { result: result.clone() }),
            JobEvent::JobFailed { code, message, .. } => {
                self.ended = Some(Ended::Failed { code: code.clone(), message: message.clone() });
            }
            JobEvent::JobContinuedAsNew { input, .. } => self.ended = Some(Ended::Continued { input: input.clone() }),
            JobEvent::JobCancelled { .. } => self.ended = Some(Ended::Cancelled),
            JobEvent::JobTerminated { .. } => self.terminated = true,
            JobEvent::JobDiverged { index, .. } => self.diverged = Some((sequence, *index)),
            JobEvent::JobReset { .. } => {
                (self.ended, self.diverged, self.terminated) = (None, None, false);
                // Only what ran can run again.
                self.began = true;
            }
            _ => {}
        }
        if !is_end(event) {
            self.job.apply(event.clone());
        }
    }

    /// Remembers which event recorded an index first.
    fn place(&mut self, sequence: i64, event: &JobEvent) {
        if let Some(index) = event.index() {
            self.sequences.entry(index).or_insert(sequence);
        }
        match event {
            JobEvent::JobReset { index, .. } => drop(self.sequences.split_off(index)),
            JobEvent::JobForked { history, .. } => {
                for inherited in history {
                    self.place(sequence, inherited);
                }
            }
            _ => {}
        }
    }

    fn last_state(&self) -> JobState {
        match &self.ended {
            _ if self.terminated => JobState::Terminated,
            _ if self.diverged.is_some() => JobState::NeedsAttention,
            Some(Ended::Completed { .. }) => JobState::Completed,
            Some(Ended::Failed { .. }) => JobState::Failed,
            Some(Ended::Continued { .. }) => JobState::Continued,
            Some(Ended::Cancelled) => JobState::Cancelled,
            None => self.job.state(),
        }
    }

    /// The code only runs in a job that runs: one that is paused or has not begun is taken as if it went on now.
    fn wake(&mut self) {
        let at = self.job.journal().last_at().unwrap_or_default();
        match self.job.state() {
            JobState::Paused => self.job.apply(JobEvent::JobResumed { at }),
            JobState::Pending => self.job.apply(JobEvent::JobStarted { at }),
            _ => return,
        }
        if self.job.state() == JobState::Pending {
            self.job.apply(JobEvent::JobStarted { at });
        }
    }

    /// Whether the job ended before its code ran.
    pub fn never_began(&self) -> bool {
        !self.began && (self.ended.is_some() || self.terminated)
    }

    /// Whether the history ends with a cancellation that its code saw.
    pub fn is_cancelled(&self) -> bool {
        self.job.state() == JobState::Cancelling
    }

    /// Code and history part at `index`.
    pub fn parting(&self, index: u32, recorded: String, attempted: String) -> Verdict {
        let sequence = self.sequences.get(&index).copied();
        Verdict::Diverges(Parting { index, sequence, recorded, attempted })
    }

    /// What is worth knowing of the history itself.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((sequence, index)) = self.diverged {
            notes.push(format!("the job needs attention: at sequence {sequence} it was found to part at {index}"));
        }
        if self.terminated {
            notes.push("the job was terminated: its code may have gone further than its history".to_owned());
        }
        if self.state == JobState::Paused {
            notes.push("the job is paused: it is replayed as if it went on now".to_owned());
        }
        notes
    }
}

/// After these the code does not run, so the job that it ran in is the one before them.
const fn is_end(event: &JobEvent) -> bool {
    matches!(
        event,
        JobEvent::JobCompleted { .. }
            | JobEvent::JobFailed { .. }
            | JobEvent::JobContinuedAsNew { .. }
            | JobEvent::JobCancelled { .. }
            | JobEvent::JobTerminated { .. }
            | JobEvent::JobDiverged { .. }
    )
}

const fn not_a_history(sequence: i64, problem: &'static str) -> ReplayError {
    ReplayError::NotAHistory { sequence, problem }
}

/// The history's own clock, which stands at its last event; and no randomness, as nothing new is made.
pub(super) struct Still(pub DateTime<Utc>);

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

impl Entropy for Still {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }

    fn unit(&self) -> f64 {
        0.0
    }
}
