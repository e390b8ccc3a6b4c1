//! Re-runs today's code of a workflow over a stored history, and says whether it fits.
//!
//! Nothing is executed, written or called: time and randomness come from the history. Pure: the same history and the
//! same code give the same answer. Where histories are kept is not known here.

mod entries;
mod error;
pub mod history;
mod past;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake as TaskWake, Waker};

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::job::{Divergence, JobEvent, JobState, LARGEST_VALUE, Wake};
use serde::Serialize;
use serde_json::Value;

use super::context::{Context, Known, Mode, Stop};
use super::error::WorkflowError;
use super::stream::JobStream;
use super::workflow::Registry;

pub use entries::{EntryLine, EntryState};
pub use error::ReplayError;
pub use history::{Expected, Heading, History, HistoryError};
use past::{Ended, Past, Still};

/// How often code may wake itself without asking its context for anything.
const MOST_IDLE_POLLS: u32 = 10_000;

/// Codes with which code of another shape than the history's fails.
const OTHER_SHAPES: [&str; 4] = ["WORKFLOW_SHAPE", "STEP_RESULT_SHAPE", "CHILD_RESULT_SHAPE", "SIGNAL_SHAPE"];

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    pub job_id: JobId,
    pub workflow: String,
    /// Where the history leaves the job.
    pub state: JobState,
    pub events: usize,
    /// The journal as it counts now, in the order of the code's requests.
    pub entries: Vec<EntryLine>,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What is worth knowing and no divergence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether today's code fits a history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Fits { reach: Reach },
    Diverges(Parting),
}

/// How far code that fits comes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reach", rename_all = "snake_case")]
pub enum Reach {
    /// It ended as the history did.
    Complete { how: String },
    /// The job was cancelled before its code began.
    NeverBegan,
    /// It waits for the earliest of `waits`, and goes on with what is in `next`.
    Open { waits: Vec<Waiting>, next: Vec<GoesOn> },
    /// The history is open, and the code goes on to its end.
    Ends { how: String },
}

/// What an open history waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waiting {
    Time { until: DateTime<Utc> },
    Signal { name: String, until: Option<DateTime<Utc>> },
    Child { job_id: JobId },
}

/// What the code goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoesOn {
    pub index: u32,
    pub with: String,
    /// 1 is the first.
    pub attempt: u32,
}

/// Where code and history part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parting {
    pub index: u32,
    /// The event in which the history has what is recorded; `None` past its end.
    pub sequence: Option<i64>,
    pub recorded: String,
    pub attempted: String,
}

impl From<Wake> for Waiting {
    fn from(wake: Wake) -> Self {
        match wake {
            Wake::At(until) => Self::Time { until },
            Wake::Signal { name, until } => Self::Signal { name, until },
            Wake::Child(job_id) => Self::Child { job_id },
        }
    }
}

/// Re-runs today's code over the events of one job, given with their sequences.
pub fn replay(registry: &Registry, history: &[(i64, JobEvent)]) -> Result<Replayed, ReplayError> {
    let past = Past::of(history)?;
    let job_id = past.job_id;
    let name = past.job.workflow().to_owned();
    let workflow = registry.get(&name).ok_or_else(|| ReplayError::UnknownWorkflow { workflow: name.clone() })?;
    let entries = entries::of(past.job.journal(), &past.sequences);
    let mut notes = past.notes();
    let verdict = if past.never_began() {
        Verdict::Fits { reach: Reach::NeverBegan }
    } else {
        let still = Arc::new(Still(past.job.journal().last_at().unwrap_or_default()));
        let stream = JobStream::detached(job_id, past.job.clone(), still.clone());
        let mode = Mode::Looks { ended: past.ended.is_some() };
        let context = Context::in_mode(mode, job_id, stream, still.clone(), still, Known::default());
        let input = past.job.input().clone();
        let end = run(&context, || workflow.start(context.clone(), input))?;
        judge(&past, context.index(), end, &mut notes)
    };
    let (workflow, state, events) = (name, past.state, history.len());
    Ok(Replayed { job_id, workflow, state, events, entries, verdict, notes })
}

enum End {
    Returned(Result<Value, WorkflowError>),
    Stopped(Vec<Stop>),
}

struct Woken(AtomicBool);

impl TaskWake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls the code until it returns or stops. Whatever its context gives is there at once, so nothing has to be waited
/// for: code that waits all the same waits for something else.
fn run<F>(context: &Context, code: impl FnOnce() -> F) -> Result<End, ReplayError>
where
    F: Future<Output = Result<Value, WorkflowError>>,
{
    let polled = catch_unwind(AssertUnwindSafe(|| {
        // In a task of a runtime, a long history would use up what the task may do before it yields, and nobody comes back.
        let mut code = Box::pin(tokio::task::unconstrained(code()));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut task = std::task::Context::from_waker(&waker);
        let (mut idle, mut reached) = (0, 0);
        loop {
            if let Poll::Ready(result) = code.as_mut().poll(&mut task) {
                return Ok(End::Returned(result));
            }
            idle = if context.index() == reached { idle + 1 } else { 0 };
            reached = context.index();
            if woken.0.swap(false, Ordering::AcqRel) && idle < MOST_IDLE_POLLS {
                continue;
            }
            let mut stops = context.shared().stops();
            if stops.is_empty() {
                return Err(ReplayError::OutsideWait { index: reached });
            }
            return Ok(End::Stopped(stops.drain(..).collect()));
        }
    }));
    polled.unwrap_or_else(|panic| Err(ReplayError::Panicked { index: context.index(), message: words(&*panic) }))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

fn judge(past: &Past, reached: u32, end: End, notes: &mut Vec<String>) -> Verdict {
    match end {
        End::Returned(result) => returned(past, reached, &Ended::of_code(result), notes),
        End::Stopped(stops) => stopped(past, reached, stops),
    }
}

fn returned(past: &Past, reached: u32, end: &Ended, notes: &mut Vec<String>) -> Verdict {
    let attempted = format!("the end of the workflow: {end}");
    if let Some(Divergence { index, recorded, .. }) = past.job.journal().left_over(reached) {
        return past.parting(index, recorded, attempted);
    }
    // Whatever the code returns, a job that is being cancelled ends as cancelled.
    if past.is_cancelled() {
        let how = "cancelled".to_owned();
        let reach = if past.ended.is_some() { Reach::Complete { how } } else { Reach::Ends { how } };
        return Verdict::Fits { reach };
    }
    let Some(recorded) = &past.ended else {
        if matches!(end, Ended::Failed { code, .. } if OTHER_SHAPES.contains(&code.as_str())) {
            return past.parting(reached, "values of another shape".to_owned(), attempted);
        }
        return Verdict::Fits { reach: Reach::Ends { how: end.to_string() } };
    };
    if !recorded.is_like(end) {
        return past.parting(reached, format!("the end of the workflow: {recorded}"), attempted);
    }
    if recorded != end {
        notes.push(format!("it ends alike and with another value: recorded {recorded}, now {end}"));
    }
    Verdict::Fits { reach: Reach::Complete { how: recorded.to_string() } }
}

fn stopped(past: &Past, reached: u32, stops: Vec<Stop>) -> Verdict {
    let (mut waits, mut next, mut diverged) = (Vec::new(), Vec::new(), None);
    for stop in stops {
        match stop {
            Stop::Wait(wake) => waits.push(Waiting::from(wake)),
            Stop::Beyond(beyond) => {
                next.push(GoesOn { index: beyond.index, with: beyond.attempted, attempt: beyond.attempt });
            }
            Stop::Diverged(Divergence { index, recorded, attempted }) => {
                // Of branches that part, the first in the order of the code counts.
                diverged.get_or_insert((index, recorded, attempted));
            }
            Stop::Interrupted | Stop::Fault(_) => {}
        }
    }
    if let Some((index, recorded, attempted)) = diverged {
        return past.parting(index, recorded, attempted);
    }
    let does = next.first().map(|next| next.with.clone()).or_else(|| waits.first().map(describe));
    if let Some(Divergence { index, recorded, .. }) = past.job.journal().left_over(reached) {
        return past.parting(index, recorded, does.unwrap_or_else(|| "nothing".to_owned()));
    }
    if let Some(end) = &past.ended {
        let index = next.first().map_or(reached, |next| next.index);
        return past.parting(index, format!("the end of the workflow: {end}"), does.unwrap_or_default());
    }
    Verdict::Fits { reach: Reach::Open { waits, next } }
}

fn describe(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Time { until } => format!("a wait until {until}"),
        Waiting::Signal { name, .. } => format!("a wait for the signal {name}"),
        Waiting::Child { job_id } => format!("a wait for the job {job_id}"),
    }
}

impl Ended {
    /// The end that the engine would record for what the code returned.
    fn of_code(result: Result<Value, WorkflowError>) -> Self {
        match result {
            Ok(result) => match serde_json::to_string(&result).map_or(usize::MAX, |text| text.len()) {
                size if size > LARGEST_VALUE => {
                    Self::Failed { code: "JOB_VALUE_TOO_LARGE".to_owned(), message: format!("{size} bytes") }
                }
                _ => Self::Completed { result },
            },
            Err(WorkflowError::Failed { code, message }) => Self::Failed { code, message },
            Err(WorkflowError::Cancelled) => {
                Self::Failed { code: "WORKFLOW_CANCELLED".to_owned(), message: "nobody had asked for it".to_owned() }
            }
            Err(WorkflowError::ContinueAsNew(input)) => Self::Continued { input },
        }
    }
}
