//! How a step is done: what is durable before it begins, its attempt, and what is recorded of its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::job::{JobCommand, JobState, Next, RetryPolicy, Wake};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::error::{EngineError, StepError};
use super::super::stream::JobStream;
use super::{Busy, Context, Held, StepContext, Stop, rules, step};

/// The first step of a job may take this long before its beginning is written by itself.
const UNWRITTEN_FOR: Duration = Duration::from_millis(50);

enum Begun {
    Recorded(Result<Value, domain::job::StepFailure>),
    Execute { attempt: u32, unsettled: bool, unwritten: Unwritten },
}

/// What a step does outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Context {
    pub(super) async fn run_step<T, F, Fut>(
        &self,
        name: &str,
        policy: &RetryPolicy,
        kind: Kind,
        work: F,
    ) -> Result<T, StepError>
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
                match (kind, unwritten) {
                    (Kind::Pure, Unwritten::Results) => stream.hand_over().await?,
                    (Kind::Idempotent, Unwritten::Nothing) => stream.write().await?,
                    _ => {}
                }
                self.heed(&mut stream).await?;
                loop {
                    if !self.may_act(stream.state()).map_err(|_| Held::Cancelled)? {
                        return Err(Held::Stop(Stop::Interrupted));
                    }
                    if kind != Kind::Effect {
                        break;
                    }
                    // What is not written yet comes with the beginning.
                    if stream.write_with(JobCommand::StartStep { index, name: name.to_owned(), at: now }).await? {
                        break;
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
}

/// What of the job's history may not be written when a step of this kind begins.
fn unwritten(stream: &JobStream, kind: Kind) -> Unwritten {
    match kind {
        Kind::Pure | Kind::Idempotent if stream.has_only_begun() => Unwritten::Beginning,
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
