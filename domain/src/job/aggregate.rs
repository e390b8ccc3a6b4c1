//! The job's state, decisions and fold.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LARGEST_VALUE;
use super::command::JobCommand;
use super::error::JobError;
use super::event::{JobEvent, Origin};
use super::journal::{Divergence, Entry, Journal, Next, Wake};
use super::priority::JobPriority;
use super::state::JobState;
use super::upcast;
use crate::decide::Decide;
use crate::ids::{BotId, JobId};

/// Longest reason or name that a person or the code may give, in characters.
const LONGEST_TEXT: usize = 500;

/// One durable run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    id: Option<JobId>,
    bot_id: Option<BotId>,
    workflow: String,
    input: Value,
    origin: Option<Origin>,
    state: JobState,
    journal: Journal,
    paused: Option<Paused>,
    divergence: Option<(u32, String, String)>,
    /// As somebody set it.
    priority: Option<JobPriority>,
    /// How often somebody took back a part of the history.
    resets: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Paused {
    since: DateTime<Utc>,
    /// What it goes back to.
    from: JobState,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            id: None,
            bot_id: None,
            workflow: String::new(),
            input: Value::Null,
            origin: None,
            state: JobState::NotCreated,
            journal: Journal::default(),
            paused: None,
            divergence: None,
            priority: None,
            resets: 0,
        }
    }
}

type Decision = Result<Vec<JobEvent>, JobError>;

/// What others may see.
impl Job {
    #[must_use]
    pub const fn id(&self) -> Option<JobId> {
        self.id
    }

    #[must_use]
    pub const fn bot_id(&self) -> Option<BotId> {
        self.bot_id
    }

    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    #[must_use]
    pub const fn input(&self) -> &Value {
        &self.input
    }

    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    #[must_use]
    pub const fn state(&self) -> JobState {
        self.state
    }

    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How urgent it is among the jobs of its bot.
    #[must_use]
    pub fn priority(&self) -> JobPriority {
        let usual = self.origin.as_ref().map_or(JobPriority::Normal, JobPriority::of_origin);
        self.priority.unwrap_or(usual)
    }

    /// The priority that somebody gave it.
    #[must_use]
    pub const fn own_priority(&self) -> Option<JobPriority> {
        self.priority
    }

    /// How often somebody took back a part of the history.
    #[must_use]
    pub const fn resets(&self) -> u32 {
        self.resets
    }

    /// Where a retry begins: where history and code part, or the first step that is tried again, or the last that failed
    /// for good; else, unless the job completed, behind all that is recorded.
    #[must_use]
    pub fn retry_index(&self) -> Option<u32> {
        if let Some((index, ..)) = &self.divergence {
            return Some(*index);
        }
        let open = |entry: &Entry| matches!(entry, Entry::Step { result: None, .. });
        let failed = |entry: &Entry| matches!(entry, Entry::Step { result: Some(Err(_)), .. });
        let tried_again = self.journal.entries().find(|(_, entry)| open(entry));
        let index = tried_again
            .or_else(|| self.journal.entries().filter(|(_, entry)| failed(entry)).last())
            .map(|(index, _)| index);
        index.or_else(|| (self.state != JobState::Completed).then(|| self.journal.edge()))
    }

    fn refuse<T>(&self, command: &'static str) -> Result<T, JobError> {
        Err(JobError::NotAllowed { command, state: self.state })
    }

    /// What the worker records is taken while the code runs, its cleanup included.
    fn running(&self, command: &'static str) -> Result<(), JobError> {
        match self.state {
            JobState::Running | JobState::Cancelling => Ok(()),
            _ => self.refuse(command),
        }
    }

    fn live(&self, command: &'static str) -> Result<(), JobError> {
        if self.state == JobState::NotCreated || self.state.is_over() { self.refuse(command) } else { Ok(()) }
    }

    fn found(&self, index: u32) -> String {
        self.journal.entry(index).map_or_else(|| "nothing".to_owned(), Entry::describe)
    }

    fn out_of_step<T>(&self, command: &'static str, index: u32) -> Result<T, JobError> {
        Err(JobError::OutOfStep { command, index, found: self.found(index) })
    }

    /// The attempt that a step's end belongs to: the one that began, or the next of a step without a recorded start.
    /// A step that ends while the job is paused has ended all the same.
    fn attempt(&self, command: &'static str, index: u32, name: &str, at: DateTime<Utc>) -> Result<u32, JobError> {
        if self.state != JobState::Paused {
            self.running(command)?;
        }
        match self.journal.step(index, name, at) {
            Next::Execute { attempt, unsettled: true } => Ok(attempt - 1),
            Next::Execute { attempt, unsettled: false } => Ok(attempt),
            _ => self.out_of_step(command, index),
        }
    }

    /// `next` must be what the journal finds when nothing is recorded under the index.
    fn fresh<T>(&self, command: &'static str, index: u32, next: &Next<T>) -> Result<(), JobError> {
        self.running(command)?;
        if matches!(next, Next::Execute { .. }) { Ok(()) } else { self.out_of_step(command, index) }
    }
}

impl Job {
    fn create(
        &self,
        job_id: JobId,
        bot_id: BotId,
        workflow: String,
        input: Value,
        origin: Origin,
        at: DateTime<Utc>,
    ) -> Decision {
        if self.state != JobState::NotCreated {
            return self.refuse("Create");
        }
        check_size("the input", &input)?;
        Ok(vec![JobEvent::JobCreated { job_id, bot_id, workflow, input, origin, at }])
    }

    fn start(&self, at: DateTime<Utc>) -> Decision {
        match self.state {
            JobState::Pending => Ok(vec![JobEvent::JobStarted { at }]),
            _ => self.refuse("Start"),
        }
    }

    fn start_step(&self, index: u32, name: String, at: DateTime<Utc>) -> Decision {
        self.running("StartStep")?;
        check_text("a step's name", &name)?;
        match self.journal.step(index, &name, at) {
            Next::Execute { attempt, .. } => Ok(vec![JobEvent::StepStarted { index, name, attempt, at }]),
            _ => self.out_of_step("StartStep", index),
        }
    }

    fn complete_step(&self, index: u32, name: String, result: Value, at: DateTime<Utc>) -> Decision {
        check_size("the result of the step", &result)?;
        let attempt = self.attempt("CompleteStep", index, &name, at)?;
        Ok(vec![JobEvent::StepCompleted { index, name, attempt, result, at }])
    }

    fn fire_timer(&self, index: u32, at: DateTime<Utc>) -> Decision {
        self.running("FireTimer")?;
        match self.journal.timer(index) {
            Next::Wait(Wake::At(due)) if due <= at => Ok(vec![JobEvent::TimerFired { index, at }]),
            _ => self.out_of_step("FireTimer", index),
        }
    }

    fn time_out_signal(&self, index: u32, at: DateTime<Utc>) -> Decision {
        self.running("TimeOutSignal")?;
        let Some(Entry::Signal { name, until: Some(until), .. }) = self.journal.entry(index) else {
            return self.out_of_step("TimeOutSignal", index);
        };
        match self.journal.signal(index, name) {
            Next::Wait(_) if *until <= at => Ok(vec![JobEvent::SignalTimedOut { index, at }]),
            _ => self.out_of_step("TimeOutSignal", index),
        }
    }

    fn resume(&self, at: DateTime<Utc>) -> Decision {
        match self.state {
            JobState::Paused => Ok(vec![JobEvent::JobResumed { at }]),
            _ => self.refuse("Resume"),
        }
    }

    fn pause(&self, reason: String, at: DateTime<Utc>) -> Decision {
        match self.state {
            JobState::Pending | JobState::Running => {
                check_text("the reason", &reason)?;
                Ok(vec![JobEvent::JobPaused { reason, at }])
            }
            _ => self.refuse("Pause"),
        }
    }

    fn request_cancel(&self, reason: String, at: DateTime<Utc>) -> Decision {
        check_text("the reason", &reason)?;
        match self.state {
            // Nothing has begun, so there is nothing to clean up.
            JobState::Pending => Ok(vec![JobEvent::JobCancelRequested { reason, at }, JobEvent::JobCancelled { at }]),
            JobState::Running | JobState::Paused => Ok(vec![JobEvent::JobCancelRequested { reason, at }]),
            _ => self.refuse("RequestCancel"),
        }
    }

    fn reset(&self, index: u32, reason: String, at: DateTime<Utc>) -> Decision {
        if matches!(self.state, JobState::NotCreated | JobState::Pending | JobState::Cancelling) {
            return self.refuse("Reset");
        }
        check_text("the reason", &reason)?;
        // At the edge, what is under way begins anew, and a job that is over goes on where it stopped.
        if index > self.journal.edge() && self.divergence.is_none() {
            return Err(JobError::NoSuchStep { index });
        }
        Ok(vec![JobEvent::JobReset { index, reason, at }])
    }

    fn end(&self, command: &'static str, event: JobEvent) -> Decision {
        self.running(command)?;
        Ok(vec![event])
    }
}

impl Decide for Job {
    const SHAPE: u32 = 4;

    fn decide(&self, command: JobCommand) -> Decision {
        match command {
            JobCommand::Create { job_id, bot_id, workflow, input, origin, at } => {
                self.create(job_id, bot_id, workflow, input, origin, at)
            }
            JobCommand::Signal { name, payload, at } => {
                self.live("Signal")?;
                check_text("the signal's name", &name)?;
                check_size("the signal's payload", &payload)?;
                Ok(vec![JobEvent::SignalReceived { name, payload, at }])
            }
            JobCommand::Pause { reason, at } => self.pause(reason, at),
            JobCommand::Resume { at } => self.resume(at),
            JobCommand::Prioritize { priority, at } => {
                self.live("Prioritize")?;
                let is_new = self.priority() != priority;
                Ok(is_new.then_some(JobEvent::JobPrioritized { priority, at }).into_iter().collect())
            }
            JobCommand::RequestCancel { reason, at } => self.request_cancel(reason, at),
            JobCommand::Terminate { reason, at } => {
                self.live("Terminate")?;
                check_text("the reason", &reason)?;
                Ok(vec![JobEvent::JobTerminated { reason, at }])
            }
            JobCommand::Reset { index, reason, at } => self.reset(index, reason, at),
            JobCommand::Fork { job_id, bot_id, workflow, input, from, index, history, priority, at } => {
                let origin = Origin::Forked { job_id: from, index };
                let mut events = self.create(job_id, bot_id, workflow, input, origin, at)?;
                events.push(JobEvent::JobForked { from, index, history, at });
                events.extend(priority.map(|priority| JobEvent::JobPrioritized { priority, at }));
                Ok(events)
            }
            command => self.decide_run(command),
        }
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        upcast::upcasters()
    }
}

/// What the worker records while it runs the code.
impl Job {
    fn decide_run(&self, command: JobCommand) -> Decision {
        match command {
            JobCommand::Start { at } => self.start(at),
            JobCommand::StartStep { index, name, at } => self.start_step(index, name, at),
            JobCommand::CompleteStep { index, name, result, at } => self.complete_step(index, name, result, at),
            JobCommand::FailStep { index, name, code, message, retry_at, at } => {
                let attempt = self.attempt("FailStep", index, &name, at)?;
                let message = message.chars().take(LONGEST_TEXT).collect();
                Ok(vec![JobEvent::StepFailed { index, name, attempt, code, message, retry_at, at }])
            }
            JobCommand::SetTimer { index, fires_at, at } => {
                self.fresh("SetTimer", index, &self.journal.timer(index))?;
                Ok(vec![JobEvent::TimerSet { index, fires_at, at }])
            }
            JobCommand::FireTimer { index, at } => self.fire_timer(index, at),
            JobCommand::AwaitSignal { index, name, until, in_cleanup, at } => {
                self.fresh("AwaitSignal", index, &self.journal.signal(index, &name))?;
                Ok(vec![JobEvent::SignalAwaited { index, name, until, in_cleanup, at }])
            }
            JobCommand::TimeOutSignal { index, at } => self.time_out_signal(index, at),
            JobCommand::StartChild { index, child, workflow, at } => {
                self.fresh("StartChild", index, &self.journal.child(index, &workflow))?;
                Ok(vec![JobEvent::ChildStarted { index, child, workflow, at }])
            }
            JobCommand::FinishChild { index, outcome, at } => self.finish_child(index, outcome, at),
            JobCommand::MarkPatch { index, patch, at } => {
                self.fresh("MarkPatch", index, &self.journal.patched(index, &patch))?;
                Ok(vec![JobEvent::PatchMarked { index, patch, at }])
            }
            command => self.decide_end(command),
        }
    }

    fn decide_end(&self, command: JobCommand) -> Decision {
        match command {
            JobCommand::Complete { result, at } => {
                check_size("the result", &result)?;
                self.end("Complete", JobEvent::JobCompleted { result, at })
            }
            JobCommand::Fail { code, message, at } => {
                let message = message.chars().take(LONGEST_TEXT).collect();
                self.end("Fail", JobEvent::JobFailed { code, message, at })
            }
            JobCommand::Diverge { divergence: Divergence { index, recorded, attempted }, at } => {
                self.end("Diverge", JobEvent::JobDiverged { index, recorded, attempted, at })
            }
            JobCommand::FinishCancel { at } if self.state == JobState::Cancelling => {
                Ok(vec![JobEvent::JobCancelled { at }])
            }
            JobCommand::ContinueAsNew { next, input, at } => {
                check_size("the input", &input)?;
                self.end("ContinueAsNew", JobEvent::JobContinuedAsNew { next, input, at })
            }
            command => self.refuse(command.name()),
        }
    }

    fn finish_child(&self, index: u32, outcome: super::Outcome, at: DateTime<Utc>) -> Decision {
        // A child may end while its parent is paused.
        self.live("FinishChild")?;
        match self.journal.entry(index) {
            Some(Entry::Child { child, outcome: None, .. }) => {
                Ok(vec![JobEvent::ChildFinished { index, child: *child, outcome, at }])
            }
            _ => self.out_of_step("FinishChild", index),
        }
    }
}

impl Aggregate for Job {
    const TYPE: &'static str = "Job";
    type Command = JobCommand;
    type Event = JobEvent;
    type Error = JobError;
    type Services = ();

    async fn handle(&mut self, command: JobCommand, (): &(), sink: &EventSink<Self>) -> Result<(), JobError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: JobEvent) {
        self.journal.record(&event, event.at());
        match event {
            JobEvent::JobCreated { job_id, bot_id, workflow, input, origin, .. } => {
                self.id = Some(job_id);
                self.bot_id = Some(bot_id);
                self.workflow = workflow;
                self.input = input;
                self.origin = Some(origin);
                self.state = JobState::Pending;
            }
            JobEvent::JobStarted { .. } => self.state = JobState::Running,
            JobEvent::JobPrioritized { priority, .. } => self.priority = Some(priority),
            JobEvent::JobPaused { at, .. } => {
                self.paused = Some(Paused { since: at, from: self.state });
                self.state = JobState::Paused;
            }
            JobEvent::JobResumed { at } => {
                if let Some(paused) = self.paused.take() {
                    self.journal.postpone(at - paused.since);
                    self.state = paused.from;
                }
            }
            JobEvent::JobCancelRequested { .. } => {
                self.paused = None;
                self.state = JobState::Cancelling;
            }
            JobEvent::JobCancelled { .. } => self.state = JobState::Cancelled,
            JobEvent::JobTerminated { .. } => self.state = JobState::Terminated,
            JobEvent::JobCompleted { .. } => self.state = JobState::Completed,
            JobEvent::JobFailed { .. } => self.state = JobState::Failed,
            JobEvent::JobDiverged { index, recorded, attempted, .. } => {
                self.divergence = Some((index, recorded, attempted));
                self.state = JobState::NeedsAttention;
            }
            JobEvent::JobReset { .. } => {
                self.resets += 1;
                self.divergence = None;
                self.paused = None;
                self.state = JobState::Running;
            }
            JobEvent::JobContinuedAsNew { .. } => self.state = JobState::Continued,
            _ => {}
        }
    }
}

fn check_size(what: &'static str, value: &Value) -> Result<(), JobError> {
    let size = serde_json::to_string(value).map_or(usize::MAX, |text| text.len());
    if size > LARGEST_VALUE {
        return Err(JobError::TooLarge { what, size, most: LARGEST_VALUE });
    }
    Ok(())
}

fn check_text(field: &'static str, text: &str) -> Result<(), JobError> {
    let length = text.chars().count();
    if length > LONGEST_TEXT {
        return Err(JobError::TooLong { field, length, most: LONGEST_TEXT });
    }
    Ok(())
}
