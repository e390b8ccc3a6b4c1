//! Whether an action may be reserved now; if not, why, and when it may: the answer to "why not yet".

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::aggregate::Bot;
use super::limits::{Counter, Limits, WARM_UP_DAYS, hourly};
use super::state::{ActionKind, Mode, SuppressReason, Window};

/// Why an action has to wait, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub reason: SuppressReason,
    pub counter: Option<Counter>,
    pub window: Option<Window>,
    /// `None`: not by waiting; a person has to act.
    pub frees_at: Option<DateTime<Utc>>,
}

/// Whether an action may be reserved now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Free,
    Wait(Wait),
}

fn wait(reason: SuppressReason, frees_at: Option<DateTime<Utc>>) -> Verdict {
    Verdict::Wait(Wait { reason, counter: None, window: None, frees_at })
}

impl Bot {
    /// The limits that hold at `now`, before warm-up and halving.
    #[must_use]
    pub fn limits_at(&self, now: DateTime<Utc>) -> &Limits {
        match &self.raised_limits {
            Some((limits, from)) if *from <= now => limits,
            _ => &self.limits,
        }
    }

    /// A day's allowance of `counter` at `now`: the chosen limit, inside the ceiling, the warm-up and any halving. What is
    /// only simulated needs no warm-up.
    #[must_use]
    pub fn daily_limit(&self, mode: Mode, counter: Counter, now: DateTime<Utc>) -> u32 {
        let chosen = self.limits_at(now).of(counter).min(counter.ceiling());
        let is_young = self.first_live_at.is_none_or(|first| now < warmed_up_at(first));
        let warming_up = self.rules.warm_up && mode == Mode::Live && is_young;
        let limit = if warming_up { chosen.min(counter.warm_up()) } else { chosen };
        let halved = self.kind_blocks.iter().any(|(kind, block)| {
            Counter::from(*kind) == counter && block.halved_until.is_some_and(|until| now < until)
        });
        if halved { limit / 2 } else { limit }
    }

    /// The limit of `counter` in `window` at `now`, in `mode`.
    #[must_use]
    pub fn limit(&self, mode: Mode, counter: Counter, window: Window, now: DateTime<Utc>) -> u32 {
        let daily = self.daily_limit(mode, counter, now);
        match window {
            Window::Day => daily,
            Window::Hour => self.rules.hourly.get(&counter).map_or(hourly(daily), |hourly| daily.min(*hourly)),
        }
    }

    /// How much of `counter` was reserved in the window that ends at `now`, in `mode`.
    #[must_use]
    pub fn used(&self, mode: Mode, counter: Counter, window: Window, now: DateTime<Utc>) -> u32 {
        self.reserved.get(&(mode, counter)).map_or(0, |reserved| reserved.used(window, now))
    }

    /// The zone of the linked account; UTC without one.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.account.as_ref().map_or(Tz::UTC, |account| account.zone)
    }

    /// Whether `kind` may be reserved at `now` in `mode`, with `requests` gateway calls.
    #[must_use]
    pub fn verdict(&self, kind: ActionKind, mode: Mode, requests: u32, now: DateTime<Utc>) -> Verdict {
        if let Some(until) = self.slowed_down_until(now) {
            return wait(SuppressReason::SlowDown, Some(until));
        }
        if self.stopped_modules.contains(&kind) {
            return wait(SuppressReason::ModuleStopped, None);
        }
        if let Some(block) = self.kind_blocks.get(&kind).filter(|block| now < block.until) {
            return wait(SuppressReason::KindBlocked, Some(block.until));
        }
        if let Some(opens) = self.limits_at(now).hours.opens_at(now, self.zone()) {
            return wait(SuppressReason::OutsideHours, Some(opens));
        }
        if let Some(next) = self.next_write_at.get(&mode).filter(|next| now < **next) {
            return wait(SuppressReason::Pacing, Some(*next));
        }
        match self.allowance(mode, kind.into(), 1, now) {
            Verdict::Free => self.allowance(Mode::Live, Counter::Request, requests, now),
            waiting @ Verdict::Wait(_) => waiting,
        }
    }

    /// Whether an automated read of `count` gateway calls may be made at `now`.
    #[must_use]
    pub fn request_verdict(&self, count: u32, now: DateTime<Utc>) -> Verdict {
        match self.slowed_down_until(now) {
            Some(until) => wait(SuppressReason::SlowDown, Some(until)),
            None => self.allowance(Mode::Live, Counter::Request, count, now),
        }
    }

    /// Until when the platform asked the account to slow down, if it still holds at `now`.
    #[must_use]
    pub fn slowed_down_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slow_down.as_ref().map(|slow| slow.until).filter(|until| now < *until)
    }

    /// Whether `count` of `counter` fit into the hour and the day at `now`.
    #[must_use]
    pub fn allowance(&self, mode: Mode, counter: Counter, count: u32, now: DateTime<Utc>) -> Verdict {
        if count == 0 {
            return Verdict::Free;
        }
        for (window, full) in [(Window::Day, SuppressReason::DayLimit), (Window::Hour, SuppressReason::HourLimit)] {
            let limit = self.limit(mode, counter, window, now);
            if self.used(mode, counter, window, now).saturating_add(count) <= limit {
                continue;
            }
            let reason = if limit == 0 { SuppressReason::LimitZero } else { full };
            let frees_at = if count > limit {
                self.limit_reaches(mode, counter, window, count, now)
            } else {
                self.reserved.get(&(mode, counter)).and_then(|reserved| reserved.frees_at(window, now, count, limit))
            };
            return Verdict::Wait(Wait { reason, counter: Some(counter), window: Some(window), frees_at });
        }
        Verdict::Free
    }

    /// When the limit reaches `count` by itself: a raise takes effect, the warm-up or a halving ends.
    fn limit_reaches(
        &self,
        mode: Mode,
        counter: Counter,
        window: Window,
        count: u32,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let raise = self.raised_limits.as_ref().map(|(_, from)| *from);
        let warmed_up = self.first_live_at.map(warmed_up_at);
        let halvings = self.kind_blocks.values().filter_map(|block| block.halved_until);
        raise
            .into_iter()
            .chain(warmed_up)
            .chain(halvings)
            .filter(|change| now < *change && self.limit(mode, counter, window, *change) >= count)
            .min()
    }
}

fn warmed_up_at(first_live_at: DateTime<Utc>) -> DateTime<Utc> {
    first_live_at + TimeDelta::days(WARM_UP_DAYS)
}
