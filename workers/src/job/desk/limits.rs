//! How much runs at a time, in a process and of a bot. Changed while jobs run; nothing that runs is ended by a change.

use std::collections::HashMap;

use domain::ids::BotId;

/// Why a job that is due does not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// Somebody stopped the engine from taking up jobs.
    EnginePaused,
    /// Somebody stopped the jobs of this bot.
    BotPaused,
    /// As many of the bot's jobs run as may.
    BotLimit,
    /// As many jobs run in this process as may.
    ProcessLimit,
}

impl Held {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::EnginePaused, Self::BotPaused, Self::BotLimit, Self::ProcessLimit];

    /// The name that people and metrics see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnginePaused => "ENGINE_PAUSED",
            Self::BotPaused => "BOT_JOBS_PAUSED",
            Self::BotLimit => "BOT_JOB_LIMIT",
            Self::ProcessLimit => "PROCESS_JOB_LIMIT",
        }
    }
}

/// What differs for one bot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BotLimits {
    /// `None`: as for all.
    pub max_running: Option<usize>,
    /// None of its jobs is taken up.
    pub paused: bool,
}

/// How much runs at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct DeskLimits {
    /// Most jobs that run at a time in a process.
    pub max_running: usize,
    /// Most jobs that run at a time of a bot.
    pub max_running_per_bot: usize,
    /// No job is taken up.
    pub paused: bool,
    pub bots: HashMap<BotId, BotLimits>,
}

impl Default for DeskLimits {
    fn default() -> Self {
        Self { max_running: 512, max_running_per_bot: 64, paused: false, bots: HashMap::new() }
    }
}

impl DeskLimits {
    /// Why a bot of which `running` jobs run may not begin another.
    #[must_use]
    pub fn holds_back(&self, bot: BotId, running: usize) -> Option<Held> {
        let own = self.bots.get(&bot);
        if own.is_some_and(|own| own.paused) {
            return Some(Held::BotPaused);
        }
        let most = own.and_then(|own| own.max_running).unwrap_or(self.max_running_per_bot);
        (running >= most).then_some(Held::BotLimit)
    }
}
