//! One campaign's run on a calm day, with a crash at one of its awaits.

use chrono::TimeDelta;
use domain::bot::{Limits, Mode, WorkingHours};
use domain::campaign::Module;
use store::repository::{DEFAULT_SHARD, EventRepository};

use super::CrashRun;
use super::books;
use super::interrupt::Awaits;
use super::process::Process;
use super::stage::{MOST_ROUNDS, Stage, in_virtual_time};
use crate::platform::sandbox::BUSY;

/// What each run is to do.
const TARGETS: u32 = 3;

/// Runs a campaign of `module` on a calm day, with a crash at one await.
pub(super) fn crash_run(module: Module, crash_at: Option<u32>) -> CrashRun {
    in_virtual_time(async { Stage::empty(1, None).crash_run(module, crash_at).await })
}

impl Stage {
    async fn crash_run(mut self, module: Module, crash_at: Option<u32>) -> CrashRun {
        let limits = Limits { hours: WorkingHours { from: 0, until: 24 }, ..Limits::default() };
        let modules = [(module, TARGETS)];
        let player = self.casting().enabled(BUSY, limits, &modules, Mode::Live, TimeDelta::days(8)).await;
        self.players.push(player);
        self.live_through_the_past().await;
        self.begin().await;
        let written_before = self.sandbox.ledger(None).len();
        let awaits = Awaits::until(crash_at);
        let epoch = self.common.repository.epoch();
        self.process = Process::counted(&self.common, epoch, self.live.clone(), awaits.clone());
        let jobs = self.live.clone();
        let mut crashed = false;
        let mut was_acting = false;
        let mut rounds = 0;
        while !self.is_over().await && rounds < MOST_ROUNDS {
            self.round(false).await;
            if awaits.are_over() && !crashed {
                crashed = true;
                was_acting = self.has_open_action().await;
                let epoch = self.common.repository.next_epoch();
                self.process = Process::counted(&self.common, epoch, self.live.clone(), awaits.unbounded());
            }
            rounds += 1;
        }
        let events = self.common.repository.raw_read(DEFAULT_SHARD, 0, i64::MAX).await.unwrap_or_default();
        let mut ended = events.iter().filter(|raw| raw.event_type == "JobCompleted");
        let ended = ended.find(|raw| jobs.iter().any(|job| raw.aggregate_id == job.to_string()));
        let result = ended.and_then(|raw| serde_json::from_str::<serde_json::Value>(&raw.payload).ok());
        let mut breaches = books::jobs_are_over(&events);
        for player in &self.players {
            breaches.extend(books::balance(player, &events, &self.sandbox.ledger(Some(&player.account))));
        }
        let writes = self.sandbox.ledger(None).into_iter().skip(written_before);
        CrashRun {
            result: result.map(|mut payload| payload["result"].take()),
            writes: writes.map(|entry| (entry.kind, entry.target)).collect(),
            breaches,
            polls: awaits.seen(),
            was_acting,
        }
    }
}
