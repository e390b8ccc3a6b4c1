//! The fold: how each event changes the bot. It assigns and never decides.

use chrono::{DateTime, Utc};

use super::aggregate::{Account, Authorization, Bot, Enablement, KindBlock, Login, Reservation, SlowDown};
use super::consequences::{STRIKE_MEMORY, UNKNOWN_MEMORY};
use super::event::BotEvent;
use super::failure::FailureClass;
use super::limits::Counter;
use super::state::{BotState, LoginFailureReason, Mode};
use crate::ids::ActionId;

/// How many settled actions a bot remembers by id; older ones are kept apart by the command stream's dedupe keys.
const REMEMBERED_ACTIONS: usize = 512;

/// How many finished dry runs a bot remembers.
const REMEMBERED_DRY_RUNS: usize = 32;

impl Bot {
    /// Each event has one place below: an event that is added does not compile until it has one, too.
    pub(super) fn fold(&mut self, event: BotEvent) {
        match event {
            BotEvent::BotInitialized { .. }
            | BotEvent::AccountLinked { .. }
            | BotEvent::AccountUnlinked { .. }
            | BotEvent::LimitsChanged { .. }
            | BotEvent::BotFailed { .. }
            | BotEvent::BotRecovered { .. } => self.fold_account(event),
            BotEvent::LoginRequested { .. }
            | BotEvent::LoginSucceeded { .. }
            | BotEvent::LoginFailed { .. }
            | BotEvent::TwoFactorRequired { .. }
            | BotEvent::ChallengeRaised { .. }
            | BotEvent::ChallengeResolved { .. }
            | BotEvent::ConnectionVerified { .. }
            | BotEvent::SessionExpired { .. }
            | BotEvent::LoggedOut { .. } => self.fold_login(event),
            BotEvent::AutomationAuthorized { .. }
            | BotEvent::AutomationEnabled { .. }
            | BotEvent::AutomationPaused { .. }
            | BotEvent::AutomationResumed { .. }
            | BotEvent::AutomationDisabled { .. }
            | BotEvent::RunFinished { .. }
            | BotEvent::DryRunFinished { .. } => self.fold_automation(event),
            BotEvent::RequestsReserved { .. }
            | BotEvent::ActionReserved { .. }
            | BotEvent::ActionPerformed { .. }
            | BotEvent::ActionSimulated { .. }
            | BotEvent::ActionRefused { .. }
            | BotEvent::ActionFailed { .. }
            | BotEvent::ActionInDoubt { .. }
            | BotEvent::ActionReconciled { .. } => self.fold_action(event),
            BotEvent::ActionKindBlocked { .. }
            | BotEvent::SlowDownStarted { .. }
            | BotEvent::ModuleStopped { .. }
            | BotEvent::UnknownFailureSeen { .. } => self.fold_trouble(event),
            BotEvent::ContactStopped { person, .. } => self.remember_stopped(person),
            // Facts for people; no decision looks at them.
            BotEvent::ConnectionTestRequested { .. }
            | BotEvent::ConnectionTestFailed { .. }
            | BotEvent::RunStarted { .. }
            | BotEvent::RequestsSuppressed { .. }
            | BotEvent::ActionSuppressed { .. } => {}
        }
    }

    fn fold_account(&mut self, event: BotEvent) {
        match event {
            BotEvent::BotInitialized { bot_id, .. } => {
                self.id = Some(bot_id);
                self.state = BotState::LoggedOut;
            }
            BotEvent::AccountLinked { account_id, username, zone, password, .. } => {
                let known = self.account.take().filter(|account| account.account_id == account_id);
                if known.is_none() {
                    // Another account warms up anew.
                    self.first_live_at = None;
                }
                let platform_pk = known.and_then(|account| account.platform_pk);
                self.account =
                    Some(Account { account_id, username, zone, password, platform_pk, password_rejected: false });
                self.login.two_factor_pending = false;
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            BotEvent::AccountUnlinked { .. } => {
                self.leave_automation();
                self.account = None;
                // The wait after failed logins stays: unlinking is no way around it.
                let Login { attempt, failures, retry_not_before, .. } = self.login;
                self.login = Login { attempt, failures, retry_not_before, ..Login::default() };
                self.dry_runs.clear();
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            BotEvent::LimitsChanged { limits, effective, raises_at, .. } => {
                self.raised_limits = (limits != effective).then_some((limits, raises_at));
                self.limits = effective;
            }
            BotEvent::BotFailed { reason, .. } => {
                self.interrupt_session();
                self.error_reason = Some(reason);
                self.state = BotState::Error;
            }
            BotEvent::BotRecovered { .. } => {
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            _ => {}
        }
    }

    fn fold_login(&mut self, event: BotEvent) {
        match event {
            BotEvent::LoginRequested { attempt, .. } => {
                self.login.attempt = attempt;
                self.state = BotState::LoggingIn;
            }
            BotEvent::LoginSucceeded { platform_pk, session, session_expires_at, .. } => {
                if let Some(account) = &mut self.account {
                    account.platform_pk = Some(platform_pk);
                }
                let attempt = self.login.attempt;
                self.login = Login {
                    attempt,
                    session: Some(session),
                    session_expires_at: Some(session_expires_at),
                    ..Login::default()
                };
                self.state = BotState::LoggedIn;
            }
            BotEvent::LoginFailed { reason, retry_not_before, .. } => {
                self.login.failures = self.login.failures.saturating_add(1);
                self.login.retry_not_before = Some(retry_not_before);
                self.login.two_factor_pending = reason == LoginFailureReason::WrongTwoFactorCode;
                if let Some(account) = &mut self.account {
                    account.password_rejected = reason == LoginFailureReason::WrongPassword;
                }
                self.state = BotState::LoggedOut;
            }
            BotEvent::TwoFactorRequired { .. } => {
                // Nothing failed, so the login with the code need not wait.
                self.login.two_factor_pending = true;
                self.state = BotState::LoggedOut;
            }
            BotEvent::ChallengeRaised { kind, .. } => {
                let stopped = matches!(self.state, BotState::Running | BotState::Paused | BotState::Error);
                self.interrupt_session();
                self.login.two_factor_pending = false;
                if stopped {
                    self.error_reason = Some(format!("challenge: {kind}"));
                }
                self.login.challenge = Some(kind);
                self.state = if stopped { BotState::Error } else { BotState::LoggedOut };
            }
            BotEvent::ChallengeResolved { .. } => {
                self.login.challenge = None;
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            BotEvent::ConnectionVerified { at } => self.login.verified_at = Some(at),
            BotEvent::SessionExpired { .. } | BotEvent::LoggedOut { .. } => {
                self.end_session();
                self.login.interrupted_session = None;
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            _ => {}
        }
    }

    fn fold_automation(&mut self, event: BotEvent) {
        match event {
            BotEvent::AutomationAuthorized { plan_hash, campaigns, mode, at, .. } => {
                self.authorization = Some(Authorization { plan_hash, campaigns, mode, at });
            }
            BotEvent::AutomationEnabled { enablement_id, plan_hash, campaigns, mode, at } => {
                if mode == Mode::Live {
                    self.first_live_at.get_or_insert(at);
                }
                self.authorization = None;
                self.stopped_modules.clear();
                let unfinished = campaigns.iter().copied().collect();
                let campaigns = campaigns.into_iter().collect();
                self.enablement = Some(Enablement { enablement_id, plan_hash, mode, campaigns, unfinished });
                self.state = BotState::Running;
            }
            BotEvent::AutomationPaused { .. } => self.state = BotState::Paused,
            BotEvent::AutomationResumed { .. } => self.state = BotState::Running,
            BotEvent::AutomationDisabled { .. } => {
                self.leave_automation();
                self.state = BotState::LoggedIn;
            }
            BotEvent::RunFinished { campaign_id, stopped_by: None, .. } => {
                if let Some(enablement) = &mut self.enablement {
                    enablement.unfinished.remove(&campaign_id);
                }
            }
            BotEvent::DryRunFinished { plan_hash, .. } => {
                self.dry_runs.retain(|known| *known != plan_hash);
                if self.dry_runs.len() == REMEMBERED_DRY_RUNS {
                    self.dry_runs.pop_front();
                }
                self.dry_runs.push_back(plan_hash);
            }
            _ => {}
        }
    }

    fn fold_action(&mut self, event: BotEvent) {
        match event {
            BotEvent::RequestsReserved { count, at, .. } => self.count(Mode::Live, Counter::Request, at, count),
            BotEvent::ActionReserved {
                action_id,
                run_id,
                campaign_id,
                kind,
                target,
                mode,
                requests,
                local_day,
                next_write_at,
                words,
                at,
                ..
            } => {
                if let (Mode::Live, Some(words)) = (mode, words) {
                    self.words.say(words, at);
                }
                self.count(mode, kind.into(), at, 1);
                self.count(Mode::Live, Counter::Request, at, requests);
                self.next_write_at.insert(mode, next_write_at);
                self.open = Some(Reservation { action_id, run_id, campaign_id, kind, target, mode, local_day, at });
            }
            BotEvent::ActionPerformed { action_id, .. }
            | BotEvent::ActionSimulated { action_id, .. }
            | BotEvent::ActionRefused { action_id, .. }
            | BotEvent::ActionFailed { action_id, .. }
            | BotEvent::ActionReconciled { action_id, .. } => self.settle(action_id),
            BotEvent::ActionInDoubt { action_id, .. } => {
                if let Some(open) = self.open.take_if(|open| open.action_id == action_id) {
                    self.in_doubt.insert(action_id, open);
                }
            }
            _ => {}
        }
    }

    fn fold_trouble(&mut self, event: BotEvent) {
        match event {
            BotEvent::ActionKindBlocked { kind, until, halved_until, at, .. } => {
                let block = self.kind_blocks.entry(kind).or_insert(KindBlock {
                    strikes: Vec::new(),
                    until,
                    halved_until: None,
                });
                block.strikes.retain(|strike| *strike > at - STRIKE_MEMORY);
                block.strikes.push(at);
                block.until = until;
                block.halved_until = halved_until;
            }
            BotEvent::SlowDownStarted { step, until, .. } => self.slow_down = Some(SlowDown { step, until }),
            BotEvent::ModuleStopped { kind, class, at, .. } => {
                self.stopped_modules.insert(kind);
                if class == FailureClass::Unknown {
                    self.note_unknown(at);
                }
            }
            BotEvent::UnknownFailureSeen { at, .. } => self.note_unknown(at),
            _ => {}
        }
    }

    fn leave_automation(&mut self) {
        self.authorization = None;
        self.enablement = None;
    }

    fn end_session(&mut self) {
        self.leave_automation();
        self.login.session = None;
        self.login.session_expires_at = None;
        self.login.verified_at = None;
    }

    /// A person is needed: the session is kept for the login after that, and every plan starts again in a dry run.
    fn interrupt_session(&mut self) {
        let interrupted = self.login.session.or(self.login.interrupted_session);
        self.end_session();
        self.login.interrupted_session = interrupted;
        self.dry_runs.clear();
    }

    fn count(&mut self, mode: Mode, counter: Counter, at: DateTime<Utc>, count: u32) {
        self.reserved.entry((mode, counter)).or_default().add(at, count);
    }

    fn settle(&mut self, action: ActionId) {
        self.open.take_if(|open| open.action_id == action);
        self.in_doubt.remove(&action);
        if self.settled.len() == REMEMBERED_ACTIONS {
            self.settled.pop_front();
        }
        self.settled.push_back(action);
    }

    fn note_unknown(&mut self, at: DateTime<Utc>) {
        self.unknown_failures.retain(|seen| *seen > at - UNKNOWN_MEMORY);
        self.unknown_failures.push(at);
    }
}
