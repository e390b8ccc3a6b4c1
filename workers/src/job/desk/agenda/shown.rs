//! What the agenda shows of itself: counts, and why what is due does not run.

use std::sync::Arc;

use domain::ids::{BotId, JobId};

use super::super::limits::{DeskLimits, Held};
use super::super::line::Line;
use super::super::status::{DeskStatus, ParkedJob};
use super::{Agenda, Phase};

impl Agenda {
    pub fn status(&self, now: i64) -> DeskStatus {
        let mut status = DeskStatus {
            live: self.jobs.len(),
            running: self.running.len(),
            finished: self.finished,
            partitions: self.tenures.len(),
            bots: self.lines.values().filter(|line| line.running() > 0 || !line.is_empty()).count(),
            next_due: self.sleeping.first().map(|(due, _)| *due),
            ..DeskStatus::default()
        };
        let mut oldest = now;
        for slot in self.jobs.values() {
            match slot.phase {
                Phase::Sleeping => status.sleeping += 1,
                Phase::Ready => {
                    status.ready += 1;
                    oldest = oldest.min(slot.since);
                    if let Some(held) = self.held(slot.bot) {
                        *status.held.entry(held).or_default() += 1;
                    }
                }
                Phase::Parked => status.parked += 1,
                Phase::Running => {}
            }
        }
        status.oldest_ready_us = now - oldest;
        status.parked_jobs = self
            .parked
            .iter()
            .take(100)
            .map(|(job, (code, message))| ParkedJob { job_id: *job, code, message: message.clone() })
            .collect();
        status
    }

    pub fn limits(&self) -> Arc<DeskLimits> {
        Arc::clone(&self.limits)
    }

    /// Why no ready job of `bot` begins now.
    fn held(&self, bot: BotId) -> Option<Held> {
        if self.limits.paused {
            return Some(Held::EnginePaused);
        }
        let running = self.lines.get(&bot).map_or(0, Line::running);
        self.limits
            .holds_back(bot, running)
            .or_else(|| (self.running.len() >= self.limits.max_running).then_some(Held::ProcessLimit))
    }

    /// Why the job does not go on now, if it is a limit that keeps it.
    pub fn held_job(&self, job: JobId) -> Option<Held> {
        let slot = self.jobs.get(&job).filter(|slot| slot.phase == Phase::Ready)?;
        self.held(slot.bot)
    }
}
