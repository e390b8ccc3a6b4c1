//! What a replay finds next: what is recorded, what is to be executed, or that today's code asks for something else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{JobEvent, Outcome};
use crate::ids::JobId;

/// How a step failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    pub code: String,
    pub message: String,
}

/// What is recorded under one index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    Step {
        name: String,
        /// Attempts that have begun.
        attempts: u32,
        /// An attempt with side effects began, and no end of it is recorded.
        unsettled: bool,
        retry_at: Option<DateTime<Utc>>,
        result: Option<Result<Value, StepFailure>>,
    },
    Timer {
        fires_at: DateTime<Utc>,
        fired: bool,
    },
    Signal {
        name: String,
        until: Option<DateTime<Utc>>,
        timed_out: bool,
        in_cleanup: bool,
    },
    Child {
        child: JobId,
        workflow: String,
        outcome: Option<Outcome>,
    },
    Patch {
        patch: String,
    },
}

impl Entry {
    /// What the entry is, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Step { name, .. } => format!("step {name}"),
            Self::Timer { .. } => "sleep".to_owned(),
            Self::Signal { name, .. } => format!("signal {name}"),
            Self::Child { workflow, .. } => format!("child {workflow}"),
            Self::Patch { patch } => format!("patch {patch}"),
        }
    }
}

/// Today's code asks for something else than the history has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    pub index: u32,
    pub recorded: String,
    pub attempted: String,
}

/// What comes next for one thing that the code asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<T> {
    /// It is recorded; nothing is done again.
    Recorded(T),
    /// It is to be done now, as this attempt (1 is the first). `unsettled`: an earlier attempt with side effects has
    /// no recorded end.
    Execute {
        attempt: u32,
        unsettled: bool,
    },
    /// It is recorded and not over yet.
    Wait(Wake),
    Diverged(Divergence),
}

/// What ends a wait.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    At(DateTime<Utc>),
    Signal { name: String, until: Option<DateTime<Utc>> },
    Child(JobId),
}

/// The journal of one job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    entries: BTreeMap<u32, Entry>,
    /// When what is recorded under an index became what it is.
    known_at: BTreeMap<u32, DateTime<Utc>>,
    /// Signals in the order of their arrival, by name.
    signals: BTreeMap<String, Vec<Received>>,
    /// The indices of waits that signals go to, ascending, by name: not those that timed out or that a cancellation ended.
    waits: BTreeMap<String, Vec<u32>>,
    patches: BTreeSet<String>,
    events: u32,
    started_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    /// The job whose random series this one has, when it is a fork.
    seed: Option<JobId>,
    /// Somebody asked the job to end.
    is_cancelled: bool,
    /// Children whose end came after that.
    late: BTreeSet<u32>,
    /// Children that had not ended when the job was asked to end, or when a reset took their beginning back.
    dropped: BTreeSet<JobId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Received {
    payload: Value,
    at: DateTime<Utc>,
    /// It came after the job was asked to end.
    is_late: bool,
}

impl Journal {
    /// What is recorded, by index.
    pub fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.entries.iter().map(|(index, entry)| (*index, entry))
    }

    /// What is recorded under `index`.
    #[must_use]
    pub fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(&index)
    }

    /// How many events the history has.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// The first index that nothing is recorded under.
    #[must_use]
    pub fn edge(&self) -> u32 {
        self.entries.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// What a step named `name` finds at `index`.
    #[must_use]
    pub fn step(&self, index: u32, name: &str, now: DateTime<Utc>) -> Next<Result<Value, StepFailure>> {
        match self.entries.get(&index) {
            None => Next::Execute { attempt: 1, unsettled: false },
            Some(Entry::Step { name: recorded, attempts, unsettled, retry_at, result }) if recorded == name => {
                match (result, retry_at) {
                    (Some(result), _) => Next::Recorded(result.clone()),
                    (None, Some(at)) if now < *at => Next::Wait(Wake::At(*at)),
                    (None, _) => Next::Execute { attempt: attempts + 1, unsettled: *unsettled },
                }
            }
            Some(other) => diverged(index, other, format!("step {name}")),
        }
    }

    /// What a sleep finds at `index`.
    #[must_use]
    pub fn timer(&self, index: u32) -> Next<()> {
        match self.entries.get(&index) {
            None => Next::Execute { attempt: 1, unsettled: false },
            Some(Entry::Timer { fired: true, .. }) => Next::Recorded(()),
            Some(Entry::Timer { fires_at, .. }) => Next::Wait(Wake::At(*fires_at)),
            Some(other) => diverged(index, other, "sleep".to_owned()),
        }
    }

    /// What waiting for a signal named `name` finds at `index`: `Recorded(None)` after a time-out. The n-th wait for a
    /// name that did not time out takes the n-th signal of that name.
    #[must_use]
    pub fn signal(&self, index: u32, name: &str) -> Next<Option<Value>> {
        match self.entries.get(&index) {
            None => Next::Execute { attempt: 1, unsettled: false },
            Some(Entry::Signal { name: recorded, timed_out: true, .. }) if recorded == name => Next::Recorded(None),
            Some(Entry::Signal { name: recorded, until, .. }) if recorded == name => match self.taken(index, name) {
                Some(received) => Next::Recorded(Some(received.payload.clone())),
                None => Next::Wait(Wake::Signal { name: name.to_owned(), until: *until }),
            },
            Some(other) => diverged(index, other, format!("signal {name}")),
        }
    }

    /// The signal that the wait at `index` takes, if it has come.
    fn taken(&self, index: u32, name: &str) -> Option<&Received> {
        let before = self.waits.get(name)?.binary_search(&index).ok()?;
        self.signals.get(name)?.get(before)
    }

    /// Whether the signal that the wait at `index` is for has not come.
    #[must_use]
    pub fn is_awaited(&self, index: u32, name: &str) -> bool {
        self.taken(index, name).is_none()
    }

    /// Whether the child at `index` ended after the job was asked to end. For all but cleanup, the wait for it was over then,
    /// and is so in every replay. (A signal that comes late does not go to such a wait at all.)
    #[must_use]
    pub fn came_late(&self, index: u32) -> bool {
        self.late.contains(&index)
    }

    /// Children that nobody waits for any more: the job was asked to end, or a reset took their beginning back.
    pub fn dropped(&self) -> impl Iterator<Item = JobId> {
        self.dropped.iter().copied()
    }

    /// Children that go on.
    pub fn open_children(&self) -> impl Iterator<Item = JobId> {
        open_children(self.entries.values())
    }

    /// When what the code learns at `index` became known: the same in every replay.
    #[must_use]
    pub fn known_at(&self, index: u32) -> Option<DateTime<Utc>> {
        let recorded = self.known_at.get(&index).copied();
        match self.entries.get(&index) {
            Some(Entry::Signal { name, timed_out: false, .. }) => {
                recorded.max(self.taken(index, name).map(|received| received.at))
            }
            _ => recorded,
        }
    }

    /// What starting a child of `workflow` finds at `index`.
    #[must_use]
    pub fn child(&self, index: u32, workflow: &str) -> Next<Outcome> {
        match self.entries.get(&index) {
            None => Next::Execute { attempt: 1, unsettled: false },
            Some(Entry::Child { child, workflow: recorded, outcome }) if recorded == workflow => match outcome {
                Some(outcome) => Next::Recorded(outcome.clone()),
                None => Next::Wait(Wake::Child(*child)),
            },
            Some(other) => diverged(index, other, format!("child {workflow}")),
        }
    }

    /// Whether the code may take the path that `patch` changed, asked at `index`. A history from before the patch says
    /// no and takes no index for the question; `Execute` means: record the mark, and yes.
    #[must_use]
    pub fn patched(&self, index: u32, patch: &str) -> Next<bool> {
        match self.entries.get(&index) {
            None if self.patches.contains(patch) => Next::Recorded(true),
            None => Next::Execute { attempt: 1, unsettled: false },
            Some(Entry::Patch { patch: recorded }) if recorded == patch => Next::Recorded(true),
            Some(_) => Next::Recorded(false),
        }
    }

    /// Whether the mark of `patch` stands at `index`, so that asking takes the index.
    #[must_use]
    pub fn has_mark(&self, index: u32, patch: &str) -> bool {
        matches!(self.entries.get(&index), Some(Entry::Patch { patch: recorded }) if recorded == patch)
    }

    /// The code ended at `index`, and the history goes on: that is a divergence too.
    #[must_use]
    pub fn left_over(&self, index: u32) -> Option<Divergence> {
        let (at, entry) = self.entries.range(index..).next()?;
        Some(Divergence { index: *at, recorded: entry.describe(), attempted: "the end of the workflow".to_owned() })
    }

    /// The earliest instant at which something recorded is due.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.entries
            .values()
            .filter_map(|entry| match entry {
                Entry::Timer { fires_at, fired: false } => Some(*fires_at),
                Entry::Step { retry_at, result: None, .. } => *retry_at,
                Entry::Signal { until, timed_out: false, .. } => *until,
                _ => None,
            })
            .min()
    }

    /// The engine time at which the code began; for a fork, that of the original.
    #[must_use]
    pub const fn started_at(&self) -> Option<DateTime<Utc>> {
        self.started_at
    }

    /// The job whose random series this one has; `None` unless it is a fork.
    #[must_use]
    pub const fn seed(&self) -> Option<JobId> {
        self.seed
    }

    /// The engine time of the last event.
    #[must_use]
    pub const fn last_at(&self) -> Option<DateTime<Utc>> {
        self.last_at
    }

    /// Records `event`.
    pub(super) fn record(&mut self, event: &JobEvent, at: DateTime<Utc>) {
        self.events = self.events.saturating_add(1);
        self.last_at = Some(at);
        if let Some(index) = event.index() {
            self.known_at.insert(index, event.at());
        }
        match event {
            JobEvent::JobStarted { at } => {
                self.started_at.get_or_insert(*at);
            }
            JobEvent::StepStarted { index, name, attempt, .. } => {
                self.step_entry(*index, name, *attempt, true, None, None);
            }
            JobEvent::StepCompleted { index, name, attempt, result, .. } => {
                self.step_entry(*index, name, *attempt, false, None, Some(Ok(result.clone())));
            }
            JobEvent::StepFailed { index, name, attempt, code, message, retry_at, .. } => {
                let failure = StepFailure { code: code.clone(), message: message.clone() };
                let result = retry_at.is_none().then_some(Err(failure));
                self.step_entry(*index, name, *attempt, false, *retry_at, result);
            }
            JobEvent::TimerSet { index, fires_at, .. } => {
                self.entries.insert(*index, Entry::Timer { fires_at: *fires_at, fired: false });
            }
            JobEvent::TimerFired { index, .. } => {
                if let Some(Entry::Timer { fired, .. }) = self.entries.get_mut(index) {
                    *fired = true;
                }
            }
            JobEvent::SignalAwaited { .. } | JobEvent::SignalTimedOut { .. } | JobEvent::SignalReceived { .. } => {
                self.record_signal(event);
            }
            JobEvent::ChildStarted { index, child, workflow, .. } => {
                let entry = Entry::Child { child: *child, workflow: workflow.clone(), outcome: None };
                self.entries.insert(*index, entry);
            }
            JobEvent::ChildFinished { index, outcome, .. } => {
                if let Some(Entry::Child { outcome: recorded, .. }) = self.entries.get_mut(index) {
                    *recorded = Some(outcome.clone());
                    if self.is_cancelled {
                        self.late.insert(*index);
                    }
                }
            }
            JobEvent::PatchMarked { index, patch, .. } => {
                self.patches.insert(patch.clone());
                self.entries.insert(*index, Entry::Patch { patch: patch.clone() });
            }
            JobEvent::JobCancelRequested { .. } => self.cancel(),
            JobEvent::JobReset { index, .. } => self.reset(*index),
            JobEvent::JobForked { from, history, .. } => {
                for inherited in history {
                    self.record(inherited, at);
                }
                // A fork of a fork has the series of the first original.
                self.seed.get_or_insert(*from);
            }
            _ => {}
        }
    }

    /// What comes from now on is for cleanup alone.
    fn cancel(&mut self) {
        self.is_cancelled = true;
        self.dropped.extend(open_children(self.entries.values()));
        let entries = &self.entries;
        for (name, waits) in &mut self.waits {
            let come = self.signals.get(name).map_or(0, Vec::len);
            let cleans_up = |index: &u32| matches!(entries.get(index), Some(Entry::Signal { in_cleanup: true, .. }));
            let mut place = 0;
            waits.retain(|index| {
                place += 1;
                place <= come || cleans_up(index)
            });
        }
    }

    fn reset(&mut self, index: u32) {
        self.known_at.split_off(&index);
        self.dropped.extend(open_children(self.entries.split_off(&index).values()));
        self.patches = self.marked();
        // What came late is in time for what is waited for from now on.
        self.is_cancelled = false;
        self.late.clear();
        self.signals.values_mut().flatten().for_each(|received| received.is_late = false);
        self.waits.clear();
        for (index, entry) in &self.entries {
            if let Entry::Signal { name, timed_out: false, .. } = entry {
                self.waits.entry(name.clone()).or_default().push(*index);
            }
        }
    }

    fn record_signal(&mut self, event: &JobEvent) {
        match event {
            JobEvent::SignalAwaited { index, name, until, in_cleanup, .. } => {
                let (until, in_cleanup) = (*until, *in_cleanup);
                self.entries.insert(*index, Entry::Signal { name: name.clone(), until, timed_out: false, in_cleanup });
                let waits = self.waits.entry(name.clone()).or_default();
                let in_time =
                    self.signals.get(name).is_some_and(|all| all.get(waits.len()).is_some_and(|one| !one.is_late));
                if self.is_cancelled && !in_cleanup && !in_time {
                    return;
                }
                if let Err(place) = waits.binary_search(index) {
                    waits.insert(place, *index);
                }
            }
            JobEvent::SignalTimedOut { index, .. } => {
                if let Some(Entry::Signal { name, timed_out, .. }) = self.entries.get_mut(index) {
                    *timed_out = true;
                    let waits = self.waits.entry(name.clone()).or_default();
                    if let Ok(place) = waits.binary_search(index) {
                        waits.remove(place);
                    }
                }
            }
            JobEvent::SignalReceived { name, payload, at } => {
                let received = Received { payload: payload.clone(), at: *at, is_late: self.is_cancelled };
                self.signals.entry(name.clone()).or_default().push(received);
            }
            _ => {}
        }
    }

    /// Everything that was due and had not come is later by `pause`.
    pub(super) fn postpone(&mut self, pause: TimeDelta) {
        for entry in self.entries.values_mut() {
            match entry {
                Entry::Timer { fires_at, fired: false } => *fires_at += pause,
                Entry::Step { retry_at: Some(at), result: None, .. }
                | Entry::Signal { until: Some(at), timed_out: false, .. } => *at += pause,
                _ => {}
            }
        }
    }

    fn marked(&self) -> BTreeSet<String> {
        let marks = self.entries.values().filter_map(|entry| match entry {
            Entry::Patch { patch } => Some(patch.clone()),
            _ => None,
        });
        marks.collect()
    }

    fn step_entry(
        &mut self,
        index: u32,
        name: &str,
        attempts: u32,
        unsettled: bool,
        retry_at: Option<DateTime<Utc>>,
        result: Option<Result<Value, StepFailure>>,
    ) {
        self.entries.insert(index, Entry::Step { name: name.to_owned(), attempts, unsettled, retry_at, result });
    }
}

/// Children whose end is not recorded.
fn open_children<'a>(entries: impl Iterator<Item = &'a Entry>) -> impl Iterator<Item = JobId> {
    entries.filter_map(|entry| match entry {
        Entry::Child { child, outcome: None, .. } => Some(*child),
        _ => None,
    })
}

fn diverged<T>(index: u32, recorded: &Entry, attempted: String) -> Next<T> {
    Next::Diverged(Divergence { index, recorded: recorded.describe(), attempted })
}
