//! What follows from a platform failure, by its class.

use chrono::{DateTime, TimeDelta, Utc};

use super::aggregate::Bot;
use super::error::BotError;
use super::event::BotEvent;
use super::failure::FailureClass;
use super::state::{ActionKind, BotState};
use super::text::{LONGEST_CODE, cut};

/// How long a block of a kind of action counts against the next one.
pub(super) const STRIKE_MEMORY: TimeDelta = TimeDelta::days(7);
/// How long an answer that we do not understand counts against the next one.
pub(super) const UNKNOWN_MEMORY: TimeDelta = TimeDelta::hours(1);
const FIRST_SLOW_DOWN: TimeDelta = TimeDelta::minutes(30);
const LONGEST_SLOW_DOWN: TimeDelta = TimeDelta::hours(24);
/// A slow-down that ended this long ago is forgiven.
const CLEAN_DAY: TimeDelta = TimeDelta::hours(24);

impl Bot {
    pub(super) fn report_trouble(
        &self,
        class: FailureClass,
        code: String,
        kind: Option<ActionKind>,
        at: DateTime<Utc>,
    ) -> Result<Vec<BotEvent>, BotError> {
        if !matches!(self.state, BotState::LoggedIn | BotState::Running | BotState::Paused) {
            return self.refuse("ReportTrouble");
        }
        Ok(self.consequences(class, &cut(code, LONGEST_CODE), kind, at))
    }

    /// The events that a failure of `class` leads to, beside the outcome itself.
    pub(super) fn consequences(
        &self,
        class: FailureClass,
        code: &str,
        kind: Option<ActionKind>,
        at: DateTime<Utc>,
    ) -> Vec<BotEvent> {
        let code = code.to_owned();
        let has_session = matches!(self.state, BotState::LoggedIn | BotState::Running | BotState::Paused);
        match (class, kind) {
            (FailureClass::PersonNeeded, _) => vec![BotEvent::ChallengeRaised { kind: code, at }],
            (FailureClass::LoginEnded, _) if has_session => vec![BotEvent::SessionExpired { code, at }],
            (FailureClass::ActionBlocked, Some(kind)) => self.block(kind, at),
            (FailureClass::ActionBlocked, None) | (FailureClass::SlowDown, _) => {
                vec![self.slow_down(code, at).0]
            }
            (FailureClass::ContractBroken, Some(kind)) => vec![BotEvent::ModuleStopped { kind, class, code, at }],
            (FailureClass::Unknown, kind) => self.unknown(code, kind, at),
            _ => Vec::new(),
        }
    }

    /// 24 h; the second in 7 days 72 h and half the limits; the third needs the person.
    fn block(&self, kind: ActionKind, at: DateTime<Utc>) -> Vec<BotEvent> {
        let earlier = self
            .kind_blocks
            .get(&kind)
            .map_or(0, |block| block.strikes.iter().filter(|strike| **strike > at - STRIKE_MEMORY).count());
        let (strike, hours) = if earlier == 0 { (1, 24) } else { (earlier + 1, 72) };
        let mut events = vec![BotEvent::ActionKindBlocked {
            kind,
            strike: u32::try_from(strike).unwrap_or(u32::MAX),
            until: at + TimeDelta::hours(hours),
            halved_until: (strike >= 2).then(|| at + STRIKE_MEMORY),
            at,
        }];
        if strike >= 3 {
            events.push(BotEvent::ChallengeRaised { kind: "ACTION_BLOCKED_REPEATEDLY".to_owned(), at });
        }
        events
    }

    /// 30 min, doubled each time to 24 h, back to 30 min after a clean day.
    pub(super) fn slow_down(&self, code: String, at: DateTime<Utc>) -> (BotEvent, DateTime<Utc>) {
        let step = self
            .slow_down
            .as_ref()
            .filter(|slow| at < slow.until + CLEAN_DAY)
            .map_or(1, |slow| slow.step.saturating_add(1));
        let wait = (FIRST_SLOW_DOWN * (1 << step.saturating_sub(1).min(10))).min(LONGEST_SLOW_DOWN);
        let until = at + wait;
        (BotEvent::SlowDownStarted { step, until, code, at }, until)
    }

    /// Stops the module; the second in an hour stops the bot.
    fn unknown(&self, code: String, kind: Option<ActionKind>, at: DateTime<Utc>) -> Vec<BotEvent> {
        let repeated = self.unknown_failures.iter().any(|seen| *seen > at - UNKNOWN_MEMORY);
        let mut events = match kind {
            Some(kind) => {
                vec![BotEvent::ModuleStopped { kind, class: FailureClass::Unknown, code: code.clone(), at }]
            }
            None => vec![BotEvent::UnknownFailureSeen { code: code.clone(), at }],
        };
        if repeated {
            events.push(BotEvent::BotFailed { reason: format!("two unknown answers within an hour: {code}"), at });
        }
        events
    }
}
