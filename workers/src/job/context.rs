//! What a workflow's code may ask of the world. Everything goes through the journal.
//!
//! Code between two calls must be a function of its input and of what the context returned: no clock, no randomness,
//! no I/O of its own. Calls may be joined, when each branch is one call: places in the journal are given in the order in
//! which calls are first polled, and the second calls of branches would come in the order in which the first ones end.
//! Which of two calls ends first is no function of the history; whatever has to come in time is a signal with an end.

mod doing;
mod rules;
mod step;
mod waits;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::JobId;
use domain::job::{Divergence, JobState, LONGEST_HISTORY, RetryPolicy, Wake};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::desk::Attention;
use super::error::{EngineError, StepError};
use super::stream::{JobStream, Provenance};

use doing::Kind;
pub use step::StepContext;

/// Why the code does not go on now.
#[derive(Debug)]
pub(super) enum Stop {
    Wait(Wake),
    Diverged(Divergence),
    /// Somebody paused or ended the job.
    Interrupted,
    /// In a replay that only looks: the code goes on with something that is not recorded.
    Beyond(Beyond),
    Fault(EngineError),
}

/// What the code goes on with where its history ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beyond {
    pub index: u32,
    pub attempted: String,
    /// 1 is the first.
    pub attempt: u32,
}

/// What a context does where nothing is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Runs,
    /// It does nothing and only says what would come. `ended`: the history has its end, so nothing comes after it.
    Looks {
        ended: bool,
    },
}

/// A child that was asked for and whose stream has to be made before the parent says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewChild {
    pub job_id: JobId,
    pub index: u32,
    pub workflow: String,
    pub input: Value,
}

/// What whoever runs the code knows beside the stream.
pub(super) struct Known {
    /// Tells when somebody else writes to the job.
    pub attention: Option<Arc<Attention>>,
    /// After so many events the job should go on as a new one.
    pub history_limit: u32,
    /// Children that the journal has and that are nowhere else.
    pub missing: HashSet<JobId>,
}

/// Of a job that nobody runs.
impl Default for Known {
    fn default() -> Self {
        Self { attention: None, history_limit: LONGEST_HISTORY, missing: HashSet::new() }
    }
}

pub(super) struct Shared {
    pub job_id: JobId,
    mode: Mode,
    /// Whose random series the code sees.
    seed: JobId,
    /// The latest instant that the code learned of.
    seen: Mutex<Option<DateTime<Utc>>>,
    pub stream: AsyncMutex<JobStream>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    next_index: AtomicU32,
    rolls: AtomicU32,
    /// How often the code asked for what is not recorded.
    asked: AtomicU32,
    /// Calls that do something right now; while there is one, the job is not asleep.
    pub busy: AtomicUsize,
    stops: Mutex<VecDeque<Stop>>,
    pub children: Mutex<Vec<NewChild>>,
    /// Children that the journal has and that are nowhere else.
    missing: Mutex<HashSet<JobId>>,
    /// Tells when somebody else writes to the job.
    attention: Option<Arc<Attention>>,
    /// How much of that was taken in before a step.
    heeded: AtomicU64,
    /// After so many events the job should go on as a new one.
    history_limit: u32,
}

impl Shared {
    pub fn stops(&self) -> MutexGuard<'_, VecDeque<Stop>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a workflow's code may ask of the world.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    /// Whether this is the context of cleanup, which also works while the job is being cancelled.
    cleans_up: bool,
}

/// The context of cleanup steps: they also run while the job is being cancelled.
pub type Cleanup = Context;

struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Context {
    pub(super) fn new(
        job_id: JobId,
        stream: JobStream,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        known: Known,
    ) -> Self {
        Self::in_mode(Mode::Runs, job_id, stream, clock, entropy, known)
    }

    pub(super) fn in_mode(
        mode: Mode,
        job_id: JobId,
        stream: JobStream,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        known: Known,
    ) -> Self {
        let shared = Arc::new(Shared {
            job_id,
            mode,
            seed: stream.job().journal().seed().unwrap_or(job_id),
            seen: Mutex::default(),
            stream: AsyncMutex::new(stream),
            clock,
            entropy,
            next_index: AtomicU32::new(0),
            rolls: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            busy: AtomicUsize::new(0),
            stops: Mutex::default(),
            children: Mutex::default(),
            missing: Mutex::new(known.missing),
            attention: known.attention,
            heeded: AtomicU64::new(0),
            history_limit: known.history_limit,
        });
        Self { shared, cleans_up: false }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn index(&self) -> u32 {
        self.shared.next_index.load(Ordering::Acquire)
    }

    fn take_index(&self) -> u32 {
        self.shared.next_index.fetch_add(1, Ordering::AcqRel)
    }

    /// Never returns: the code does not go on in this activation.
    async fn stop<T>(&self, stop: Stop) -> T {
        self.shared.stops().push_back(stop);
        std::future::pending().await
    }

    async fn fault<T>(&self, error: impl Into<EngineError>) -> T {
        self.stop(Stop::Fault(error.into())).await
    }

    /// Whether new things may be done; recorded ones are returned in any case.
    fn may_act(&self, state: JobState) -> Result<bool, StepError> {
        match state {
            JobState::Running => Ok(true),
            JobState::Cancelling if self.cleans_up => Ok(true),
            JobState::Cancelling => Err(StepError::Cancelled),
            _ => Ok(false),
        }
    }

    /// The job that runs.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.shared.job_id
    }

    /// Whose job it is, and what the events of its work say about where they come from.
    pub(crate) async fn whose(&self) -> (Option<domain::ids::BotId>, Provenance) {
        let stream = self.shared.stream.lock().await;
        (stream.job().bot_id(), stream.provenance().clone())
    }

    /// A context whose steps also run while the job is being cancelled.
    #[must_use]
    pub fn cleanup(&self) -> Cleanup {
        Self { shared: Arc::clone(&self.shared), cleans_up: true }
    }

    /// When the last of what the code has learned so far became known: the same in every replay.
    pub async fn now(&self) -> DateTime<Utc> {
        if self.shared.asked.fetch_add(1, Ordering::AcqRel) >= rules::MOST_QUESTIONS {
            return self.fault(rules::endless()).await;
        }
        let started = self.shared.stream.lock().await.job().journal().started_at();
        let seen = *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        started.max(seen).unwrap_or_default()
    }

    /// The code learns what is recorded at `index`.
    fn learn(&self, stream: &JobStream, index: u32) {
        let known_at = stream.job().journal().known_at(index);
        let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = known_at.max(*seen);
    }

    /// In a replay that only looks, what is to be done at `index` is where it ends.
    fn looks(&self, state: JobState, index: u32, attempted: impl FnOnce() -> String, attempt: u32) -> Result<(), Held> {
        match self.shared.mode {
            Mode::Runs => Ok(()),
            Mode::Looks { .. } => {
                Err(self.held(state, Stop::Beyond(Beyond { index, attempted: attempted(), attempt })))
            }
        }
    }

    /// A number in `[0, 1)` that depends on the job and on how many were taken before: the same in every replay, and
    /// in a fork of the job.
    #[must_use]
    pub fn random(&self) -> f64 {
        let roll = self.shared.rolls.fetch_add(1, Ordering::AcqRel);
        let mut hash = Sha256::new();
        hash.update(self.shared.seed.uuid().as_bytes());
        hash.update(roll.to_be_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }

    /// Does `work` once and keeps its result: a replay returns what is recorded. Without side effects outside, so that
    /// an attempt whose end is lost may simply be repeated.
    ///
    /// The code goes on while the result is being written. Before anything outside can tell (an effect, an
    /// [idempotent](Context::idempotent) step, a child, a wait, the job's end), everything is durable.
    pub async fn step<T, F, Fut>(&self, name: &str, policy: &RetryPolicy, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(StepContext) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        self.run_step(name, policy, Kind::Pure, work).await
    }

    /// As [`Context::step`], for work that others see and that may be repeated: everything before it is durable when it
    /// begins.
    pub async fn idempotent<T, F, Fut>(&self, name: &str, policy: &RetryPolicy, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(StepContext) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        self.run_step(name, policy, Kind::Idempotent, work).await
    }

    /// As [`Context::step`], for work with side effects: its beginning is durable before it runs, so that whoever
    /// takes over knows that the outcome of an earlier attempt is unknown.
    pub async fn effect<T, F, Fut>(&self, name: &str, policy: &RetryPolicy, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(StepContext) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        self.run_step(name, policy, Kind::Effect, work).await
    }

    fn held(&self, state: JobState, stop: Stop) -> Held {
        match self.may_act(state) {
            Err(_) => Held::Cancelled,
            Ok(true) => Held::Stop(stop),
            Ok(false) => Held::Stop(Stop::Interrupted),
        }
    }
}

enum Held {
    Cancelled,
    Stop(Stop),
}

impl<E: Into<EngineError>> From<E> for Held {
    fn from(error: E) -> Self {
        Self::Stop(Stop::Fault(error.into()))
    }
}
