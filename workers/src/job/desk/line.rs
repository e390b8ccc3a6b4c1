//! The ready jobs of one bot, in the order in which they became ready.

use std::collections::VecDeque;

use domain::ids::JobId;

/// The ready jobs of one bot.
#[derive(Debug, Default)]
pub(super) struct Line {
    ready: VecDeque<JobId>,
    running: usize,
    in_ring: bool,
}

impl Line {
    pub fn push(&mut self, job: JobId) {
        self.ready.push_back(job);
    }

    pub fn pop(&mut self) -> Option<JobId> {
        self.ready.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether nothing has to be remembered of it.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.running == 0 && !self.in_ring
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
    }
}
