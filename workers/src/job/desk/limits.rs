//! How much runs at a time, in a process and of a bot. Changed while jobs run; nothing that runs is ended by a change.

use std::collections::HashMap;

use domain::engine::EngineSettings;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BotLimits {
    /// `None`: as for all.
    pub max_running: Option<usize>,
    /// How many jobs it may begin when it is its turn.
    pub weight: u32,
    /// None of its jobs is taken up.
    pub paused: bool,
}

impl Default for BotLimits {
    fn default() -> Self {
        Self { max_running: None, weight: 1, paused: false }
    }
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
        Self::of(&EngineSettings::default())
    }
}

impl DeskLimits {
    /// What `settings` mean for a desk.
    #[must_use]
    pub fn of(settings: &EngineSettings) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let bots = settings.bots.iter().map(|(bot, own)| {
            let limits = BotLimits {
                max_running: own.max_running.map(size),
                weight: own.weight.unwrap_or(1).max(1),
                paused: own.paused.is_some(),
            };
            (*bot, limits)
        });
        Self {
            max_running: size(settings.max_running),
            max_running_per_bot: size(settings.max_running_per_bot),
            paused: settings.paused.is_some(),
            bots: bots.collect(),
        }
    }

    /// How many jobs a bot may begin when it is its turn.
    #[must_use]
    pub fn weight(&self, bot: BotId) -> u32 {
        self.bots.get(&bot).map_or(1, |own| own.weight)
    }

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
