//! What a workflow's code may ask of the world. Everything goes through the journal.
//!
//! Code between two calls must be a function of its input and of what the context returned: no clock, no randomness,
//! no I/O of its own. Calls may be joined, when each branch is one call: places in the journal are given in the order in
//! which calls are first polled, and the second calls of branches would come in the order in which the first ones end.
//! Which of two calls ends first is no function of the history; whatever has to come in time is a signal with an end.

mod rules;
mod step;
mod waits;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::JobId;
use domain::job::{Divergence, JobCommand, JobState, LONGEST_HISTORY, Next, RetryPolicy, Wake};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::desk::Attention;
use super::error::{EngineError, StepError};
use super::stream::{JobStream, Provenance};

pub use step::StepContext;

/// The first step of a job may take this long before its beginning is written by itself.
const UNWRITTEN_FOR: Duration = Duration::from_millis(50);

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
    /// Tells when somebody else writes to the job.
    attention: Option<Arc<Attention>>,
    /// How much of that was taken in before a step.
    heeded: AtomicU64,
    /// After so many events the job should go on as a new one.
    history_limit: AtomicU32,
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
        attention: Option<Arc<Attention>>,
    ) -> Self {
        Self::in_mode(Mode::Runs, job_id, stream, clock, entropy, attention)
    }

    pub(super) fn in_mode(
        mode: Mode,
        job_id: JobId,
        stream: JobStream,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        attention: Option<Arc<Attention>>,
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
            attention,
            heeded: AtomicU64::new(0),
            history_limit: AtomicU32::new(LONGEST_HISTORY),
        });
        Self { shared, cleans_up: false }
    }

    pub(super) fn with_history_limit(self, events: u32) -> Self {
        self.shared.history_limit.store(events, Ordering::Release);
        self
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

    async fn run_step<T, F, Fut>(&self, name: &str, policy: &RetryPolicy, kind: Kind, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(StepContext) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        let index = self.take_index();
        let busy = Busy::new(&self.shared.busy);
        let (attempt, unsettled, unwritten) = match self.begin_step(index, name, kind).await {
            Ok(Begun::Recorded(recorded)) => return read_recorded(recorded),
            Ok(Begun::Execute { attempt, unsettled, unwritten }) => (attempt, unsettled, unwritten),
            Err(Held::Cancelled) => return Err(StepError::Cancelled),
            Err(Held::Stop(stop)) => {
                drop(busy);
                return self.stop(stop).await;
            }
        };
        let pulse = policy.heartbeat.map(|_| Arc::default());
        let cancel = self.shared.attention.is_some().then(|| self.clone());
        let work = work(StepContext { attempt, unsettled, pulse: pulse.clone(), cancel });
        let attempted = self.attempt(step::attempt(work, policy, pulse), unwritten);
        let result = if kind == Kind::Effect || self.cleans_up {
            // What it does outside is not cut off in the middle; it may ask for itself.
            attempted.await
        } else {
            tokio::select! {
                biased;
                result = attempted => result,
                () = self.cancelled() => Err(StepError::Cancelled),
            }
        };
        let ended = self.end_step(index, name, policy, attempt, &result).await;
        drop(busy);
        match ended {
            Ok(()) => result,
            Err(stop) => self.stop(stop).await,
        }
    }

    /// Awaits an attempt; if it takes long, what is not written yet is written meanwhile.
    async fn attempt<T>(
        &self,
        attempt: impl Future<Output = Result<T, StepError>>,
        unwritten: Unwritten,
    ) -> Result<T, StepError> {
        let mut attempt = std::pin::pin!(attempt);
        match unwritten {
            Unwritten::Nothing => return attempt.await,
            Unwritten::Beginning => {
                if let Ok(result) = tokio::time::timeout(UNWRITTEN_FOR, attempt.as_mut()).await {
                    return result;
                }
            }
            Unwritten::Results => {}
        }
        let write = async { self.shared.stream.lock().await.write().await };
        tokio::select! {
            biased;
            result = attempt.as_mut() => return result,
            // What cannot be written now is written with the step's end.
            _ = write => {}
        }
        attempt.await
    }

    async fn begin_step(&self, index: u32, name: &str, kind: Kind) -> Result<Begun, Held> {
        let mut stream = self.shared.stream.lock().await;
        let now = self.shared.clock.now();
        match stream.job().journal().step(index, name, now) {
            Next::Recorded(recorded) => {
                self.learn(&stream, index);
                Ok(Begun::Recorded(recorded))
            }
            Next::Diverged(divergence) => Err(Held::Stop(Stop::Diverged(divergence))),
            Next::Wait(wake) => Err(self.held(stream.state(), Stop::Wait(wake))),
            Next::Execute { attempt, unsettled } => {
                self.looks(stream.state(), index, || format!("step {name}"), attempt)?;
                rules::name(name)?;
                self.has_room(stream.job())?;
                let unwritten = unwritten(&stream, kind);
                match unwritten {
                    Unwritten::Nothing => stream.write().await?,
                    Unwritten::Beginning => {}
                    Unwritten::Results => stream.hand_over().await?,
                }
                self.heed(&mut stream).await?;
                if !self.may_act(stream.state()).map_err(|_| Held::Cancelled)? {
                    return Err(Held::Stop(Stop::Interrupted));
                }
                if kind == Kind::Effect {
                    stream.decide(JobCommand::StartStep { index, name: name.to_owned(), at: now })?;
                    stream.write().await?;
                    if !self.may_act(stream.state()).map_err(|_| Held::Cancelled)? {
                        return Err(Held::Stop(Stop::Interrupted));
                    }
                }
                Ok(Begun::Execute { attempt, unsettled, unwritten })
            }
        }
    }

    /// Takes in what others wrote, if there may be something.
    async fn heed(&self, stream: &mut JobStream) -> Result<(), EngineError> {
        let Some(attention) = &self.shared.attention else { return Ok(()) };
        let raised = attention.times_raised();
        if self.shared.heeded.fetch_max(raised, Ordering::AcqRel) < raised {
            stream.refresh().await?;
        }
        Ok(())
    }

    async fn end_step<T: Serialize>(
        &self,
        index: u32,
        name: &str,
        policy: &RetryPolicy,
        attempt: u32,
        result: &Result<T, StepError>,
    ) -> Result<(), Stop> {
        let mut stream = self.shared.stream.lock().await;
        let now = self.shared.clock.now();
        let name = name.to_owned();
        let mut refused = false;
        let (code, message) = match result {
            Ok(value) => {
                let Err((code, message)) = complete(&mut stream, index, &name, value, now) else {
                    self.learn(&stream, index);
                    return Ok(());
                };
                if !takes_records(stream.state()) {
                    return Err(Stop::Interrupted);
                }
                refused = true;
                (code, message)
            }
            Err(StepError::Failed { code, message }) => (Cow::Owned(code.clone()), message.clone()),
            Err(StepError::Cancelled) if stream.state() == JobState::Cancelling => return Ok(()),
            Err(StepError::Cancelled) => return Err(Stop::Interrupted),
        };
        let delay = policy.delay_after(attempt, &code, self.shared.entropy.unit()).filter(|_| !refused);
        let retry_at = delay.map(|delay| now + TimeDelta::from_std(delay).unwrap_or(TimeDelta::days(1)));
        let failure =
            JobCommand::FailStep { index, name, code: code.to_string(), message: message.clone(), retry_at, at: now };
        if stream.decide(failure).is_err() {
            return Err(Stop::Interrupted);
        }
        self.learn(&stream, index);
        match (retry_at, code) {
            (Some(at), _) => Err(Stop::Wait(Wake::At(at))),
            (None, Cow::Borrowed(code)) if refused => Err(Stop::Fault(EngineError::Broken { code, message })),
            _ => Ok(()),
        }
    }

    fn held(&self, state: JobState, stop: Stop) -> Held {
        match self.may_act(state) {
            Err(_) => Held::Cancelled,
            Ok(true) => Held::Stop(stop),
            Ok(false) => Held::Stop(Stop::Interrupted),
        }
    }
}

/// What of the job's history may not be written when a step of this kind begins.
fn unwritten(stream: &JobStream, kind: Kind) -> Unwritten {
    match kind {
        Kind::Pure if stream.has_only_begun() => Unwritten::Beginning,
        Kind::Pure if stream.has_unwritten() => Unwritten::Results,
        Kind::Pure | Kind::Idempotent | Kind::Effect => Unwritten::Nothing,
    }
}

/// Records a step's result, or says why it cannot be.
fn complete<T: Serialize>(
    stream: &mut JobStream,
    index: u32,
    name: &str,
    value: &T,
    at: DateTime<Utc>,
) -> Result<(), (Cow<'static, str>, String)> {
    let result =
        serde_json::to_value(value).map_err(|error| (Cow::Borrowed("STEP_RESULT_REFUSED"), error.to_string()))?;
    stream
        .decide(JobCommand::CompleteStep { index, name: name.to_owned(), result, at })
        .map_err(|error| (Cow::Borrowed(error.code()), error.to_string()))
}

fn takes_records(state: JobState) -> bool {
    matches!(state, JobState::Running | JobState::Cancelling | JobState::Paused)
}

fn read_recorded<T: DeserializeOwned>(recorded: Result<Value, domain::job::StepFailure>) -> Result<T, StepError> {
    match recorded {
        Err(failure) => Err(StepError::Failed { code: failure.code, message: failure.message }),
        // The code's type may have changed under a recorded result.
        Ok(value) => {
            serde_json::from_value(value).map_err(|error| StepError::failed("STEP_RESULT_SHAPE", error.to_string()))
        }
    }
}

enum Begun {
    Recorded(Result<Value, domain::job::StepFailure>),
    Execute { attempt: u32, unsettled: bool, unwritten: Unwritten },
}

/// What a step does outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Pure,
    /// What others see, and what may be repeated.
    Idempotent,
    /// What must not be repeated unknowingly.
    Effect,
}

/// What is not written while a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    Nothing,
    /// Only that the job has begun, which may come with its first step, if that is over soon.
    Beginning,
    /// Results, which are on their way.
    Results,
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
