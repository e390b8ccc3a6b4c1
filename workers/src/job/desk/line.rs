//! The ready jobs of one bot, in the order in which they became ready.

use std::collections::VecDeque;

use domain::ids::JobId;

/// Urgent jobs that go before one that is not.
const MOST_FAVOURS: u32 = 4;

/// The ready jobs of one bot.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// For people who wait.
    urgent: VecDeque<JobId>,
    ready: VecDeque<JobId>,
    running: usize,
    in_ring: bool,
    /// Urgent ones that began since the last other one.
    favours: u32,
    /// How many may begin before it is the next bot's turn.
    credit: u32,
}

impl Line {
    pub fn push(&mut self, job: JobId, is_urgent: bool) {
        if is_urgent {
            self.urgent.push_back(job);
        } else {
            self.ready.push_back(job);
        }
    }

    /// Urgent ones first, and after some of them one of the others.
    pub fn pop(&mut self) -> Option<JobId> {
        let may_favour = self.favours < MOST_FAVOURS || self.ready.is_empty();
        if let Some(job) = may_favour.then(|| self.urgent.pop_front()).flatten() {
            self.favours += 1;
            return Some(job);
        }
        self.favours = 0;
        self.ready.pop_front()
    }

    /// Uses up one of the `weight` beginnings of a turn; says whether the turn goes on.
    pub fn spend(&mut self, weight: u32) -> bool {
        let left = if self.credit == 0 { weight } else { self.credit };
        self.credit = left.saturating_sub(1);
        self.credit > 0
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.urgent.is_empty()
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
