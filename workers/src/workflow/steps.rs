//! How a workflow's steps act for the bot: in its account's turn, under the job's own provenance, asked again as long as the
//! answer is "not now".

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{JobId, derive};
use domain::job::RetryPolicy;
use projections::reactor::work::BOT_RESUMED;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::answer::{Answer, NotNow};
use crate::errand::Errand;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::job::{Context, StepError};

/// A paused bot is looked at this often all the same.
const LONGEST_HOLD: chrono::TimeDelta = chrono::TimeDelta::hours(6);
/// Failures of one step that end its run.
const MOST_ATTEMPTS: u32 = 12;

/// The steps of one job.
#[derive(Clone)]
pub(crate) struct Steps {
    pub(crate) ctx: Context,
    hands: Arc<Hands>,
}

/// What a step with an answer came to.
pub(crate) enum Asked<T> {
    Done(T),
    /// The run is over, for this reason.
    Ended(String),
}

impl Steps {
    pub(crate) const fn new(ctx: Context, hands: Arc<Hands>) -> Self {
        Self { ctx, hands }
    }

    /// The same for cleanup.
    pub(crate) fn cleanup(&self) -> Self {
        Self { ctx: self.ctx.cleanup(), hands: Arc::clone(&self.hands) }
    }

    pub(crate) fn job_id(&self) -> JobId {
        self.ctx.job_id()
    }

    /// Most pages of a source that one run reads.
    pub(crate) fn most_pages(&self) -> u32 {
        self.hands.config.source_pages
    }

    /// How often and how soon a failed step is tried again: its waits are real time, whatever the speed of the clock.
    fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            first_delay: self.hands.scaled(Duration::from_secs(1)),
            longest_delay: self.hands.scaled(Duration::from_secs(600)),
            attempts: MOST_ATTEMPTS,
            timeout: self.hands.config.work_limit,
            ..RetryPolicy::default()
        }
    }

    /// A step that only reads, or whose repetition the bot itself makes harmless.
    pub(crate) async fn step<T, F, Fut>(&self, name: &str, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Errand) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let id = self.next_id(name);
        self.ctx.idempotent(name, &self.policy(), |_| self.in_turn(id, work)).await
    }

    /// A step that writes to the platform.
    pub(crate) async fn effect<T, F, Fut>(&self, name: &str, work: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Errand) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let id = self.next_id(name);
        self.ctx.effect(name, &self.policy(), |_| self.in_turn(id, work)).await
    }

    /// Asks until the answer is not "not now", and waits in between as the answers say.
    pub(crate) async fn ask<T, F, Fut>(&self, name: &str, kind: Asking, work: F) -> Result<Asked<T>, StepError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Errand) -> Fut,
        Fut: Future<Output = Result<Answer<T>, Fault>>,
    {
        loop {
            let answer = match kind {
                Asking::Read => self.step(name, &work).await?,
                Asking::Write => self.effect(name, &work).await?,
            };
            match answer {
                Answer::Done(done) => return Ok(Asked::Done(done)),
                Answer::NotNow(NotNow::Ended { reason }) => return Ok(Asked::Ended(reason)),
                Answer::NotNow(NotNow::Wait { until, .. }) => self.ctx.sleep_until(until).await?,
                Answer::NotNow(NotNow::Held) => {
                    let until = self.ctx.now().await + LONGEST_HOLD;
                    self.ctx.signal::<serde_json::Value>(BOT_RESUMED, Some(until)).await?;
                }
            }
        }
    }

    /// Does the work in the account's turn, on behalf of the job.
    async fn in_turn<T, F, Fut>(&self, id: Uuid, work: F) -> Result<T, StepError>
    where
        F: FnOnce(Errand) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let (bot_id, provenance) = self.ctx.whose().await;
        let bot_id = bot_id.ok_or_else(|| StepError::failed("JOB_WITHOUT_BOT", "the job has no bot"))?;
        let errand = Errand::of_step(Arc::clone(&self.hands), bot_id, id, &provenance);
        let _turn = self.hands.accounts.turn(bot_id).await;
        // On the heap: it is large, and many of these are inside each other.
        Box::pin(work(errand)).await.map_err(|fault| {
            tracing::warn!(code = fault.code(), error = &fault as &dyn std::error::Error, "a step broke off");
            StepError::failed(fault.code(), fault.to_string())
        })
    }

    /// The id of the next step's requests.
    fn next_id(&self, name: &str) -> Uuid {
        derive(&["step", &self.ctx.job_id().to_string(), &self.ctx.index().to_string(), name])
    }
}

/// Whether a step writes to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    Read,
    Write,
}
