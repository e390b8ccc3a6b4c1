//! Facts about one bot. Names are stored: a variant is added, never renamed.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::failure::FailureClass;
use super::limits::{Counter, Limits};
use super::state::{ActionKind, LoginFailureReason, Mode, Settlement, SuppressReason, Window};
use super::words::WordsId;
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;
use crate::variants::variants;

/// Facts about one bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum BotEvent {
    BotInitialized {
        bot_id: BotId,
        at: DateTime<Utc>,
    },
    /// `password` names the sealed secret; it is never here.
    AccountLinked {
        account_id: AccountId,
        username: String,
        zone: Tz,
        password: SecretId,
        at: DateTime<Utc>,
    },
    AccountUnlinked {
        account_id: AccountId,
        at: DateTime<Utc>,
    },
    LoginRequested {
        attempt: u32,
        password: SecretId,
        verification_code: Option<SecretId>,
        at: DateTime<Utc>,
    },
    LoginSucceeded {
        attempt: u32,
        /// The platform's own key of the account.
        platform_pk: String,
        session: SecretId,
        key_id: String,
        session_expires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    LoginFailed {
        attempt: u32,
        reason: LoginFailureReason,
        retry_not_before: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    TwoFactorRequired {
        attempt: u32,
        at: DateTime<Utc>,
    },
    ChallengeRaised {
        kind: String,
        at: DateTime<Utc>,
    },
    ChallengeResolved {
        at: DateTime<Utc>,
    },
    ConnectionTestRequested {
        at: DateTime<Utc>,
    },
    ConnectionVerified {
        at: DateTime<Utc>,
    },
    /// The test found no answer; says nothing about the session.
    ConnectionTestFailed {
        code: String,
        at: DateTime<Utc>,
    },
    SessionExpired {
        code: String,
        at: DateTime<Utc>,
    },
    AutomationAuthorized {
        plan_hash: PlanHash,
        campaigns: Vec<CampaignId>,
        limits: Limits,
        mode: Mode,
        at: DateTime<Utc>,
    },
    AutomationEnabled {
        enablement_id: EnablementId,
        plan_hash: PlanHash,
        campaigns: Vec<CampaignId>,
        mode: Mode,
        at: DateTime<Utc>,
    },
    AutomationPaused {
        reason: String,
        at: DateTime<Utc>,
    },
    AutomationResumed {
        at: DateTime<Utc>,
    },
    AutomationDisabled {
        reason: String,
        at: DateTime<Utc>,
    },
    LoggedOut {
        at: DateTime<Utc>,
    },
    /// `effective` holds at once; the raised parts of `limits` from `raises_at`.
    LimitsChanged {
        limits: Limits,
        effective: Limits,
        raises_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    RunStarted {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        mode: Mode,
        targets: u32,
        at: DateTime<Utc>,
    },
    RunFinished {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        mode: Mode,
        /// Why it ended early; `None` when every target was settled.
        stopped_by: Option<String>,
        at: DateTime<Utc>,
    },
    /// Every campaign of the plan has run dry; the plan may go live.
    DryRunFinished {
        plan_hash: PlanHash,
        at: DateTime<Utc>,
    },
    /// Calls of the gateway that read; `automated` ones are inside the limit.
    RequestsReserved {
        purpose: String,
        count: u32,
        automated: bool,
        at: DateTime<Utc>,
    },
    RequestsSuppressed {
        purpose: String,
        count: u32,
        reason: SuppressReason,
        window: Option<Window>,
        frees_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    ActionReserved {
        action_id: ActionId,
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        kind: ActionKind,
        target: String,
        mode: Mode,
        /// Gateway calls that it may cost.
        requests: u32,
        /// The account's local day.
        local_day: NaiveDate,
        /// No other write of the account before.
        next_write_at: DateTime<Utc>,
        /// Of what is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<WordsId>,
        at: DateTime<Utc>,
    },
    ActionSuppressed {
        action_id: ActionId,
        run_id: RunId,
        campaign_id: CampaignId,
        kind: ActionKind,
        target: String,
        mode: Mode,
        reason: SuppressReason,
        counter: Option<Counter>,
        window: Option<Window>,
        frees_at: Option<DateTime<Utc>>,
        local_day: NaiveDate,
        at: DateTime<Utc>,
    },
    ActionPerformed {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        /// How we know: the platform's answer, or a read after it.
        evidence: String,
        at: DateTime<Utc>,
    },
    ActionSimulated {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        at: DateTime<Utc>,
    },
    ActionRefused {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        class: FailureClass,
        code: String,
        at: DateTime<Utc>,
    },
    ActionFailed {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        class: FailureClass,
        code: String,
        at: DateTime<Utc>,
    },
    ActionInDoubt {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        code: String,
        /// What a read of the platform showed.
        evidence: String,
        at: DateTime<Utc>,
    },
    ActionReconciled {
        action_id: ActionId,
        kind: ActionKind,
        local_day: NaiveDate,
        settlement: Settlement,
        evidence: String,
        at: DateTime<Utc>,
    },
    ActionKindBlocked {
        kind: ActionKind,
        strike: u32,
        until: DateTime<Utc>,
        /// Until when this kind's limits are halved.
        halved_until: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    SlowDownStarted {
        step: u32,
        until: DateTime<Utc>,
        code: String,
        at: DateTime<Utc>,
    },
    ModuleStopped {
        kind: ActionKind,
        class: FailureClass,
        code: String,
        at: DateTime<Utc>,
    },
    /// An answer that we do not understand and that no action led to.
    UnknownFailureSeen {
        code: String,
        at: DateTime<Utc>,
    },
    /// Somebody asked for no more contact; it holds for every campaign and for ever.
    ContactStopped {
        /// The platform's key of the person.
        person: String,
        /// The word that said so.
        reason: String,
        at: DateTime<Utc>,
    },
    BotFailed {
        reason: String,
        at: DateTime<Utc>,
    },
    BotRecovered {
        at: DateTime<Utc>,
    },
}

variants!(
    BotEvent,
    " The stored name.",
    [
        BotInitialized,
        AccountLinked,
        AccountUnlinked,
        LoginRequested,
        LoginSucceeded,
        LoginFailed,
        TwoFactorRequired,
        ChallengeRaised,
        ChallengeResolved,
        ConnectionTestRequested,
        ConnectionVerified,
        ConnectionTestFailed,
        SessionExpired,
        AutomationAuthorized,
        AutomationEnabled,
        AutomationPaused,
        AutomationResumed,
        AutomationDisabled,
        LoggedOut,
        LimitsChanged,
        RunStarted,
        RunFinished,
        DryRunFinished,
        RequestsReserved,
        RequestsSuppressed,
        ActionReserved,
        ActionSuppressed,
        ActionPerformed,
        ActionSimulated,
        ActionRefused,
        ActionFailed,
        ActionInDoubt,
        ActionReconciled,
        ActionKindBlocked,
        SlowDownStarted,
        ModuleStopped,
        UnknownFailureSeen,
        ContactStopped,
        BotFailed,
        BotRecovered,
    ]
);

impl DomainEvent for BotEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
