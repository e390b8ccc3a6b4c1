//! The bot's state and its fold. The decisions are in the neighbours, one noun a file; the fold only assigns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::command::BotCommand;
use super::error::BotError;
use super::event::BotEvent;
use super::limits::{Counter, Limits};
use super::state::{ActionKind, BotState, LoginFailureReason, Mode};
use super::upcast;
use super::windows::Reserved;
use crate::decide::Decide;
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;

/// How many settled actions a bot remembers by id; older ones are kept apart by the command stream's dedupe keys.
const REMEMBERED_ACTIONS: usize = 512;

/// The linked account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub account_id: AccountId,
    pub username: String,
    pub zone: Tz,
    pub password: SecretId,
    /// The platform's key, known from the first login on.
    pub platform_pk: Option<String>,
    pub password_rejected: bool,
}

/// The login and its session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub attempt: u32,
    pub failures: u32,
    pub retry_not_before: Option<DateTime<Utc>>,
    pub two_factor_pending: bool,
    pub session: Option<SecretId>,
    /// The session that a challenge interrupted; the next login tries it before the password.
    pub interrupted_session: Option<SecretId>,
    pub session_expires_at: Option<DateTime<Utc>>,
    pub verified_at: Option<DateTime<Utc>>,
    /// The challenge that locks login.
    pub challenge: Option<String>,
}

/// Step 1 of switching automation on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authorization {
    pub plan_hash: PlanHash,
    pub campaigns: Vec<CampaignId>,
    pub mode: Mode,
    pub at: DateTime<Utc>,
}

/// One switching on of automation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enablement {
    pub enablement_id: EnablementId,
    pub plan_hash: PlanHash,
    pub mode: Mode,
    /// Campaigns whose run has not finished.
    pub unfinished: BTreeSet<CampaignId>,
}

/// An action between its reservation and its settlement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    pub action_id: ActionId,
    pub run_id: RunId,
    pub campaign_id: CampaignId,
    pub kind: ActionKind,
    pub target: String,
    pub mode: Mode,
    pub local_day: NaiveDate,
    pub at: DateTime<Utc>,
}

/// A kind of action that the platform blocked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindBlock {
    pub strikes: Vec<DateTime<Utc>>,
    pub until: DateTime<Utc>,
    pub halved_until: Option<DateTime<Utc>>,
}

/// The account's slow-down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowDown {
    pub step: u32,
    pub until: DateTime<Utc>,
}

/// One user's automation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bot {
    pub(super) id: Option<BotId>,
    pub(super) state: BotState,
    pub(super) account: Option<Account>,
    pub(super) login: Login,
    pub(super) authorization: Option<Authorization>,
    pub(super) enablement: Option<Enablement>,
    pub(super) dry_runs: BTreeSet<PlanHash>,
    pub(super) first_live_at: Option<DateTime<Utc>>,
    pub(super) limits: Limits,
    pub(super) raised_limits: Option<(Limits, DateTime<Utc>)>,
    #[serde(with = "pairs")]
    pub(super) reserved: BTreeMap<(Mode, Counter), Reserved>,
    pub(super) next_write_at: BTreeMap<Mode, DateTime<Utc>>,
    pub(super) open: Option<Reservation>,
    pub(super) in_doubt: BTreeMap<ActionId, Reservation>,
    pub(super) settled: VecDeque<ActionId>,
    pub(super) kind_blocks: BTreeMap<ActionKind, KindBlock>,
    pub(super) stopped_modules: BTreeSet<ActionKind>,
    pub(super) slow_down: Option<SlowDown>,
    pub(super) unknown_failures: Vec<DateTime<Utc>>,
    pub(super) error_reason: Option<String>,
}

/// JSON has no maps with composite keys; a list of pairs stands for one.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl Default for Bot {
    fn default() -> Self {
        Self {
            id: None,
            state: BotState::NotInitialized,
            account: None,
            login: Login::default(),
            authorization: None,
            enablement: None,
            dry_runs: BTreeSet::new(),
            first_live_at: None,
            limits: Limits::default(),
            raised_limits: None,
            reserved: BTreeMap::new(),
            next_write_at: BTreeMap::new(),
            open: None,
            in_doubt: BTreeMap::new(),
            settled: VecDeque::new(),
            kind_blocks: BTreeMap::new(),
            stopped_modules: BTreeSet::new(),
            slow_down: None,
            unknown_failures: Vec::new(),
            error_reason: None,
        }
    }
}

/// What others may see.
impl Bot {
    #[must_use]
    pub const fn state(&self) -> BotState {
        self.state
    }

    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    #[must_use]
    pub const fn login(&self) -> &Login {
        &self.login
    }

    /// The authorization that waits for its second step.
    #[must_use]
    pub const fn authorization(&self) -> Option<&Authorization> {
        self.authorization.as_ref()
    }

    /// What is switched on; `None` unless RUNNING or PAUSED.
    #[must_use]
    pub const fn enablement(&self) -> Option<&Enablement> {
        self.enablement.as_ref()
    }

    /// The one action that is reserved and not settled.
    #[must_use]
    pub const fn open_reservation(&self) -> Option<&Reservation> {
        self.open.as_ref()
    }

    /// Actions whose outcome is not known.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Reservation> {
        self.in_doubt.values()
    }

    /// Whether a dry run of the plan has finished.
    #[must_use]
    pub fn has_dry_run(&self, plan: &PlanHash) -> bool {
        self.dry_runs.contains(plan)
    }

    /// Limits that will hold from an instant on, if any were raised.
    #[must_use]
    pub const fn raised_limits(&self) -> Option<&(Limits, DateTime<Utc>)> {
        self.raised_limits.as_ref()
    }

    /// Why the bot is in ERROR.
    #[must_use]
    pub fn error_reason(&self) -> Option<&str> {
        self.error_reason.as_deref()
    }

    /// Whether the action is known: open, in doubt or settled.
    #[must_use]
    pub fn knows_action(&self, action: ActionId) -> bool {
        self.open.as_ref().is_some_and(|open| open.action_id == action)
            || self.in_doubt.contains_key(&action)
            || self.settled.contains(&action)
    }

    pub(super) fn refuse<T>(&self, command: &'static str) -> Result<T, BotError> {
        Err(BotError::NotAllowed { command, state: self.state })
    }

    fn leave_automation(&mut self) {
        self.authorization = None;
        self.enablement = None;
    }

    fn log_out(&mut self) {
        self.leave_automation();
        self.login.session = None;
        self.login.interrupted_session = None;
        self.login.session_expires_at = None;
        self.login.verified_at = None;
    }

    fn settle(&mut self, action: ActionId) {
        if self.open.as_ref().is_some_and(|open| open.action_id == action) {
            self.open = None;
        }
        self.in_doubt.remove(&action);
        if self.settled.len() == REMEMBERED_ACTIONS {
            self.settled.pop_front();
        }
        self.settled.push_back(action);
    }
}

impl Decide for Bot {
    const SHAPE: u32 = 1;

    fn decide(&self, command: BotCommand) -> Result<Vec<BotEvent>, BotError> {
        match command {
            BotCommand::Initialize { bot_id, at } => self.initialize(bot_id, at),
            BotCommand::LinkAccount { account_id, username, zone, password, consent, at } => {
                self.link_account(account_id, username, zone, password, &consent, at)
            }
            BotCommand::UnlinkAccount { at } => self.unlink_account(at),
            BotCommand::RequestLogin { verification_code, at } => self.request_login(verification_code, at),
            BotCommand::RecordLoginSuccess { attempt, platform_pk, session, key_id, session_expires_at, at } => self
                .record_login(
                    "RecordLoginSuccess",
                    attempt,
                    BotEvent::LoginSucceeded { attempt, platform_pk, session, key_id, session_expires_at, at },
                ),
            BotCommand::RecordLoginFailure { attempt, reason, roll, at } => {
                self.record_login_failure(attempt, reason, roll, at)
            }
            BotCommand::RequireTwoFactor { attempt, at } => {
                self.record_login("RequireTwoFactor", attempt, BotEvent::TwoFactorRequired { attempt, at })
            }
            BotCommand::RaiseChallenge { kind, at } => self.raise_challenge(kind, at),
            BotCommand::ResolveChallenge { at } => self.resolve_challenge(at),
            BotCommand::RequestConnectionTest { at } => {
                self.while_logged_in("RequestConnectionTest", BotEvent::ConnectionTestRequested { at })
            }
            BotCommand::RecordConnectionVerified { at } => {
                self.while_logged_in("RecordConnectionVerified", BotEvent::ConnectionVerified { at })
            }
            BotCommand::RecordConnectionTestFailed { code, at } => {
                self.while_logged_in("RecordConnectionTestFailed", BotEvent::ConnectionTestFailed { code, at })
            }
            BotCommand::RecordSessionExpired { code, at } => {
                self.while_logged_in("RecordSessionExpired", BotEvent::SessionExpired { code, at })
            }
            BotCommand::AuthorizeAutomation { plan_hash, campaigns, mode, dry_run_waived, at } => {
                self.authorize(plan_hash, campaigns, mode, dry_run_waived, at)
            }
            BotCommand::EnableAutomation { enablement_id, confirmed, current, at } => {
                self.enable(enablement_id, &confirmed, &current, at)
            }
            BotCommand::PauseAutomation { reason, at } => self.pause(reason, at),
            BotCommand::ResumeAutomation { at } => self.resume(at),
            BotCommand::DisableAutomation { reason, at } => self.disable(reason, at),
            BotCommand::Logout { at } => self.logout(at),
            BotCommand::ChangeLimits { limits, at } => self.change_limits(limits, at),
            BotCommand::StartRun { run_id, campaign_id, enablement_id, targets, at } => {
                self.start_run(run_id, campaign_id, enablement_id, targets, at)
            }
            BotCommand::FinishRun { run_id, campaign_id, enablement_id, stopped_by, at } => {
                self.finish_run(run_id, campaign_id, enablement_id, stopped_by, at)
            }
            BotCommand::ReserveRequests { purpose, count, automated, at } => {
                self.reserve_requests(purpose, count, automated, at)
            }
            BotCommand::ReserveAction(reservation) => self.reserve_action(reservation),
            BotCommand::RecordAction { action_id, outcome, at } => self.record_action(action_id, outcome, at),
            BotCommand::ReconcileAction { action_id, settlement, evidence, at } => {
                self.reconcile_action(action_id, settlement, evidence, at)
            }
            BotCommand::ReportTrouble { class, code, kind, at } => self.report_trouble(class, code, kind, at),
            BotCommand::FailBot { reason, at } => Ok(vec![BotEvent::BotFailed { reason, at }]),
            BotCommand::RecoverBot { at } => self.recover(at),
        }
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        upcast::upcasters()
    }
}

impl Aggregate for Bot {
    const TYPE: &'static str = "Bot";
    type Command = BotCommand;
    type Event = BotEvent;
    type Error = BotError;
    type Services = ();

    async fn handle(&mut self, command: BotCommand, (): &(), sink: &EventSink<Self>) -> Result<(), BotError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: BotEvent) {
        match event {
            BotEvent::BotInitialized { bot_id, .. } => {
                self.id = Some(bot_id);
                self.state = BotState::LoggedOut;
            }
            BotEvent::LimitsChanged { limits, effective, raises_at, .. } => {
                self.limits = effective;
                self.raised_limits = (limits != self.limits).then_some((limits, raises_at));
            }
            BotEvent::BotFailed { reason, .. } => {
                self.leave_automation();
                self.error_reason = Some(reason);
                self.state = BotState::Error;
            }
            BotEvent::BotRecovered { .. } => {
                self.log_out();
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            event @ (BotEvent::AccountLinked { .. }
            | BotEvent::AccountUnlinked { .. }
            | BotEvent::LoginRequested { .. }
            | BotEvent::LoginSucceeded { .. }
            | BotEvent::LoginFailed { .. }
            | BotEvent::TwoFactorRequired { .. }
            | BotEvent::ChallengeRaised { .. }
            | BotEvent::ChallengeResolved { .. }
            | BotEvent::ConnectionTestRequested { .. }
            | BotEvent::ConnectionVerified { .. }
            | BotEvent::ConnectionTestFailed { .. }
            | BotEvent::SessionExpired { .. }
            | BotEvent::LoggedOut { .. }) => self.apply_login(event),
            event @ (BotEvent::AutomationAuthorized { .. }
            | BotEvent::AutomationEnabled { .. }
            | BotEvent::AutomationPaused { .. }
            | BotEvent::AutomationResumed { .. }
            | BotEvent::AutomationDisabled { .. }
            | BotEvent::RunStarted { .. }
            | BotEvent::RunFinished { .. }
            | BotEvent::DryRunFinished { .. }) => self.apply_automation(event),
            event => self.apply_action(event),
        }
    }
}

/// The fold, one noun each.
impl Bot {
    fn apply_login(&mut self, event: BotEvent) {
        match event {
            BotEvent::AccountLinked { account_id, username, zone, password, .. } => {
                let known = self.account.take().filter(|account| account.account_id == account_id);
                if known.is_none() {
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
                self.log_out();
                self.account = None;
                self.login = Login { attempt: self.login.attempt, ..Login::default() };
                self.dry_runs.clear();
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            BotEvent::LoginRequested { attempt, .. } => {
                self.login.attempt = attempt;
                self.state = BotState::LoggingIn;
            }
            BotEvent::LoginSucceeded { platform_pk, session, session_expires_at, .. } => {
                if let Some(account) = &mut self.account {
                    account.platform_pk = Some(platform_pk);
                }
                self.login.failures = 0;
                self.login.retry_not_before = None;
                self.login.two_factor_pending = false;
                self.login.session = Some(session);
                self.login.interrupted_session = None;
                self.login.session_expires_at = Some(session_expires_at);
                self.state = BotState::LoggedIn;
            }
            BotEvent::LoginFailed { reason, retry_not_before, .. } => {
                self.login.failures += 1;
                self.login.retry_not_before = Some(retry_not_before);
                self.login.two_factor_pending = reason == LoginFailureReason::WrongTwoFactorCode;
                if let Some(account) = &mut self.account {
                    account.password_rejected = reason == LoginFailureReason::WrongPassword;
                }
                self.state = BotState::LoggedOut;
            }
            BotEvent::TwoFactorRequired { .. } => {
                self.login.two_factor_pending = true;
                self.state = BotState::LoggedOut;
            }
            BotEvent::ChallengeRaised { kind, .. } => {
                let stays_error = matches!(self.state, BotState::Running | BotState::Paused | BotState::Error);
                let interrupted = self.login.session.or(self.login.interrupted_session);
                self.log_out();
                self.login.interrupted_session = interrupted;
                if stays_error {
                    self.error_reason = Some(format!("challenge: {kind}"));
                }
                self.login.challenge = Some(kind);
                self.state = if stays_error { BotState::Error } else { BotState::LoggedOut };
            }
            BotEvent::ChallengeResolved { .. } => {
                self.login.challenge = None;
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            BotEvent::ConnectionVerified { at } => self.login.verified_at = Some(at),
            BotEvent::SessionExpired { .. } | BotEvent::LoggedOut { .. } => {
                self.log_out();
                self.error_reason = None;
                self.state = BotState::LoggedOut;
            }
            _ => {}
        }
    }

    fn apply_automation(&mut self, event: BotEvent) {
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
                let unfinished = campaigns.into_iter().collect();
                self.enablement = Some(Enablement { enablement_id, plan_hash, mode, unfinished });
                self.state = BotState::Running;
            }
            BotEvent::AutomationPaused { .. } => self.state = BotState::Paused,
            BotEvent::AutomationResumed { .. } => self.state = BotState::Running,
            BotEvent::AutomationDisabled { .. } => {
                self.leave_automation();
                self.state = BotState::LoggedIn;
            }
            BotEvent::RunFinished { campaign_id, .. } => {
                if let Some(enablement) = &mut self.enablement {
                    enablement.unfinished.remove(&campaign_id);
                }
            }
            BotEvent::DryRunFinished { plan_hash, .. } => {
                self.dry_runs.insert(plan_hash);
            }
            _ => {}
        }
    }

    fn reserve(&mut self, mode: Mode, counter: Counter, at: DateTime<Utc>, count: u32) {
        self.reserved.entry((mode, counter)).or_default().add(at, count);
    }

    fn apply_action(&mut self, event: BotEvent) {
        match event {
            BotEvent::RequestsReserved { count, at, .. } => self.reserve(Mode::Live, Counter::Request, at, count),
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
                at,
                ..
            } => {
                self.reserve(mode, kind.into(), at, 1);
                self.reserve(Mode::Live, Counter::Request, at, requests);
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
            BotEvent::ActionKindBlocked { kind, until, halved_until, at, .. } => {
                let block = self.kind_blocks.entry(kind).or_insert(KindBlock {
                    strikes: Vec::new(),
                    until,
                    halved_until: None,
                });
                block.strikes.retain(|strike| *strike > at - super::consequences::STRIKE_MEMORY);
                block.strikes.push(at);
                block.until = until;
                block.halved_until = halved_until.or(block.halved_until);
            }
            BotEvent::SlowDownStarted { step, until, .. } => self.slow_down = Some(SlowDown { step, until }),
            BotEvent::ModuleStopped { kind, class, at, .. } => {
                self.stopped_modules.insert(kind);
                if class == super::FailureClass::Unknown {
                    self.note_unknown(at);
                }
            }
            BotEvent::UnknownFailureSeen { at, .. } => self.note_unknown(at),
            _ => {}
        }
    }

    fn note_unknown(&mut self, at: DateTime<Utc>) {
        self.unknown_failures.retain(|seen| *seen > at - super::consequences::UNKNOWN_MEMORY);
        self.unknown_failures.push(at);
    }
}
