//! What goes wrong, one after another, and the calm after it.

use chrono::TimeDelta;
use domain::bot::{Bot, BotCommand, BotState};
use domain::clock::Clock;
use domain::job::{Job, JobCommand, JobState};
use projections::reactor::work::BOT_RESUMED;
use serde_json::json;

use super::process::Process;
use super::script;
use super::stage::Stage;
use crate::platform::sandbox::{Fault, FaultKind};

impl Stage {
    /// One of the things that go wrong, now and then.
    pub(super) async fn trouble(&mut self) {
        match self.rng.below(24) {
            0 => self.crash(),
            1 => self.lose_hold(),
            2..=4 => self.arm(),
            5 => self.sandbox.lose_sessions(),
            6 => {
                let jump = i64::try_from(self.rng.between(1, 7_200)).unwrap_or(1);
                self.common.clock.jump(TimeDelta::seconds(jump));
            }
            7 => self.meddle_with_a_bot().await,
            8 => self.meddle_with_a_job().await,
            _ => {}
        }
    }

    /// Everything in memory is gone in the middle of whatever it was doing.
    fn crash(&mut self) {
        self.figures.crashes += 1;
        self.process = Process::start(&self.common, self.common.repository.next_epoch(), self.live.clone());
    }

    /// Another process takes over, and the old one goes on until it notices.
    fn lose_hold(&mut self) {
        self.figures.zombies += 1;
        let heir = Process::start(&self.common, self.common.repository.next_epoch(), self.live.clone());
        let old = std::mem::replace(&mut self.process, heir);
        self.zombies.push(old.running);
    }

    fn arm(&mut self) {
        self.figures.faults += 1;
        let modules = self.players.iter().flat_map(|player| player.campaigns.iter().map(|(module, _)| *module));
        let routes: Vec<&str> = modules.flat_map(script::routes).copied().chain(["GET /account"]).collect();
        let Some(route) = self.rng.pick(&routes).copied() else { return };
        let delay_ms = self.rng.between(100, 200_000);
        let fail = |exc_type: &str| FaultKind::Fail { exc_type: exc_type.to_owned(), detail: None };
        let fault = match self.rng.below(12) {
            0 | 1 => FaultKind::LostReply { exc_type: None },
            2 => FaultKind::LostReply { exc_type: Some("ClientUnknownError".to_owned()) },
            3 => FaultKind::LostRequest,
            4 | 5 => FaultKind::LateSuccess { delay_ms, exc_type: None },
            6 => FaultKind::Latency { delay_ms },
            7 => FaultKind::Duplicate,
            8 => fail("PleaseWaitFewMinutes"),
            9 => fail("MediaUnavailable"),
            10 => fail("FeedbackRequired"),
            _ => FaultKind::SessionLost,
        };
        self.sandbox.inject(Fault::new(fault).on(route).times(1));
    }

    async fn meddle_with_a_bot(&mut self) {
        let Some(player) = self.rng.pick(&self.players).cloned() else { return };
        let at = self.common.clock.now();
        let command = match self.rng.below(8) {
            0..=3 => BotCommand::PauseAutomation { reason: "lunch".to_owned(), at },
            4..=6 => BotCommand::ResumeAutomation { at },
            _ => BotCommand::DisableAutomation { reason: "enough".to_owned(), at },
        };
        self.casting().tell::<Bot>(player.bot_id, &player.bot_id.to_string(), command).await;
    }

    async fn meddle_with_a_job(&mut self) {
        let live = self.live.clone();
        let Some(job) = self.rng.pick(&live).copied() else { return };
        let at = self.common.clock.now();
        let command = match self.rng.below(8) {
            0 | 1 => JobCommand::Pause { reason: "wait".to_owned(), at },
            2..=4 => JobCommand::Resume { at },
            5 => JobCommand::Signal { name: "unheard".to_owned(), payload: json!(1), at },
            6 => JobCommand::Signal { name: BOT_RESUMED.to_owned(), payload: json!(null), at },
            _ => JobCommand::RequestCancel { reason: "not this one".to_owned(), at },
        };
        let Some(player) = self.players.first() else { return };
        self.casting().tell::<Job>(player.bot_id, &job.to_string(), command).await;
    }

    /// Nothing goes wrong any more, and everything that a person stopped goes on.
    pub(super) async fn calm(&mut self) {
        self.common.repository.set_calm(true);
        self.sandbox.clear_faults();
        let at = self.common.clock.now();
        for player in self.players.clone() {
            let id = player.bot_id.to_string();
            let state = self.bus.load::<Bot>(&id).await.map(|bot| bot.state.state());
            if matches!(state, Ok(BotState::Paused)) {
                self.casting().tell::<Bot>(player.bot_id, &id, BotCommand::ResumeAutomation { at }).await;
            }
            for job in self.live.clone() {
                let state = self.bus.load::<Job>(&job.to_string()).await.map(|job| job.state.state());
                if matches!(state, Ok(JobState::Paused)) {
                    self.casting().tell::<Job>(player.bot_id, &job.to_string(), JobCommand::Resume { at }).await;
                }
            }
        }
    }
}
