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

    /// A day's allowance of `counter` at `now`: the chosen limit, inside the ceiling, the warm-up and any halving.
    #[must_use]
    pub fn daily_limit(&self, counter: Counter, now: DateTime<Utc>) -> u32 {
        let chosen = self.limits_at(now).of(counter).min(counter.ceiling());
        let warming_up = self.first_live_at.is_none_or(|first| now < first + TimeDelta::days(WARM_UP_DAYS));
        let limit = if warming_up { chosen.min(counter.warm_up()) } else { chosen };
        let halved = self.kind_blocks.iter().any(|(kind, block)| {
            Counter::from(*kind) == counter && block.halved_until.is_some_and(|until| now < until)
        });
        if halved { limit / 2 } else { limit }
    }

    /// The limit of `counter` in `window` at `now`.
    #[must_use]
    pub fn limit(&self, counter: Counter, window: Window, now: DateTime<Utc>) -> u32 {
        let daily = self.daily_limit(counter, now);
        match window {
            Window::Day => daily,
            Window::Hour => hourly(daily),
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
        if let Some(until) = self.slow_down.as_ref().map(|slow| slow.until).filter(|until| now < *until) {
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

    /// Whether `count` of `counter` fit into the hour and the day at `now`.
    #[must_use]
    pub fn allowance(&self, mode: Mode, counter: Counter, count: u32, now: DateTime<Utc>) -> Verdict {
        for (window, reason) in [(Window::Day, SuppressReason::DayLimit), (Window::Hour, SuppressReason::HourLimit)] {
            let limit = self.limit(counter, window, now);
            if count > 0 && limit == 0 {
                return Verdict::Wait(Wait {
                    reason: SuppressReason::LimitZero,
                    counter: Some(counter),
                    window: Some(window),
                    frees_at: None,
                });
            }
            let used = self.used(mode, counter, window, now);
            if used + count > limit {
                let reserved = self.reserved.get(&(mode, counter));
                return Verdict::Wait(Wait {
                    reason,
                    counter: Some(counter),
                    window: Some(window),
                    frees_at: reserved.and_then(|reserved| reserved.frees_at(window, now, count, limit)),
                });
            }
        }
        Verdict::Free
    }
}
