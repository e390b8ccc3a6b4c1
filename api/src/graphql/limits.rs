//! Limits: what was chosen, what holds now, and how much of it is used.

use async_graphql::{Object, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use domain::bot as bots;
use domain::bot::limits::WARM_UP_DAYS;

use super::bot::Bot;
use super::names::Counter;

/// What the bot may do. These are caution, not permission.
pub struct Limits {
    pub bot: Bot,
}

/// What the bot may do in an hour and a day, over all campaigns. These numbers are caution, not permission.
#[Object]
impl Limits {
    /// One entry for each thing that is counted.
    async fn counters(&self) -> Vec<CounterLimit> {
        bots::Counter::ALL.iter().map(|counter| CounterLimit { bot: self.bot.clone(), counter: *counter }).collect()
    }

    /// From which to which hour of the account's day automation may act.
    async fn working_hours(&self) -> WorkingHours {
        let hours = self.bot.state.limits_at(self.bot.now).hours;
        WorkingHours {
            from: hours.from,
            until: hours.until,
            opens_at: hours.opens_at(self.bot.now, self.bot.state.zone()),
        }
    }

    /// When raised limits take effect; null when none wait.
    async fn raises_at(&self) -> Option<DateTime<Utc>> {
        self.bot.state.raised_limits().map(|(_, at)| *at).filter(|at| self.bot.now < *at)
    }

    /// When the warm-up of the first 7 live days ends; null before the first live day.
    async fn warm_up_ends_at(&self) -> Option<DateTime<Utc>> {
        self.bot.state.first_live_at().map(|first| first + TimeDelta::days(WARM_UP_DAYS))
    }

    /// Instagram asked to slow down until then; null when it does not hold any more.
    async fn slowed_down_until(&self) -> Option<DateTime<Utc>> {
        self.bot.state.slowed_down_until(self.bot.now)
    }
}

/// From which to which hour automation may act.
#[derive(SimpleObject)]
pub struct WorkingHours {
    /// First hour, 0 to 23.
    from: u8,
    /// The hour at which it ends, 1 to 24.
    until: u8,
    /// When the hours next begin; null while they last.
    opens_at: Option<DateTime<Utc>>,
}

/// The limit of one counter.
pub struct CounterLimit {
    bot: Bot,
    counter: bots::Counter,
}

impl CounterLimit {
    fn limit(&self, window: bots::Window) -> u32 {
        self.bot.state.limit(bots::Mode::Live, self.counter, window, self.bot.now)
    }

    fn used(&self, mode: bots::Mode, window: bots::Window) -> u32 {
        self.bot.state.used(mode, self.counter, window, self.bot.now)
    }
}

/// The limit of one thing that is counted, and how much of it is used. Windows roll; unused allowance is not kept.
#[Object]
impl CounterLimit {
    /// What is counted.
    async fn counter(&self) -> Counter {
        self.counter.into()
    }

    /// A day's limit as it was chosen, and as it will hold once raises take effect.
    async fn chosen(&self) -> u32 {
        let state = &self.bot.state;
        state.raised_limits().map_or_else(|| state.limits_at(self.bot.now), |(limits, _)| limits).of(self.counter)
    }

    /// What holds in 24 hours now: what was chosen, inside the ceiling, the warm-up and any halving.
    async fn per_day(&self) -> u32 {
        self.limit(bots::Window::Day)
    }

    /// What holds in an hour now: a sixth of the day's.
    async fn per_hour(&self) -> u32 {
        self.limit(bots::Window::Hour)
    }

    /// Live reservations of the last 24 hours.
    async fn used_in_day(&self) -> u32 {
        self.used(bots::Mode::Live, bots::Window::Day)
    }

    /// Live reservations of the last hour.
    async fn used_in_hour(&self) -> u32 {
        self.used(bots::Mode::Live, bots::Window::Hour)
    }

    /// Dry-run reservations of the last 24 hours; they never use up live allowance.
    async fn simulated_in_day(&self) -> u32 {
        self.used(bots::Mode::DryRun, bots::Window::Day)
    }

    /// Dry-run reservations of the last hour.
    async fn simulated_in_hour(&self) -> u32 {
        self.used(bots::Mode::DryRun, bots::Window::Hour)
    }

    /// A day's limit in the first 7 live days.
    async fn warm_up(&self) -> u32 {
        self.counter.warm_up()
    }

    /// A day's limit unless another was chosen.
    async fn usual(&self) -> u32 {
        self.counter.default_limit()
    }

    /// A day's limit that nobody can pass.
    async fn ceiling(&self) -> u32 {
        self.counter.ceiling()
    }
}
