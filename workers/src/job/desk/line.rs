//! The ready jobs of one bot: by priority, and in the order in which they became ready.

use std::collections::VecDeque;

use domain::ids::JobId;
use domain::job::JobPriority;

/// Jobs of a level that go before one of a lower level.
const MOST_FAVOURS: u32 = 4;
const LEVELS: usize = JobPriority::ALL.len();

/// The ready jobs of one bot.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The most urgent first.
    levels: [Level; LEVELS],
    running: usize,
    in_ring: bool,
    /// How many may begin before it is the next bot's turn.
    credit: u32,
}

/// The ready jobs of one priority.
#[derive(Debug, Default)]
struct Level {
    ready: VecDeque<JobId>,
    /// Jobs that began since the last one of a lower level.
    favours: u32,
}

impl Line {
    pub fn push(&mut self, job: JobId, priority: JobPriority) {
        if let Some(level) = self.levels.get_mut(level_of(priority)) {
            level.ready.push_back(job);
        }
    }

    /// The most urgent first; after some of a level, one of those below it, so that none waits for ever. With the priority
    /// under which it waited.
    pub fn pop(&mut self) -> Option<(JobId, JobPriority)> {
        let mut urgent_first = JobPriority::ALL.iter().rev();
        for index in 0..LEVELS {
            let priority = *urgent_first.next()?;
            let (above, below) = self.levels.split_at_mut(index + 1);
            let Some(level) = above.last_mut().filter(|level| !level.ready.is_empty()) else { continue };
            if level.favours < MOST_FAVOURS || below.iter().all(|level| level.ready.is_empty()) {
                level.favours = level.favours.saturating_add(1);
                return level.ready.pop_front().map(|job| (job, priority));
            }
            level.favours = 0;
        }
        None
    }

    /// Uses up one of the `weight` beginnings of a turn; says whether the turn goes on.
    pub fn spend(&mut self, weight: u32) -> bool {
        let left = if self.credit == 0 { weight } else { self.credit };
        self.credit = left.saturating_sub(1);
        self.credit > 0
    }

    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.ready.is_empty())
    }

    /// Whether nothing has to be remembered of it.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.running == 0 && !self.in_ring
    }

    pub fn running(&self) -> usize {
        self.running
    }

    pub fn begin(&mut self) {
        self.running += 1;
    }

    pub fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Says whether it was outside.
    pub fn enter_ring(&mut self) -> bool {
        !std::mem::replace(&mut self.in_ring, true)
    }

    pub fn leave_ring(&mut self) {
        self.in_ring = false;
        self.credit = 0;
    }
}

/// Where in a line a priority is.
fn level_of(priority: JobPriority) -> usize {
    JobPriority::ALL.iter().rev().position(|other| *other == priority).unwrap_or(LEVELS - 1)
}
