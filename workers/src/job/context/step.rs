//! One attempt of a step: its limits in time, its sign of life, and how a cancellation reaches it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::job::{JobState, RetryPolicy};
use tokio::time::{Instant, sleep_until, timeout};

use super::super::error::StepError;
use super::Context;

/// What one attempt of a step knows.
#[derive(Clone)]
pub struct StepContext {
    /// 1 is the first.
    pub attempt: u32,
    /// An earlier attempt began and its end is not recorded: look before you repeat a side effect.
    pub unsettled: bool,
    pub(super) pulse: Option<Arc<Pulse>>,
    pub(super) cancel: Option<Context>,
}

impl StepContext {
    /// A sign of life. A step whose policy asks for heartbeats and that is silent for longer has failed.
    pub fn heartbeat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }

    /// Waits until the job is asked to end. For steps with side effects, which are not cut off: they choose where to stop.
    pub async fn cancelled(&self) {
        match &self.cancel {
            Some(context) => context.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

/// When an attempt last gave a sign of life.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing was heard for `longest`.
    async fn is_silent(&self, longest: Duration) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + longest;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Runs `work` within the limits of `policy`.
pub(super) async fn attempt<T>(
    work: impl Future<Output = Result<T, StepError>>,
    policy: &RetryPolicy,
    pulse: Option<Arc<Pulse>>,
) -> Result<T, StepError> {
    let limited = timeout(policy.timeout, work);
    let done = match (policy.heartbeat, pulse) {
        (Some(longest), Some(pulse)) => tokio::select! {
            biased;
            done = limited => done,
            () = pulse.is_silent(longest) => {
                let message = format!("an attempt gave no sign of life for {} ms", longest.as_millis());
                return Err(StepError::failed("STEP_HEARTBEAT_LOST", message));
            }
        },
        _ => limited.await,
    };
    done.unwrap_or_else(|_elapsed| {
        let seconds = policy.timeout.as_secs();
        Err(StepError::failed("STEP_TIMEOUT", format!("an attempt took longer than {seconds} s")))
    })
}

impl Context {
    /// Waits until the job is asked to end, or somebody has ended it.
    pub(super) async fn cancelled(&self) {
        let Some(attention) = &self.shared.attention else { return std::future::pending().await };
        let mut seen = 0;
        loop {
            seen = attention.raised(seen).await;
            let mut stream = self.shared.stream.lock().await;
            // What cannot be read now shows at the next write.
            if stream.refresh().await.is_ok() {
                let state = stream.state();
                // A job that has not begun is one whose history was taken back.
                if state == JobState::Cancelling || state == JobState::Pending || state.is_over() {
                    return;
                }
            }
        }
    }
}
