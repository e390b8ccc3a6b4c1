//! What may be asked of a bot. Instants, ids and random rolls come in with the command.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::failure::FailureClass;
use super::limits::Limits;
use super::state::{ActionKind, LoginFailureReason, Mode, Settlement};
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;

/// What may be asked of a bot.
#[derive(Debug, Clone, PartialEq)]
pub enum BotCommand {
    Initialize {
        bot_id: BotId,
        at: DateTime<Utc>,
    },
    /// `consent` is the person's typed `yes` to the risk of a private interface.
    LinkAccount {
        account_id: AccountId,
        username: String,
        zone: Tz,
        password: SecretId,
        consent: String,
        at: DateTime<Utc>,
    },
    UnlinkAccount {
        at: DateTime<Utc>,
    },
    RequestLogin {
        verification_code: Option<SecretId>,
        at: DateTime<Utc>,
    },
    RecordLoginSuccess {
        attempt: u32,
        platform_pk: String,
        session: SecretId,
        key_id: String,
        session_expires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    /// `roll` in `[0, 1)` is the jitter of the wait.
    RecordLoginFailure {
        attempt: u32,
        reason: LoginFailureReason,
        roll: f64,
        at: DateTime<Utc>,
    },
    RequireTwoFactor {
        attempt: u32,
        at: DateTime<Utc>,
    },
    RaiseChallenge {
        kind: String,
        at: DateTime<Utc>,
    },
    ResolveChallenge {
        at: DateTime<Utc>,
    },
    RequestConnectionTest {
        at: DateTime<Utc>,
    },
    RecordConnectionVerified {
        at: DateTime<Utc>,
    },
    RecordConnectionTestFailed {
        code: String,
        at: DateTime<Utc>,
    },
    RecordSessionExpired {
        code: String,
        at: DateTime<Utc>,
    },
    /// Step 1 of 2. `dry_run_waived` is the operator's setting.
    AuthorizeAutomation {
        plan_hash: PlanHash,
        campaigns: Vec<CampaignId>,
        mode: Mode,
        dry_run_waived: bool,
        at: DateTime<Utc>,
    },
    /// Step 2 of 2. `confirmed` is what the person saw, `current` what the plan is now.
    EnableAutomation {
        enablement_id: EnablementId,
        confirmed: PlanHash,
        current: PlanHash,
        at: DateTime<Utc>,
    },
    PauseAutomation {
        reason: String,
        at: DateTime<Utc>,
    },
    ResumeAutomation {
        at: DateTime<Utc>,
    },
    DisableAutomation {
        reason: String,
        at: DateTime<Utc>,
    },
    Logout {
        at: DateTime<Utc>,
    },
    ChangeLimits {
        limits: Limits,
        at: DateTime<Utc>,
    },
    StartRun {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        targets: u32,
        at: DateTime<Utc>,
    },
    FinishRun {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        stopped_by: Option<String>,
        at: DateTime<Utc>,
    },
    /// `automated` calls are refused past the limit; a person's are only counted.
    ReserveRequests {
        purpose: String,
        count: u32,
        automated: bool,
        at: DateTime<Utc>,
    },
    ReserveAction(NewReservation),
    RecordAction {
        action_id: ActionId,
        outcome: Outcome,
        at: DateTime<Utc>,
    },
    /// Settles an action in doubt, by a read of the platform or by a person.
    ReconcileAction {
        action_id: ActionId,
        settlement: Settlement,
        evidence: String,
        at: DateTime<Utc>,
    },
    /// A failure that no reservation led to, such as that of a read.
    ReportTrouble {
        class: FailureClass,
        code: String,
        kind: Option<ActionKind>,
        at: DateTime<Utc>,
    },
    FailBot {
        reason: String,
        at: DateTime<Utc>,
    },
    RecoverBot {
        at: DateTime<Utc>,
    },
}

/// An action that is about to be performed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReservation {
    pub action_id: ActionId,
    pub run_id: RunId,
    pub campaign_id: CampaignId,
    /// Must be the running one.
    pub enablement_id: EnablementId,
    pub kind: ActionKind,
    /// The platform's key of what is acted on.
    pub target: String,
    /// Gateway calls that it may cost.
    pub requests: u32,
    /// In `[0, 1)`: where between the least and the most pause the next write may come.
    pub roll: f64,
    pub at: DateTime<Utc>,
}

/// How a reserved action ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Performed {
        evidence: String,
    },
    Simulated,
    /// The platform said no.
    Refused {
        class: FailureClass,
        code: String,
    },
    /// It surely had no effect, through no word of the platform.
    Failed {
        class: FailureClass,
        code: String,
    },
    /// Whether it had an effect is not known.
    InDoubt {
        code: String,
        evidence: String,
    },
}

impl BotCommand {
    /// The name that refusals and logs show.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Initialize { .. } => "Initialize",
            Self::LinkAccount { .. } => "LinkAccount",
            Self::UnlinkAccount { .. } => "UnlinkAccount",
            Self::RequestLogin { .. } => "RequestLogin",
            Self::RecordLoginSuccess { .. } => "RecordLoginSuccess",
            Self::RecordLoginFailure { .. } => "RecordLoginFailure",
            Self::RequireTwoFactor { .. } => "RequireTwoFactor",
            Self::RaiseChallenge { .. } => "RaiseChallenge",
            Self::ResolveChallenge { .. } => "ResolveChallenge",
            Self::RequestConnectionTest { .. } => "RequestConnectionTest",
            Self::RecordConnectionVerified { .. } => "RecordConnectionVerified",
            Self::RecordConnectionTestFailed { .. } => "RecordConnectionTestFailed",
            Self::RecordSessionExpired { .. } => "RecordSessionExpired",
            Self::AuthorizeAutomation { .. } => "AuthorizeAutomation",
            Self::EnableAutomation { .. } => "EnableAutomation",
            Self::PauseAutomation { .. } => "PauseAutomation",
            Self::ResumeAutomation { .. } => "ResumeAutomation",
            Self::DisableAutomation { .. } => "DisableAutomation",
            Self::Logout { .. } => "Logout",
            Self::ChangeLimits { .. } => "ChangeLimits",
            Self::StartRun { .. } => "StartRun",
            Self::FinishRun { .. } => "FinishRun",
            Self::ReserveRequests { .. } => "ReserveRequests",
            Self::ReserveAction(_) => "ReserveAction",
            Self::RecordAction { .. } => "RecordAction",
            Self::ReconcileAction { .. } => "ReconcileAction",
            Self::ReportTrouble { .. } => "ReportTrouble",
            Self::FailBot { .. } => "FailBot",
            Self::RecoverBot { .. } => "RecoverBot",
        }
    }
}
