//! What a bot's limits would have decided had they been others: the same commands, asked again.
//!
//! An approximation, and only a fold: the commands are those that were asked in truth, and later ones were shaped by what
//! the earlier ones were told. What the platform said is taken as it was said. Nothing is asked that was never asked:
//! an action that would have had to wait is not asked again when it could have gone.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::limits::{Counter, Limits, PAUSE_SECONDS, Rules, WorkingHours};
use super::state::{ActionKind, Mode, SuppressReason, Window};
use super::verdict::{Verdict, Wait};
use crate::ids::ActionId;

/// Other limits; what is left out is as it was at the time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherLimits {
    /// Of a day.
    pub follow: Option<u32>,
    pub unfollow: Option<u32>,
    pub like: Option<u32>,
    pub story: Option<u32>,
    pub comment: Option<u32>,
    pub dm: Option<u32>,
    pub request: Option<u32>,
    /// From which to which hour of the account's day.
    pub hours: Option<WorkingHours>,
    /// Limits of an hour that are not the usual sixth of a day's.
    #[serde(default)]
    pub hourly: Hourly,
    /// Least and most seconds between two writes.
    pub pause_seconds: Option<(i64, i64)>,
    /// `false`: the first days have the full limits.
    pub warm_up: Option<bool>,
}

/// Limits of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hourly {
    pub follow: Option<u32>,
    pub unfollow: Option<u32>,
    pub like: Option<u32>,
    pub story: Option<u32>,
    pub comment: Option<u32>,
    pub dm: Option<u32>,
    pub request: Option<u32>,
}

impl OtherLimits {
    /// Refuses what the product would refuse as well.
    pub fn check(&self) -> Result<(), BotError> {
        let limits = self.over(&Limits::default());
        if let Some(counter) = limits.above_ceiling() {
            return Err(BotError::LimitAboveCeiling { counter, asked: limits.of(counter), ceiling: counter.ceiling() });
        }
        if !limits.hours.is_valid() {
            return Err(BotError::InvalidHours { from: limits.hours.from, until: limits.hours.until });
        }
        Ok(())
    }

    fn over(&self, known: &Limits) -> Limits {
        Limits {
            follow: self.follow.unwrap_or(known.follow),
            unfollow: self.unfollow.unwrap_or(known.unfollow),
            like: self.like.unwrap_or(known.like),
            story: self.story.unwrap_or(known.story),
            comment: self.comment.unwrap_or(known.comment),
            dm: self.dm.unwrap_or(known.dm),
            request: self.request.unwrap_or(known.request),
            hours: self.hours.unwrap_or(known.hours),
        }
    }

    fn rules(&self) -> Rules {
        let Hourly { follow, unfollow, like, story, comment, dm, request } = self.hourly;
        let hourly = [
            (Counter::Follow, follow),
            (Counter::Unfollow, unfollow),
            (Counter::Like, like),
            (Counter::Story, story),
            (Counter::Comment, comment),
            (Counter::Dm, dm),
            (Counter::Request, request),
        ];
        let known = Rules::default();
        let (least, most) = self.pause_seconds.unwrap_or(known.pause_seconds);
        let least = least.max(0);
        Rules {
            hourly: hourly.into_iter().filter_map(|(counter, limit)| Some((counter, limit?))).collect(),
            pause_seconds: (least, most.max(least)),
            warm_up: self.warm_up.unwrap_or(known.warm_up),
        }
    }
}

/// What a command was told, or would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decided {
    Allowed,
    Suppressed {
        reason: SuppressReason,
        counter: Option<Counter>,
        window: Option<Window>,
        frees_at: Option<DateTime<Utc>>,
    },
}

impl From<Wait> for Decided {
    fn from(Wait { reason, counter, window, frees_at }: Wait) -> Self {
        Self::Suppressed { reason, counter, window, frees_at }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "asked", rename_all = "snake_case")]
pub enum Asked {
    Action { action_id: ActionId, kind: ActionKind, mode: Mode, target: String },
    Requests { purpose: String, count: u32 },
}

/// A command that would have been told something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub sequence: i64,
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub asked: Asked,
    pub was: Decided,
    pub would_be: Decided,
}

/// How many commands were told what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub asked: u32,
    pub was_allowed: u32,
    pub would_be_allowed: u32,
    pub allowed_then_suppressed: u32,
    pub suppressed_then_allowed: u32,
    /// Suppressed both times, for another reason or until another time.
    pub suppressed_otherwise: u32,
    /// Not asked any more: the action would have been allowed when it was asked before.
    pub settled_before: u32,
}

/// Every difference, in order, and the totals by counter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WhatIf {
    pub totals: BTreeMap<Counter, Totals>,
    pub differences: Vec<Difference>,
}

/// Decides every reservation in `history` again under `other`.
pub fn what_if<'a>(
    history: impl IntoIterator<Item = (i64, &'a BotEvent)>,
    other: &OtherLimits,
) -> Result<WhatIf, BotError> {
    other.check()?;
    let mut world = World {
        bot: Bot { rules: other.rules(), ..Bot::default() },
        other,
        reserved: HashSet::new(),
        requests: BTreeMap::new(),
        found: WhatIf::default(),
    };
    world.limit();
    for (sequence, event) in history {
        world.take(sequence, event);
    }
    Ok(world.found)
}

/// The bot as it would have become.
struct World<'a> {
    bot: Bot,
    other: &'a OtherLimits,
    /// Actions that would have been allowed.
    reserved: HashSet<ActionId>,
    /// Gateway calls that an action of a kind cost last: a suppressed one does not say.
    requests: BTreeMap<(ActionKind, Mode), u32>,
    found: WhatIf,
}

impl World<'_> {
    /// Puts the other limits over those that hold.
    fn limit(&mut self) {
        self.bot.limits = self.other.over(&self.bot.limits);
        if let Some((raised, _)) = &mut self.bot.raised_limits {
            *raised = self.other.over(raised);
        }
    }

    fn take(&mut self, sequence: i64, event: &BotEvent) {
        match event {
            BotEvent::ActionReserved { .. } => self.reserved(sequence, event),
            BotEvent::ActionSuppressed { .. } => self.suppressed(sequence, event),
            BotEvent::RequestsReserved { purpose, count, automated: true, at } => {
                let asked = Asked::Requests { purpose: purpose.clone(), count: *count };
                let verdict = self.bot.request_verdict(*count, *at);
                if self.compare(sequence, *at, Counter::Request, asked, Decided::Allowed, verdict) {
                    self.bot.fold(event.clone());
                }
            }
            BotEvent::RequestsSuppressed { purpose, count, reason, window, frees_at, at } => {
                let asked = Asked::Requests { purpose: purpose.clone(), count: *count };
                let counter = window.map(|_| Counter::Request);
                let was = Decided::Suppressed { reason: *reason, counter, window: *window, frees_at: *frees_at };
                let verdict = self.bot.request_verdict(*count, *at);
                if self.compare(sequence, *at, Counter::Request, asked, was, verdict) {
                    let (purpose, count, at) = (purpose.clone(), *count, *at);
                    self.bot.fold(BotEvent::RequestsReserved { purpose, count, automated: true, at });
                }
            }
            event => {
                self.bot.fold(event.clone());
                if matches!(event, BotEvent::LimitsChanged { .. }) {
                    self.limit();
                }
            }
        }
    }

    fn reserved(&mut self, sequence: i64, event: &BotEvent) {
        let BotEvent::ActionReserved { action_id, kind, target, mode, requests, next_write_at, at, .. } = event else {
            return;
        };
        self.requests.insert((*kind, *mode), *requests);
        if self.is_settled(*action_id, *kind) {
            self.totals(Counter::from(*kind)).was_allowed += 1;
            return;
        }
        let asked = Asked::Action { action_id: *action_id, kind: *kind, mode: *mode, target: target.clone() };
        let verdict = self.bot.verdict(*kind, *mode, *requests, *at);
        if self.compare(sequence, *at, Counter::from(*kind), asked, Decided::Allowed, verdict) {
            let mut reserved = event.clone();
            if let BotEvent::ActionReserved { next_write_at: next, .. } = &mut reserved {
                *next = *at + self.pause(*next_write_at - *at);
            }
            self.reserved.insert(*action_id);
            self.bot.fold(reserved);
        }
    }

    fn suppressed(&mut self, sequence: i64, event: &BotEvent) {
        let BotEvent::ActionSuppressed {
            action_id,
            run_id,
            campaign_id,
            kind,
            target,
            mode,
            reason,
            counter,
            window,
            frees_at,
            local_day,
            at,
        } = event
        else {
            return;
        };
        if self.is_settled(*action_id, *kind) {
            return;
        }
        let asked = Asked::Action { action_id: *action_id, kind: *kind, mode: *mode, target: target.clone() };
        let was = Decided::Suppressed { reason: *reason, counter: *counter, window: *window, frees_at: *frees_at };
        let requests = self.requests.get(&(*kind, *mode)).copied().unwrap_or(u32::from(*mode == Mode::Live));
        let verdict = self.bot.verdict(*kind, *mode, requests, *at);
        if !self.compare(sequence, *at, Counter::from(*kind), asked, was, verdict) {
            return;
        }
        let Some(enablement_id) = self.bot.enablement.as_ref().map(|running| running.enablement_id) else { return };
        let middle = TimeDelta::seconds(i64::midpoint(PAUSE_SECONDS.0, PAUSE_SECONDS.1));
        self.reserved.insert(*action_id);
        self.bot.fold(BotEvent::ActionReserved {
            action_id: *action_id,
            run_id: *run_id,
            campaign_id: *campaign_id,
            enablement_id,
            kind: *kind,
            target: target.clone(),
            mode: *mode,
            requests,
            local_day: *local_day,
            words: None,
            next_write_at: *at + self.pause(middle),
            at: *at,
        });
    }

    /// Whether the action was allowed when it was asked before.
    fn is_settled(&mut self, action_id: ActionId, kind: ActionKind) -> bool {
        let settled = self.reserved.contains(&action_id);
        if settled {
            let totals = self.totals(Counter::from(kind));
            totals.asked += 1;
            totals.settled_before += 1;
        }
        settled
    }

    /// The pause that has the same place between the least and the most as `was`.
    fn pause(&self, was: TimeDelta) -> TimeDelta {
        let (known_least, known_most) = (PAUSE_SECONDS.0 * 1_000, PAUSE_SECONDS.1 * 1_000);
        let (least, most) = self.bot.rules.pause_seconds;
        let beyond = (was.num_milliseconds() - known_least).clamp(0, known_most - known_least);
        let extra = (most - least).saturating_mul(beyond) / ((known_most - known_least) / 1_000);
        TimeDelta::milliseconds(least.saturating_mul(1_000).saturating_add(extra))
    }

    fn totals(&mut self, counter: Counter) -> &mut Totals {
        self.found.totals.entry(counter).or_default()
    }

    /// Counts a command, keeps it when it would have been told something else, and says whether it would be allowed.
    fn compare(
        &mut self,
        sequence: i64,
        at: DateTime<Utc>,
        counter: Counter,
        asked: Asked,
        was: Decided,
        verdict: Verdict,
    ) -> bool {
        let would_be = match verdict {
            Verdict::Free => Decided::Allowed,
            Verdict::Wait(wait) => wait.into(),
        };
        let (was_allowed, is_allowed) = (was == Decided::Allowed, would_be == Decided::Allowed);
        let totals = self.totals(counter);
        totals.asked += 1;
        totals.was_allowed += u32::from(was_allowed);
        totals.would_be_allowed += u32::from(is_allowed);
        totals.allowed_then_suppressed += u32::from(was_allowed && !is_allowed);
        totals.suppressed_then_allowed += u32::from(!was_allowed && is_allowed);
        totals.suppressed_otherwise += u32::from(!was_allowed && !is_allowed && was != would_be);
        if was_allowed != is_allowed {
            self.found.differences.push(Difference { sequence, at, asked, was, would_be });
        }
        is_allowed
    }
}
