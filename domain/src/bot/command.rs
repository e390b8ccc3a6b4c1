//! What may be asked of a bot. Instants, ids and random rolls come in with the command.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::failure::FailureClass;
use super::limits::Limits;
use super::state::{ActionKind, LoginFailureReason, Mode, Settlement};
use super::words::WordsId;
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;
use crate::variants::variants;

/// What may be asked of a bot.
#[derive(Debug, Clone, PartialEq)]
pub enum BotCommand {
    /// Gives a new user its bot.
    Initialize { bot_id: BotId, at: DateTime<Utc> },
    /// `consent` is the person's typed `yes` to the risk of a private interface.
    LinkAccount {
        account_id: AccountId,
        username: String,
        zone: Tz,
        password: SecretId,
        consent: String,
        at: DateTime<Utc>,
    },
    /// Forgets the account; an action that is still open becomes one in doubt.
    UnlinkAccount { at: DateTime<Utc> },
    /// `verification_code` names the sealed two-factor code, if there is one.
    RequestLogin { verification_code: Option<SecretId>, at: DateTime<Utc> },
    /// A `platform_pk` other than the account's known one is a login to the wrong account: it fails.
    RecordLoginSuccess {
        attempt: u32,
        platform_pk: String,
        session: SecretId,
        key_id: String,
        session_expires_at: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    /// `roll` in `[0, 1)` is the jitter of the wait.
    RecordLoginFailure { attempt: u32, reason: LoginFailureReason, roll: f64, at: DateTime<Utc> },
    /// The platform wants a code; the next login carries it and need not wait.
    RequireTwoFactor { attempt: u32, at: DateTime<Utc> },
    /// Locks login until a person says that it is settled in Instagram's own app.
    RaiseChallenge { kind: String, at: DateTime<Utc> },
    /// The person says that it is settled.
    ResolveChallenge { at: DateTime<Utc> },
    /// Asks a worker to try the session; changes nothing by itself.
    RequestConnectionTest { at: DateTime<Utc> },
    /// The session works.
    RecordConnectionVerified { at: DateTime<Utc> },
    /// The test found no answer; says nothing about the session.
    RecordConnectionTestFailed { code: String, at: DateTime<Utc> },
    /// The platform ended the session.
    RecordSessionExpired { code: String, at: DateTime<Utc> },
    /// Step 1 of 2. `dry_run_waived` is the operator's setting.
    AuthorizeAutomation {
        plan_hash: PlanHash,
        campaigns: Vec<CampaignId>,
        mode: Mode,
        dry_run_waived: bool,
        at: DateTime<Utc>,
    },
    /// Step 2 of 2. `confirmed` is what the person saw, `current` what the plan is now.
    EnableAutomation { enablement_id: EnablementId, confirmed: PlanHash, current: PlanHash, at: DateTime<Utc> },
    /// Stops acting until it is resumed.
    PauseAutomation { reason: String, at: DateTime<Utc> },
    /// Acts again under the same enablement.
    ResumeAutomation { at: DateTime<Utc> },
    /// Ends the enablement; acting again needs both steps.
    DisableAutomation { reason: String, at: DateTime<Utc> },
    /// Forgets the session.
    Logout { at: DateTime<Utc> },
    /// What is lowered holds at once, what is raised from the account's next day on.
    ChangeLimits { limits: Limits, at: DateTime<Utc> },
    /// A campaign of the plan begins to act.
    StartRun { run_id: RunId, campaign_id: CampaignId, enablement_id: EnablementId, targets: u32, at: DateTime<Utc> },
    /// It ended; with `stopped_by` before every target was settled.
    FinishRun {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        stopped_by: Option<String>,
        at: DateTime<Utc>,
    },
    /// `automated` calls are refused past the limit; a person's are only counted.
    ReserveRequests { purpose: String, count: u32, automated: bool, at: DateTime<Utc> },
    /// Must be durable before the platform is called.
    ReserveAction(NewReservation),
    /// How the open action ended; taken in every state, as what was done is a fact.
    RecordAction { action_id: ActionId, outcome: Outcome, at: DateTime<Utc> },
    /// Settles an action in doubt, by a read of the platform or by a person.
    ReconcileAction { action_id: ActionId, settlement: Settlement, evidence: String, at: DateTime<Utc> },
    /// A failure that no reservation led to, such as that of a read.
    ReportTrouble { class: FailureClass, code: String, kind: Option<ActionKind>, at: DateTime<Utc> },
    /// Somebody asked for no more contact. Saying so again changes nothing.
    StopContact { person: String, reason: String, at: DateTime<Utc> },
    /// Stops everything until a person recovers the bot.
    FailBot { reason: String, at: DateTime<Utc> },
    /// The person has looked into it.
    RecoverBot { at: DateTime<Utc> },
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
    /// Of what is said, if it says something.
    pub words: Option<WordsId>,
    /// In `[0, 1)`: where between the least and the most pause the next write may come.
    pub roll: f64,
    pub at: DateTime<Utc>,
}

/// How a reserved action ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It took effect.
    Performed { evidence: String },
    /// A dry run showed what it would have done.
    Simulated,
    /// The platform said no.
    Refused { class: FailureClass, code: String },
    /// It surely had no effect, through no word of the platform.
    Failed { class: FailureClass, code: String },
    /// Whether it had an effect is not known.
    InDoubt { code: String, evidence: String },
}

variants!(
    BotCommand,
    " The name that refusals and logs show.",
    [
        Initialize,
        LinkAccount,
        UnlinkAccount,
        RequestLogin,
        RecordLoginSuccess,
        RecordLoginFailure,
        RequireTwoFactor,
        RaiseChallenge,
        ResolveChallenge,
        RequestConnectionTest,
        RecordConnectionVerified,
        RecordConnectionTestFailed,
        RecordSessionExpired,
        AuthorizeAutomation,
        EnableAutomation,
        PauseAutomation,
        ResumeAutomation,
        DisableAutomation,
        Logout,
        ChangeLimits,
        StartRun,
        FinishRun,
        ReserveRequests,
        ReserveAction,
        RecordAction,
        ReconcileAction,
        ReportTrouble,
        StopContact,
        FailBot,
        RecoverBot,
    ]
);
