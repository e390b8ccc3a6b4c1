//! What a fork takes over of the job that it is a fork of: the history before an index of its journal.

use std::collections::BTreeMap;

use super::error::JobError;
use super::event::JobEvent;
use super::journal::{Entry, Journal};

/// Most bytes of JSON that a fork takes over.
pub const LARGEST_INHERITANCE: usize = 8 * 1024 * 1024;

/// Gathers the inheritance, event by event.
#[derive(Debug, Default)]
pub struct Inheritance {
    kept: Vec<JobEvent>,
}

impl Inheritance {
    /// Takes in the next event of the original.
    pub fn take(&mut self, event: JobEvent) {
        match event {
            JobEvent::JobReset { index, .. } => self.kept.retain(|kept| index_of(kept).is_none_or(|at| at < index)),
            JobEvent::JobForked { history, .. } => self.kept.extend(history),
            event if index_of(&event).is_some() || matches!(event, JobEvent::SignalReceived { .. }) => {
                self.kept.push(event);
            }
            _ => {}
        }
    }

    /// What was recorded before `index`, and the signals that were taken there. What is under way belongs to the
    /// original alone, so a fork cannot begin after it.
    pub fn before(self, index: u32) -> Result<Vec<JobEvent>, JobError> {
        let mut journal = Journal::default();
        for event in &self.kept {
            journal.record(event, event.at());
        }
        if index > journal.edge() {
            return Err(JobError::NoSuchStep { index });
        }
        for (at, entry) in journal.entries().take_while(|(at, _)| *at < index) {
            let is_under_way = match entry {
                Entry::Child { outcome, .. } => outcome.is_none(),
                Entry::Step { unsettled, .. } => *unsettled,
                _ => false,
            };
            if is_under_way {
                return Err(JobError::UnderWay { index: at, entry: entry.describe() });
            }
        }
        let mut taken = signals_taken(&journal, index);
        let mut kept = self.kept;
        kept.retain(|event| match event {
            JobEvent::SignalReceived { name, .. } => taken.get_mut(name).is_some_and(|left| {
                let is_taken = *left > 0;
                *left = left.saturating_sub(1);
                is_taken
            }),
            event => index_of(event).is_some_and(|at| at < index),
        });
        let size = serde_json::to_string(&kept).map_or(usize::MAX, |text| text.len());
        if size > LARGEST_INHERITANCE {
            return Err(JobError::TooLarge { what: "the history before the step", size, most: LARGEST_INHERITANCE });
        }
        Ok(kept)
    }
}

/// How many signals of each name the waits before `index` take.
fn signals_taken(journal: &Journal, index: u32) -> BTreeMap<String, usize> {
    let mut taken = BTreeMap::new();
    for (_, entry) in journal.entries().take_while(|(at, _)| *at < index) {
        if let Entry::Signal { name, timed_out: false, .. } = entry {
            *taken.entry(name.clone()).or_default() += 1;
        }
    }
    taken
}

/// Where in the journal an event is recorded.
const fn index_of(event: &JobEvent) -> Option<u32> {
    match event {
        JobEvent::StepStarted { index, .. }
        | JobEvent::StepCompleted { index, .. }
        | JobEvent::StepFailed { index, .. }
        | JobEvent::TimerSet { index, .. }
        | JobEvent::TimerFired { index, .. }
        | JobEvent::SignalAwaited { index, .. }
        | JobEvent::SignalTimedOut { index, .. }
        | JobEvent::ChildStarted { index, .. }
        | JobEvent::ChildFinished { index, .. }
        | JobEvent::PatchMarked { index, .. } => Some(*index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeZone, Utc};
    use serde_json::json;

    use super::*;
    use crate::ids::JobId;

    fn at() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
    }

    fn done(index: u32) -> JobEvent {
        JobEvent::StepCompleted { index, name: format!("s{index}"), attempt: 1, result: json!(index), at: at() }
    }

    fn signal(payload: u32) -> JobEvent {
        JobEvent::SignalReceived { name: "go".to_owned(), payload: json!(payload), at: at() }
    }

    fn wait(index: u32) -> JobEvent {
        JobEvent::SignalAwaited { index, name: "go".to_owned(), until: None, in_cleanup: false, at: at() }
    }

    fn before(events: &[JobEvent], index: u32) -> Result<Vec<JobEvent>, JobError> {
        let mut inheritance = Inheritance::default();
        for event in events {
            inheritance.take(event.clone());
        }
        inheritance.before(index)
    }

    #[test]
    fn a_fork_takes_the_steps_before_it_and_no_turns_of_the_job() {
        let events = [
            JobEvent::JobStarted { at: at() },
            done(0),
            JobEvent::JobPaused { reason: String::new(), at: at() },
            JobEvent::JobResumed { at: at() },
            done(1),
            done(2),
        ];
        assert_eq!(before(&events, 2).unwrap(), [done(0), done(1)]);
        assert_eq!(before(&events, 0).unwrap(), []);
        assert_eq!(before(&events, 4), Err(JobError::NoSuchStep { index: 4 }));
    }

    #[test]
    fn what_a_reset_took_back_and_what_the_original_inherited_count_as_they_do_there() {
        let reset = JobEvent::JobReset { index: 1, reason: String::new(), at: at() };
        let forked = JobEvent::JobForked {
            from: JobId::from_uuid(uuid::Uuid::nil()),
            index: 1,
            history: vec![done(0)],
            at: at(),
        };
        let timer = JobEvent::TimerSet { index: 1, fires_at: at(), at: at() };
        assert_eq!(before(&[forked, done(1), reset, timer.clone()], 2).unwrap(), [done(0), timer]);
    }

    #[test]
    fn signals_that_were_taken_before_it_come_along_and_later_ones_do_not() {
        let events = [signal(1), signal(2), wait(0), done(1), wait(2)];
        assert_eq!(before(&events, 2).unwrap(), [signal(1), wait(0), done(1)]);
        assert_eq!(before(&events, 3).unwrap().len(), 5);
    }

    #[test]
    fn what_is_under_way_cannot_be_forked_after() {
        let begun = JobEvent::StepStarted { index: 0, name: "like".to_owned(), attempt: 1, at: at() };
        let error = before(std::slice::from_ref(&begun), 1).unwrap_err();
        assert_eq!(error.code(), "JOB_UNDER_WAY");
        assert_eq!(before(&[begun], 0).unwrap(), []);
    }
}
