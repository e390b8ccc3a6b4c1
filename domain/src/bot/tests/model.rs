//! An independent account of what a bot may do and did: it keeps everything and counts it anew, from the commands that
//! were accepted and the facts that they led to. It shares no code with the decisions.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::bot::{
    ActionKind, BotCommand, BotEvent, Counter, FailureClass, Limits, LoginFailureReason, Mode, NewReservation, Outcome,
    Settlement, SuppressReason,
};
use crate::ids::{AccountId, ActionId};

/// How actions ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    pub reserved: usize,
    pub performed: usize,
    pub simulated: usize,
    pub refused: usize,
    pub failed: usize,
    pub in_doubt: BTreeSet<ActionId>,
    pub open: Option<ActionId>,
}

impl Balance {
    pub fn holds(&self) -> bool {
        let settled = self.performed + self.simulated + self.refused + self.failed;
        self.reserved == settled + self.in_doubt.len() + usize::from(self.open.is_some())
    }
}

struct Counted {
    at: DateTime<Utc>,
    mode: Mode,
    counter: Counter,
    count: u32,
}

struct Change {
    limits: Limits,
    at: DateTime<Utc>,
    midnight: DateTime<Utc>,
}

#[derive(Default)]
pub struct Model {
    pub balance: Balance,
    pub mode: Option<Mode>,
    account: Option<AccountId>,
    zone: Option<Tz>,
    first_live_at: Option<DateTime<Utc>>,
    counted: Vec<Counted>,
    changes: Vec<Change>,
    last_write: Vec<(Mode, DateTime<Utc>, DateTime<Utc>)>,
    blocks: Vec<(ActionKind, DateTime<Utc>)>,
    slow_downs: Vec<DateTime<Utc>>,
    stopped: BTreeSet<ActionKind>,
}

impl Model {
    pub fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    /// Takes note of an accepted command and its events.
    pub fn note(&mut self, command: &BotCommand, events: &[BotEvent]) {
        match command {
            BotCommand::ChangeLimits { limits, at } => {
                let midnight = self.midnight_after(*at);
                self.changes.push(Change { limits: limits.clone(), at: *at, midnight });
            }
            BotCommand::ReportTrouble { class, kind, at, .. } => self.note_trouble(*class, *kind, *at),
            BotCommand::RecordAction {
                outcome: Outcome::Refused { class, .. } | Outcome::Failed { class, .. },
                at,
                ..
            } => {
                let kind = events.iter().find_map(|event| match event {
                    BotEvent::ActionRefused { kind, .. } | BotEvent::ActionFailed { kind, .. } => Some(*kind),
                    _ => None,
                });
                self.note_trouble(*class, kind, *at);
            }
            BotCommand::RecordLoginFailure { reason: LoginFailureReason::SlowDown, at, .. } => {
                self.slow_downs.push(*at);
            }
            _ => {}
        }
        for event in events {
            self.note_event(event);
        }
    }

    fn note_trouble(&mut self, class: FailureClass, kind: Option<ActionKind>, at: DateTime<Utc>) {
        match (class, kind) {
            (FailureClass::ActionBlocked, Some(kind)) => self.blocks.push((kind, at)),
            (FailureClass::ActionBlocked, None) | (FailureClass::SlowDown, _) => self.slow_downs.push(at),
            (FailureClass::ContractBroken | FailureClass::Unknown, Some(kind)) => {
                self.stopped.insert(kind);
            }
            _ => {}
        }
    }

    fn note_event(&mut self, event: &BotEvent) {
        match event {
            BotEvent::AccountLinked { account_id, zone, .. } => {
                if self.account != Some(*account_id) {
                    self.first_live_at = None;
                }
                (self.account, self.zone) = (Some(*account_id), Some(*zone));
            }
            BotEvent::AccountUnlinked { .. } => (self.account, self.zone) = (None, None),
            BotEvent::AutomationEnabled { mode, at, .. } => {
                self.mode = Some(*mode);
                self.stopped.clear();
                if *mode == Mode::Live && self.first_live_at.is_none() {
                    self.first_live_at = Some(*at);
                }
            }
            BotEvent::RequestsReserved { count, at, .. } => self.count(*at, Mode::Live, Counter::Request, *count),
            BotEvent::ActionReserved { action_id, kind, mode, requests, next_write_at, at, .. } => {
                self.count(*at, *mode, Counter::from(*kind), 1);
                self.count(*at, Mode::Live, Counter::Request, *requests);
                self.last_write.push((*mode, *at, *next_write_at));
                assert_eq!(self.balance.open, None, "two actions are open");
                self.balance.reserved += 1;
                self.balance.open = Some(*action_id);
            }
            BotEvent::ActionPerformed { action_id, .. } => self.balance.performed += self.closed(*action_id),
            BotEvent::ActionSimulated { action_id, .. } => self.balance.simulated += self.closed(*action_id),
            BotEvent::ActionRefused { action_id, .. } => self.balance.refused += self.closed(*action_id),
            BotEvent::ActionFailed { action_id, .. } => self.balance.failed += self.closed(*action_id),
            BotEvent::ActionInDoubt { action_id, .. } => {
                self.closed(*action_id);
                self.balance.in_doubt.insert(*action_id);
            }
            BotEvent::ActionReconciled { action_id, settlement, .. } => {
                assert!(self.balance.in_doubt.remove(action_id), "{action_id} was not in doubt");
                match settlement {
                    Settlement::Performed => self.balance.performed += 1,
                    Settlement::NotPerformed => self.balance.failed += 1,
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, at: DateTime<Utc>, mode: Mode, counter: Counter, count: u32) {
        self.counted.push(Counted { at, mode, counter, count });
    }

    fn closed(&mut self, action: ActionId) -> usize {
        assert_eq!(self.balance.open.take(), Some(action), "an outcome without its reservation");
        1
    }

    /// Why the reservation has to wait; `None` when it may be made.
    pub fn obstacle(&self, new: &NewReservation) -> Option<SuppressReason> {
        let (mode, now) = (self.mode.expect("it is enabled"), new.at);
        let hour = now.with_timezone(&self.zone()).hour();
        let hours = self
            .changes
            .last()
            .map_or((9, 21), |change| (u32::from(change.limits.hours.from), u32::from(change.limits.hours.until)));
        let paced = self.last_write.iter().rev().find(|(of, ..)| *of == mode).is_some_and(|(.., next)| now < *next);
        if self.slowed_down(now) {
            Some(SuppressReason::SlowDown)
        } else if self.stopped.contains(&new.kind) {
            Some(SuppressReason::ModuleStopped)
        } else if self.blocked(new.kind, now) {
            Some(SuppressReason::KindBlocked)
        } else if hour < hours.0 || hour >= hours.1 {
            Some(SuppressReason::OutsideHours)
        } else if paced {
            Some(SuppressReason::Pacing)
        } else {
            let requests = if mode == Mode::Live { new.requests.max(1) } else { 0 };
            self.limit_in_the_way(mode, new.kind.into(), 1, now)
                .or_else(|| self.limit_in_the_way(Mode::Live, Counter::Request, requests, now))
        }
    }

    /// Why an automated read has to wait.
    pub fn obstacle_to_reading(&self, count: u32, now: DateTime<Utc>) -> Option<SuppressReason> {
        if self.slowed_down(now) {
            return Some(SuppressReason::SlowDown);
        }
        self.limit_in_the_way(Mode::Live, Counter::Request, count, now)
    }

    fn limit_in_the_way(&self, mode: Mode, counter: Counter, asked: u32, now: DateTime<Utc>) -> Option<SuppressReason> {
        let day = self.daily_limit(mode, counter, now);
        let hour = if day == 0 { 0 } else { (day / 6).max(1) };
        if asked == 0 {
            None
        } else if day == 0 {
            Some(SuppressReason::LimitZero)
        } else if self.used(mode, counter, 24, now) + asked > day {
            Some(SuppressReason::DayLimit)
        } else if self.used(mode, counter, 1, now) + asked > hour {
            Some(SuppressReason::HourLimit)
        } else {
            None
        }
    }

    /// How much was reserved in the `hours` that end at `now`.
    pub fn used(&self, mode: Mode, counter: Counter, hours: i64, now: DateTime<Utc>) -> u32 {
        let since = now - TimeDelta::hours(hours);
        self.counted
            .iter()
            .filter(|counted| counted.mode == mode && counted.counter == counter && counted.at > since)
            .map(|counted| counted.count)
            .sum()
    }

    /// A day's limit, from the design's numbers: first 7 live days, default, ceiling.
    pub fn daily_limit(&self, mode: Mode, counter: Counter, now: DateTime<Utc>) -> u32 {
        let (warm_up, default, ceiling) = match counter {
            Counter::Follow | Counter::Unfollow => (5, 15, 40),
            Counter::Like => (10, 40, 120),
            Counter::Story => (20, 60, 120),
            Counter::Comment => (0, 3, 10),
            Counter::Dm => (0, 5, 15),
            Counter::Request => (200, 600, 1_200),
        };
        let mut limit = self.chosen(counter, default, self.changes.len(), now).min(ceiling);
        if mode == Mode::Live && self.first_live_at.is_none_or(|first| now - first < TimeDelta::days(7)) {
            limit = limit.min(warm_up);
        }
        if self.halved(counter, now) { limit / 2 } else { limit }
    }

    /// The limit after the first `changes` changes: a raise waits for the midnight after it.
    fn chosen(&self, counter: Counter, default: u32, changes: usize, now: DateTime<Utc>) -> u32 {
        let Some(change) = changes.checked_sub(1).map(|last| &self.changes[last]) else { return default };
        let asked = change.limits.of(counter);
        if now >= change.midnight { asked } else { asked.min(self.chosen(counter, default, changes - 1, change.at)) }
    }

    /// Of the blocks of `kind`, which one in seven days each was.
    fn strikes(&self, kind: ActionKind) -> impl Iterator<Item = (DateTime<Utc>, usize)> {
        let of_kind: Vec<_> = self.blocks.iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at).collect();
        let strike = |at: &DateTime<Utc>, index: usize| {
            of_kind[..=index].iter().filter(|earlier| *at - **earlier < TimeDelta::days(7)).count()
        };
        of_kind.iter().enumerate().map(|(index, at)| (*at, strike(at, index))).collect::<Vec<_>>().into_iter()
    }

    fn blocked(&self, kind: ActionKind, now: DateTime<Utc>) -> bool {
        self.strikes(kind).any(|(at, strike)| now - at < TimeDelta::hours(if strike == 1 { 24 } else { 72 }))
    }

    fn halved(&self, counter: Counter, now: DateTime<Utc>) -> bool {
        ActionKind::ALL
            .iter()
            .filter(|kind| Counter::from(**kind) == counter)
            .any(|kind| self.strikes(*kind).any(|(at, strike)| strike >= 2 && now - at < TimeDelta::days(7)))
    }

    fn slowed_down(&self, now: DateTime<Utc>) -> bool {
        let mut last: Option<(DateTime<Utc>, i64)> = None;
        for at in &self.slow_downs {
            let minutes = match last {
                Some((until, minutes)) if *at - until < TimeDelta::hours(24) => (2 * minutes).min(24 * 60),
                _ => 30,
            };
            last = Some((*at + TimeDelta::minutes(minutes), minutes));
        }
        last.is_some_and(|(until, _)| now < until)
    }

    /// The first quarter of an hour whose local date is another than now.
    fn midnight_after(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let quarter = TimeDelta::minutes(15);
        let day = |at: DateTime<Utc>| at.with_timezone(&self.zone()).date_naive();
        let mut at = now.duration_trunc(quarter).unwrap();
        while day(at) <= day(now) {
            at += quarter;
        }
        at
    }
}
