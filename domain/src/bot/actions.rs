//! Decisions about actions: reserved before the platform is called, recorded after, settled when in doubt.

use chrono::{DateTime, TimeDelta, Utc};

use super::aggregate::{Bot, Reservation};
use super::command::{NewReservation, Outcome};
use super::error::BotError;
use super::event::BotEvent;
use super::limits::PAUSE_SECONDS;
use super::state::{BotState, Mode, Settlement};
use super::text::{LONGEST_CODE, LONGEST_EVIDENCE, LONGEST_KEY, checked, cut};
use super::verdict::Verdict;
use super::words::MOST_ALIKE;
use crate::ids::ActionId;

type Decision = Result<Vec<BotEvent>, BotError>;

impl Bot {
    pub(super) fn reserve_requests(&self, purpose: String, count: u32, automated: bool, at: DateTime<Utc>) -> Decision {
        if !matches!(self.state, BotState::LoggingIn | BotState::LoggedIn | BotState::Running | BotState::Paused) {
            return self.refuse("ReserveRequests");
        }
        let purpose = cut(purpose, LONGEST_CODE);
        if automated && let Verdict::Wait(wait) = self.request_verdict(count, at) {
            return Ok(vec![BotEvent::RequestsSuppressed {
                purpose,
                count,
                reason: wait.reason,
                window: wait.window,
                frees_at: wait.frees_at,
                at,
            }]);
        }
        Ok(vec![BotEvent::RequestsReserved { purpose, count, automated, at }])
    }

    pub(super) fn reserve_action(&self, new: NewReservation) -> Decision {
        let mode = self.running("ReserveAction", new.enablement_id, new.campaign_id)?.mode;
        if let Some(open) = self.open.as_ref().filter(|open| open.action_id != new.action_id) {
            return Err(BotError::ReservationOpen { action_id: open.action_id });
        }
        if self.knows_action(new.action_id) {
            return Err(BotError::AlreadyReserved { action_id: new.action_id });
        }
        let NewReservation { action_id, run_id, campaign_id, enablement_id, kind, target, requests, words, roll, at } =
            new;
        let target = checked("target", target, LONGEST_KEY)?;
        self.check_contact(kind, &target)?;
        if mode == Mode::Live && words.is_some_and(|words| self.words.times_said(words, at) >= MOST_ALIKE) {
            return Err(BotError::TextRepeated);
        }
        // A simulated action makes no call, a real one at least its own.
        let requests = if mode == Mode::Live { requests.max(1) } else { 0 };
        let local_day = at.with_timezone(&self.zone()).date_naive();
        match self.verdict(kind, mode, requests, at) {
            Verdict::Free => Ok(vec![BotEvent::ActionReserved {
                action_id,
                run_id,
                campaign_id,
                enablement_id,
                kind,
                target,
                mode,
                requests,
                local_day,
                next_write_at: at + pause(roll),
                words,
                at,
            }]),
            Verdict::Wait(wait) => Ok(vec![BotEvent::ActionSuppressed {
                action_id,
                run_id,
                campaign_id,
                kind,
                target,
                mode,
                reason: wait.reason,
                counter: wait.counter,
                window: wait.window,
                frees_at: wait.frees_at,
                local_day,
                at,
            }]),
        }
    }

    /// The outcome is taken in whatever state the bot is by now: what was done is a fact.
    pub(super) fn record_action(&self, action_id: ActionId, outcome: Outcome, at: DateTime<Utc>) -> Decision {
        if self.state == BotState::NotInitialized {
            return self.refuse("RecordAction");
        }
        let open = self
            .open
            .as_ref()
            .filter(|open| open.action_id == action_id)
            .ok_or(BotError::NoReservation { action_id })?;
        let Reservation { kind, local_day, mode, .. } = *open;
        let simulated = outcome == Outcome::Simulated;
        let could_be_live = matches!(outcome, Outcome::Performed { .. } | Outcome::InDoubt { .. });
        if (simulated && mode == Mode::Live) || (could_be_live && mode == Mode::DryRun) {
            return Err(BotError::WrongMode { action_id });
        }
        Ok(match outcome {
            Outcome::Performed { evidence } => {
                let evidence = cut(evidence, LONGEST_EVIDENCE);
                vec![BotEvent::ActionPerformed { action_id, kind, local_day, evidence, at }]
            }
            Outcome::Simulated => vec![BotEvent::ActionSimulated { action_id, kind, local_day, at }],
            Outcome::Refused { class, code } => {
                let code = cut(code, LONGEST_CODE);
                let mut events = self.consequences(class, &code, Some(kind), at);
                events.insert(0, BotEvent::ActionRefused { action_id, kind, local_day, class, code, at });
                events
            }
            Outcome::Failed { class, code } => {
                let code = cut(code, LONGEST_CODE);
                let mut events = self.consequences(class, &code, Some(kind), at);
                events.insert(0, BotEvent::ActionFailed { action_id, kind, local_day, class, code, at });
                events
            }
            Outcome::InDoubt { code, evidence } => {
                let (code, evidence) = (cut(code, LONGEST_CODE), cut(evidence, LONGEST_EVIDENCE));
                vec![BotEvent::ActionInDoubt { action_id, kind, local_day, code, evidence, at }]
            }
        })
    }

    pub(super) fn reconcile_action(
        &self,
        action_id: ActionId,
        settlement: Settlement,
        evidence: String,
        at: DateTime<Utc>,
    ) -> Decision {
        if self.state == BotState::NotInitialized {
            return self.refuse("ReconcileAction");
        }
        let doubt = self.in_doubt.get(&action_id).ok_or(BotError::NotInDoubt { action_id })?;
        let (kind, local_day) = (doubt.kind, doubt.local_day);
        let evidence = cut(evidence, LONGEST_EVIDENCE);
        Ok(vec![BotEvent::ActionReconciled { action_id, kind, local_day, settlement, evidence, at }])
    }
}

fn pause(roll: f64) -> TimeDelta {
    let (least, most) = PAUSE_SECONDS;
    let roll = if roll.is_nan() { 1.0 } else { roll.clamp(0.0, 1.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 120,000")]
    let extra = (roll * ((most - least) * 1_000) as f64) as i64;
    TimeDelta::seconds(least) + TimeDelta::milliseconds(extra)
}
