//! The bot's state. The decisions are in the neighbours, one noun a file; the fold is in `fold`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::activity::{Activity, turned_at};
use super::command::BotCommand;
use super::error::BotError;
use super::event::BotEvent;
use super::limits::{Counter, Limits, Rules};
use super::state::{ActionKind, BotState, Mode};
use super::text::{LONGEST_CODE, LONGEST_REASON, cut};
use super::upcast;
use super::windows::Reserved;
use super::words::Words;
use crate::decide::Decide;
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;

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
    /// The session that a challenge or a failure interrupted; the next login tries it before the password.
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
    /// The campaigns of the plan; nothing else may act.
    pub campaigns: BTreeSet<CampaignId>,
    /// Campaigns no run of which has settled all of its targets yet.
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
    pub(super) activity: Activity,
    pub(super) account: Option<Account>,
    pub(super) login: Login,
    pub(super) authorization: Option<Authorization>,
    pub(super) enablement: Option<Enablement>,
    /// Plans whose dry run has finished, oldest first.
    pub(super) dry_runs: VecDeque<PlanHash>,
    pub(super) first_live_at: Option<DateTime<Utc>>,
    pub(super) limits: Limits,
    pub(super) raised_limits: Option<(Limits, DateTime<Utc>)>,
    #[serde(with = "pairs")]
    pub(super) reserved: BTreeMap<(Mode, Counter), Reserved>,
    pub(super) next_write_at: BTreeMap<Mode, DateTime<Utc>>,
    pub(super) open: Option<Reservation>,
    pub(super) words: Words,
    pub(super) in_doubt: BTreeMap<ActionId, Reservation>,
    pub(super) settled: VecDeque<ActionId>,
    pub(super) kind_blocks: BTreeMap<ActionKind, KindBlock>,
    pub(super) stopped_modules: BTreeSet<ActionKind>,
    pub(super) slow_down: Option<SlowDown>,
    pub(super) unknown_failures: Vec<DateTime<Utc>>,
    pub(super) error_reason: Option<String>,
    /// Other rules than the product's are for asking "what if", and are never stored.
    #[serde(skip)]
    pub(super) rules: Rules,
    /// The platform's keys of people who asked for no more contact.
    pub(super) stopped_contacts: BTreeSet<String>,
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
            activity: Activity::NEVER,
            account: None,
            login: Login::default(),
            authorization: None,
            enablement: None,
            dry_runs: VecDeque::new(),
            first_live_at: None,
            limits: Limits::default(),
            raised_limits: None,
            reserved: BTreeMap::new(),
            next_write_at: BTreeMap::new(),
            open: None,
            words: Words::default(),
            in_doubt: BTreeMap::new(),
            settled: VecDeque::new(),
            kind_blocks: BTreeMap::new(),
            stopped_modules: BTreeSet::new(),
            slow_down: None,
            unknown_failures: Vec::new(),
            error_reason: None,
            rules: Rules::default(),
            stopped_contacts: BTreeSet::new(),
        }
    }
}

/// What others may see.
impl Bot {
    /// The id, once initialized.
    #[must_use]
    pub const fn id(&self) -> Option<BotId> {
        self.id
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> BotState {
        self.state
    }

    /// The linked account.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The login and its session.
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

    /// When the account first acted for real; the warm-up counts from there.
    #[must_use]
    pub const fn first_live_at(&self) -> Option<DateTime<Utc>> {
        self.first_live_at
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
}

impl Decide for Bot {
    const SHAPE: u32 = 5;

    fn decide(&self, command: BotCommand) -> Result<Vec<BotEvent>, BotError> {
        match command {
            BotCommand::Initialize { bot_id, at } => self.initialize(bot_id, at),
            BotCommand::LinkAccount { account_id, username, zone, password, consent, at } => {
                self.link_account(account_id, username, zone, password, &consent, at)
            }
            BotCommand::UnlinkAccount { at } => self.unlink_account(at),
            BotCommand::RequestLogin { verification_code, at } => self.request_login(verification_code, at),
            BotCommand::RecordLoginSuccess { attempt, platform_pk, session, key_id, session_expires_at, at } => {
                self.record_login_success(attempt, platform_pk, session, key_id, session_expires_at, at)
            }
            BotCommand::RecordLoginFailure { attempt, reason, roll, at } => {
                self.record_login_failure(attempt, reason, roll, at)
            }
            BotCommand::RequireTwoFactor { attempt, at } => self.require_two_factor(attempt, at),
            BotCommand::RaiseChallenge { kind, at } => self.raise_challenge(kind, at),
            BotCommand::ResolveChallenge { at } => self.resolve_challenge(at),
            BotCommand::RequestConnectionTest { at } => {
                self.while_logged_in("RequestConnectionTest", BotEvent::ConnectionTestRequested { at })
            }
            BotCommand::RecordConnectionVerified { at } => {
                self.while_logged_in("RecordConnectionVerified", BotEvent::ConnectionVerified { at })
            }
            BotCommand::RecordConnectionTestFailed { code, at } => {
                let code = cut(code, LONGEST_CODE);
                self.while_logged_in("RecordConnectionTestFailed", BotEvent::ConnectionTestFailed { code, at })
            }
            BotCommand::RecordSessionExpired { code, at } => {
                let code = cut(code, LONGEST_CODE);
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
            BotCommand::StopContact { person, reason, at } => self.stop_contact(person, reason, at),
            BotCommand::FailBot { reason, at } => {
                Ok(vec![BotEvent::BotFailed { reason: cut(reason, LONGEST_REASON), at }])
            }
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
        let at = turned_at(&event);
        self.fold(event);
        self.activity.turn(self.state, at);
    }
}
