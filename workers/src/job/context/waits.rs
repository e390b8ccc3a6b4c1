//! What a workflow waits for: time, signals and children; and the marks of changed paths.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{JobId, derive};
use domain::job::{JobCommand, JobState, Next, Outcome, Wake};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::error::{StepError, WorkflowError};
use super::super::stream::JobStream;
use super::{Context, Held, Mode, NewChild, Stop};

/// Waiting: for time, signals and children.
impl Context {
    /// Sleeps for `length` of engine time; the job takes no memory meanwhile.
    pub async fn sleep(&self, length: Duration) -> Result<(), StepError> {
        let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
        let now = self.shared.clock.now();
        let until = now.checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.sleep_until(until).await
    }

    /// Sleeps until an instant of engine time. In a replay the recorded instant counts, not `until`.
    pub async fn sleep_until(&self, until: DateTime<Utc>) -> Result<(), StepError> {
        let index = self.take_index();
        let held = {
            let mut stream = self.shared.stream.lock().await;
            self.timer(&mut stream, index, until)
        };
        match held {
            Ok(()) => Ok(()),
            Err(Held::Cancelled) => Err(StepError::Cancelled),
            Err(Held::Stop(stop)) => self.stop(stop).await,
        }
    }

    fn timer(&self, stream: &mut JobStream, index: u32, until: DateTime<Utc>) -> Result<(), Held> {
        let now = self.shared.clock.now();
        let mut next = stream.job().journal().timer(index);
        if matches!(next, Next::Execute { .. }) {
            self.looks(stream.state(), index, || "sleep".to_owned(), 1)?;
            if let held @ (Held::Cancelled | Held::Stop(Stop::Interrupted)) =
                self.held(stream.state(), Stop::Wait(Wake::At(until)))
            {
                return Err(held);
            }
            self.has_room(stream.job())?;
            stream.decide(JobCommand::SetTimer { index, fires_at: until, at: now })?;
            next = stream.job().journal().timer(index);
        }
        match next {
            Next::Recorded(()) => {
                self.learn(stream, index);
                Ok(())
            }
            Next::Diverged(divergence) => Err(Held::Stop(Stop::Diverged(divergence))),
            Next::Wait(Wake::At(due)) if due <= now && self.may_end_waits(stream.state()) => {
                stream.decide(JobCommand::FireTimer { index, at: now })?;
                self.learn(stream, index);
                Ok(())
            }
            Next::Wait(wake) => Err(self.held(stream.state(), Stop::Wait(wake))),
            Next::Execute { .. } => Err(Held::Stop(Stop::Wait(Wake::At(until)))),
        }
    }

    /// Whether a wait whose time has come ends now.
    fn may_end_waits(&self, state: JobState) -> bool {
        self.shared.mode == Mode::Runs && self.may_act(state).unwrap_or(false)
    }

    /// Waits for the next signal named `name`, at most until `until`; `None` when none came in time.
    pub async fn signal<T: DeserializeOwned>(
        &self,
        name: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<Option<T>, StepError> {
        let index = self.take_index();
        let held = {
            let mut stream = self.shared.stream.lock().await;
            self.awaited_signal(&mut stream, index, name, until)
        };
        match held {
            Ok(None) => Ok(None),
            Ok(Some(payload)) => match serde_json::from_value(payload) {
                Ok(payload) => Ok(Some(payload)),
                Err(error) => Err(StepError::failed("SIGNAL_SHAPE", error.to_string())),
            },
            Err(Held::Cancelled) => Err(StepError::Cancelled),
            Err(Held::Stop(stop)) => self.stop(stop).await,
        }
    }

    fn awaited_signal(
        &self,
        stream: &mut JobStream,
        index: u32,
        name: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<Option<Value>, Held> {
        let now = self.shared.clock.now();
        let mut next = stream.job().journal().signal(index, name);
        if matches!(next, Next::Execute { .. }) {
            self.looks(stream.state(), index, || format!("signal {name}"), 1)?;
            let wake = Wake::Signal { name: name.to_owned(), until };
            if let held @ (Held::Cancelled | Held::Stop(Stop::Interrupted)) =
                self.held(stream.state(), Stop::Wait(wake))
            {
                return Err(held);
            }
            self.has_room(stream.job())?;
            let in_cleanup = self.cleans_up;
            stream.decide(JobCommand::AwaitSignal { index, name: name.to_owned(), until, in_cleanup, at: now })?;
            next = stream.job().journal().signal(index, name);
        }
        match next {
            Next::Recorded(payload) => {
                self.learn(stream, index);
                Ok(payload)
            }
            Next::Diverged(divergence) => Err(Held::Stop(Stop::Diverged(divergence))),
            Next::Wait(Wake::Signal { until: Some(until), .. })
                if until <= now && self.may_end_waits(stream.state()) =>
            {
                stream.decide(JobCommand::TimeOutSignal { index, at: now })?;
                self.learn(stream, index);
                Ok(None)
            }
            Next::Wait(wake) => Err(self.held(stream.state(), Stop::Wait(wake))),
            Next::Execute { .. } => Err(Held::Stop(Stop::Interrupted)),
        }
    }

    /// Starts a job of `workflow` and waits for its end. Its id follows from this job's, so that it starts once.
    pub async fn child<O: DeserializeOwned>(&self, workflow: &str, input: impl Serialize) -> Result<O, StepError> {
        let index = self.take_index();
        let input = serde_json::to_value(input).map_err(|error| StepError::failed("CHILD_INPUT", error.to_string()))?;
        let held = {
            let mut stream = self.shared.stream.lock().await;
            self.awaited_child(&mut stream, index, workflow, input).await
        };
        match held {
            Ok(Outcome::Completed { result }) => serde_json::from_value(result)
                .map_err(|error| StepError::failed("CHILD_RESULT_SHAPE", error.to_string())),
            Ok(Outcome::Failed { code, message }) => Err(StepError::Failed { code, message }),
            Ok(Outcome::Cancelled) => Err(StepError::failed("CHILD_CANCELLED", "the child was cancelled")),
            Err(Held::Cancelled) => Err(StepError::Cancelled),
            Err(Held::Stop(stop)) => self.stop(stop).await,
        }
    }

    async fn awaited_child(
        &self,
        stream: &mut JobStream,
        index: u32,
        workflow: &str,
        input: Value,
    ) -> Result<Outcome, Held> {
        match stream.job().journal().child(index, workflow) {
            Next::Recorded(_) if !self.cleans_up && stream.job().journal().came_late(index) => Err(Held::Cancelled),
            Next::Recorded(outcome) => {
                self.learn(stream, index);
                Ok(outcome)
            }
            Next::Diverged(divergence) => Err(Held::Stop(Stop::Diverged(divergence))),
            Next::Wait(wake) => {
                if let Wake::Child(child) = wake
                    && self.shared.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(&child)
                {
                    self.new_child(NewChild { job_id: child, index, workflow: workflow.to_owned(), input });
                }
                Err(self.held(stream.state(), Stop::Wait(wake)))
            }
            Next::Execute { .. } => {
                self.looks(stream.state(), index, || format!("child {workflow}"), 1)?;
                // The child is made with what the steps before gave.
                stream.write().await?;
                let child = self.next_child(stream, index);
                let wait = Stop::Wait(Wake::Child(child));
                let held = self.held(stream.state(), wait);
                if matches!(held, Held::Stop(Stop::Wait(_))) {
                    let at = self.shared.clock.now();
                    let workflow = workflow.to_owned();
                    self.has_room(stream.job())?;
                    stream.decide(JobCommand::StartChild { index, child, workflow: workflow.clone(), at })?;
                    self.new_child(NewChild { job_id: child, index, workflow, input });
                }
                Err(held)
            }
        }
    }

    /// Has the child made when the code stops.
    fn new_child(&self, child: NewChild) {
        self.shared.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }

    /// The id of the child that begins at `index`: another one after a reset took the first one back.
    fn next_child(&self, stream: &JobStream, index: u32) -> JobId {
        let (parent, index) = (self.shared.job_id.to_string(), index.to_string());
        JobId::from_uuid(match stream.job().resets() {
            0 => derive(&["child", &parent, &index]),
            resets => derive(&["child", &parent, &index, &resets.to_string()]),
        })
    }

    /// Whether the code may take the path that `patch` changed: yes for a job that comes here for the first time, and
    /// the mark of it is kept; no for one whose history is from before.
    pub async fn patched(&self, patch: &str) -> bool {
        let index = self.index();
        let mut stream = self.shared.stream.lock().await;
        if let Next::Recorded(answer) = stream.job().journal().patched(index, patch) {
            if stream.job().journal().has_mark(index, patch) {
                self.learn(&stream, index);
                self.take_index();
            }
            return answer;
        }
        if (self.shared.mode == Mode::Looks { ended: true }) {
            // The job ended here without the mark, so its history is from before the patch.
            return false;
        }
        let at = self.shared.clock.now();
        let marked = stream.decide(JobCommand::MarkPatch { index, patch: patch.to_owned(), at });
        self.learn(&stream, index);
        drop(stream);
        match marked {
            Ok(()) => {
                self.take_index();
                true
            }
            Err(error) => self.fault(error).await,
        }
    }

    /// Ends this job; a new one of the same workflow goes on with `input`. For loops that would make a history long.
    pub fn continue_as_new<O>(&self, input: impl Serialize) -> Result<O, WorkflowError> {
        match serde_json::to_value(input) {
            Ok(input) => Err(WorkflowError::ContinueAsNew(input)),
            Err(error) => Err(WorkflowError::Failed { code: "WORKFLOW_SHAPE".to_owned(), message: error.to_string() }),
        }
    }
}
