//! The answer to "why not yet".

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use domain::bot as bots;

use super::bot::Bot;
use super::names::{ActionKind, BotState, Counter, SuppressReason, Window};

/// Whether a kind of action may be done now; if not, why, and when it may.
#[derive(Debug, SimpleObject)]
pub struct Verdict {
    /// Which kind.
    kind: ActionKind,
    /// Whether it may be done now.
    free: bool,
    /// The bot has to be RUNNING first; null when it is.
    state: Option<BotState>,
    /// Why it has to wait.
    reason: Option<SuppressReason>,
    /// The counter whose limit is reached.
    counter: Option<Counter>,
    /// The window in which it is.
    window: Option<Window>,
    /// When it may be done; null when waiting does not help.
    frees_at: Option<DateTime<Utc>>,
    /// The same in words.
    explanation: String,
}

impl Verdict {
    /// The verdict on `kind` in `mode`.
    pub fn of(bot: &Bot, kind: bots::ActionKind, mode: bots::Mode) -> Self {
        let wait = match bot.state.verdict(kind, mode, 1, bot.now) {
            bots::Verdict::Free => None,
            bots::Verdict::Wait(wait) => Some(wait),
        };
        let state = bot.state.state();
        let stands_still = (state != bots::BotState::Running).then_some(state);
        let explanation = match (stands_still, &wait) {
            (Some(state), _) => format!("automation is not running: the bot is {state}"),
            (None, Some(wait)) => explained(wait),
            (None, None) => "it may be done now".to_owned(),
        };
        Self {
            kind: kind.into(),
            free: stands_still.is_none() && wait.is_none(),
            state: stands_still.map(Into::into),
            reason: wait.as_ref().map(|wait| wait.reason.into()),
            counter: wait.as_ref().and_then(|wait| wait.counter).map(Into::into),
            window: wait.as_ref().and_then(|wait| wait.window).map(Into::into),
            frees_at: wait.and_then(|wait| wait.frees_at),
            explanation,
        }
    }
}

/// Why, in words.
pub fn explained(wait: &bots::Wait) -> String {
    let why = match wait.reason {
        bots::SuppressReason::SlowDown => "Instagram asked to slow down",
        bots::SuppressReason::KindBlocked => "Instagram blocked this kind of action",
        bots::SuppressReason::ModuleStopped => {
            "this kind stopped after an answer that nobody understands; disable automation and enable it again"
        }
        bots::SuppressReason::OutsideHours => "it is outside the working hours",
        bots::SuppressReason::Pacing => "it is too soon after the last write",
        bots::SuppressReason::HourLimit => "the hour's limit is reached",
        bots::SuppressReason::DayLimit => "the day's limit is reached",
        bots::SuppressReason::LimitZero => "the limit of this kind is zero",
    };
    match wait.frees_at {
        Some(at) => format!("{why}; it may be done from {}", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        None => why.to_owned(),
    }
}
