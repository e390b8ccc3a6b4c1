//! What no workflow's code may do: call a step a novel, let a history grow without end, or ask without end.

use domain::job::{Job, JobState};

use super::super::error::{EngineError, WorkflowError};
use super::super::runner::fits;
use super::{Context, Mode};

/// Longest name of a step, in characters.
const LONGEST_NAME: usize = 200;
/// Code that asks its context more often in one activation, without anything new being recorded, goes round in a circle.
pub(super) const MOST_QUESTIONS: u32 = 1_000_000;
/// A history this many times longer than it should be ends its job.
const PATIENCE: u32 = 2;

pub(super) fn endless() -> EngineError {
    let message = "the code asks its context without end, and records nothing".to_owned();
    EngineError::Broken { code: "WORKFLOW_STALLED", message }
}

pub(super) fn name(name: &str) -> Result<(), EngineError> {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        return Ok(());
    }
    let message = format!("a step's name is {length} characters long; at most {LONGEST_NAME} are allowed");
    Err(EngineError::Broken { code: "JOB_TEXT_TOO_LONG", message })
}

impl Context {
    /// Whether anything may be added to the job's history.
    pub(super) fn has_room(&self, job: &Job) -> Result<(), EngineError> {
        let (length, most) = (job.journal().events(), self.shared.history_limit.saturating_mul(PATIENCE));
        if length < most {
            return Ok(());
        }
        let message = format!(
            "the history has {length} events, and the code has no safe point at which a new job could go on in its place"
        );
        Err(EngineError::Broken { code: "JOB_HISTORY_TOO_LONG", message })
    }

    /// Whether the history is so long that the job should go on as a new one, at the next place where it can.
    pub async fn continue_as_new_suggested(&self) -> bool {
        self.shared.stream.lock().await.job().journal().events() >= self.shared.history_limit
    }

    /// A place at which nothing is under way and what `input` gives says all that the code has to remember. When the
    /// history is long, a new job of the same workflow goes on from here with it; else, or when it is too large for an
    /// input, the code just goes on.
    ///
    /// The answer depends on how long the history is when the code comes here for the first time; in a replay of a longer
    /// history it would come earlier, so it is asked only where nothing more is recorded.
    pub async fn safe_point<I: serde::Serialize>(&self, input: impl FnOnce() -> I) -> Result<(), WorkflowError> {
        let is_long = {
            let stream = self.shared.stream.lock().await;
            let journal = stream.job().journal();
            let goes_on = stream.state() == JobState::Running && self.shared.mode == Mode::Runs;
            goes_on && journal.events() >= self.shared.history_limit && journal.edge() <= self.index()
        };
        if !is_long {
            return Ok(());
        }
        match serde_json::to_value(input()) {
            Ok(input) if fits(&input) => Err(WorkflowError::ContinueAsNew(input)),
            _ => Ok(()),
        }
    }
}
