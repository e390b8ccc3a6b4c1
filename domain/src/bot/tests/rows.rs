//! The state machine's table, written once as data.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::story::{self, Story, action, campaign, enablement, record, run};
use crate::bot::BotState::{Error, LoggedIn, LoggedOut, LoggingIn, NotInitialized, Paused, Running};
use crate::bot::{
    ActionKind, BotCommand, BotState, FailureClass, Limits, LoginFailureReason, Mode, Outcome, Settlement,
};

/// What else is true of a bot in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing that a row needs.
    Nothing,
    /// A challenge locks the login.
    Locked,
    /// An action of a live run is reserved.
    Open,
    /// An action of a dry run is reserved.
    OpenDry,
    /// The outcome of an action is not known.
    InDoubt,
}

pub const GIVENS: [Given; 5] = [Given::Nothing, Given::Locked, Given::Open, Given::OpenDry, Given::InDoubt];

/// Where an event leads.
#[derive(Debug, Clone, Copy)]
pub enum To {
    Same,
    State(BotState),
    /// `ERROR` where automation was on or the bot was in `ERROR`, else `LOGGED_OUT`.
    Stopped,
}

pub struct Row {
    pub command: &'static str,
    /// Which of the command's forms, where it has more than one.
    pub form: &'static str,
    pub build: fn(&Story) -> BotCommand,
    pub given: Given,
    pub from: &'static [BotState],
    pub events: &'static [&'static str],
    pub to: To,
}

pub const ANY: &[BotState] = BotState::ALL;
pub const INITIALIZED: &[BotState] = &[LoggedOut, LoggingIn, LoggedIn, Running, Paused, Error];
const WITH_SESSION: &[BotState] = &[LoggedIn, Running, Paused];

fn at(story: &Story) -> DateTime<Utc> {
    story.now
}

fn attempt(story: &Story) -> u32 {
    story.bot.login().attempt
}

fn outcome(story: &Story, outcome: Outcome) -> BotCommand {
    record(1, outcome, at(story))
}

fn said_no() -> (FailureClass, String) {
    (FailureClass::SkipTarget, "MEDIA_NOT_FOUND".to_owned())
}

const fn row(
    command: &'static str,
    build: fn(&Story) -> BotCommand,
    from: &'static [BotState],
    events: &'static [&'static str],
    to: To,
) -> Row {
    Row { command, form: "", build, given: Given::Nothing, from, events, to }
}

impl Row {
    const fn given(self, given: Given) -> Self {
        Self { given, ..self }
    }

    const fn form(self, form: &'static str) -> Self {
        Self { form, ..self }
    }
}

fn account_rows() -> Vec<Row> {
    vec![
        row(
            "Initialize",
            |story| BotCommand::Initialize { bot_id: story::bot_id(), at: at(story) },
            &[NotInitialized],
            &["BotInitialized"],
            To::State(LoggedOut),
        ),
        row(
            "LinkAccount",
            |story| story::link("mara", Tz::UTC, at(story)),
            &[LoggedOut, Error],
            &["AccountLinked"],
            To::State(LoggedOut),
        ),
        row(
            "UnlinkAccount",
            |story| BotCommand::UnlinkAccount { at: at(story) },
            &[LoggedOut, Error],
            &["AccountUnlinked"],
            To::State(LoggedOut),
        ),
    ]
}

fn login_rows() -> Vec<Row> {
    vec![
        row("RequestLogin", |story| story::login(at(story)), &[LoggedOut], &["LoginRequested"], To::State(LoggingIn)),
        row(
            "RecordLoginSuccess",
            |story| story::login_success(attempt(story), at(story)),
            &[LoggingIn],
            &["LoginSucceeded"],
            To::State(LoggedIn),
        ),
        row(
            "RecordLoginFailure",
            |story| BotCommand::RecordLoginFailure {
                attempt: attempt(story),
                reason: LoginFailureReason::GatewayUnavailable,
                roll: 0.5,
                at: at(story),
            },
            &[LoggingIn],
            &["LoginFailed"],
            To::State(LoggedOut),
        ),
        row(
            "RequireTwoFactor",
            |story| BotCommand::RequireTwoFactor { attempt: attempt(story), at: at(story) },
            &[LoggingIn],
            &["TwoFactorRequired"],
            To::State(LoggedOut),
        ),
        row("RaiseChallenge", |story| story::challenge(at(story)), INITIALIZED, &["ChallengeRaised"], To::Stopped),
        row(
            "ResolveChallenge",
            |story| BotCommand::ResolveChallenge { at: at(story) },
            &[LoggedOut, Error],
            &["ChallengeResolved"],
            To::State(LoggedOut),
        )
        .given(Given::Locked),
    ]
}

fn session_rows() -> Vec<Row> {
    vec![
        row(
            "RequestConnectionTest",
            |story| BotCommand::RequestConnectionTest { at: at(story) },
            WITH_SESSION,
            &["ConnectionTestRequested"],
            To::Same,
        ),
        row(
            "RecordConnectionVerified",
            |story| BotCommand::RecordConnectionVerified { at: at(story) },
            WITH_SESSION,
            &["ConnectionVerified"],
            To::Same,
        ),
        row(
            "RecordConnectionTestFailed",
            |story| BotCommand::RecordConnectionTestFailed { code: "PLATFORM_NO_ANSWER".to_owned(), at: at(story) },
            WITH_SESSION,
            &["ConnectionTestFailed"],
            To::Same,
        ),
        row(
            "RecordSessionExpired",
            |story| BotCommand::RecordSessionExpired { code: "LOGIN_REQUIRED".to_owned(), at: at(story) },
            WITH_SESSION,
            &["SessionExpired"],
            To::State(LoggedOut),
        ),
        row(
            "Logout",
            |story| story::logout(at(story)),
            &[LoggedIn, Running, Paused, Error],
            &["LoggedOut"],
            To::State(LoggedOut),
        ),
    ]
}

fn automation_rows() -> Vec<Row> {
    vec![
        row(
            "AuthorizeAutomation",
            |story| story::authorize(Mode::Live, at(story)),
            &[LoggedIn],
            &["AutomationAuthorized"],
            To::Same,
        ),
        row(
            "EnableAutomation",
            |story| story::enable(at(story)),
            &[LoggedIn],
            &["AutomationEnabled"],
            To::State(Running),
        ),
        row("PauseAutomation", |story| story::pause(at(story)), &[Running], &["AutomationPaused"], To::State(Paused)),
        row(
            "ResumeAutomation",
            |story| BotCommand::ResumeAutomation { at: at(story) },
            &[Paused],
            &["AutomationResumed"],
            To::State(Running),
        ),
        row(
            "DisableAutomation",
            |story| story::disable(at(story)),
            &[Running, Paused],
            &["AutomationDisabled"],
            To::State(LoggedIn),
        ),
    ]
}

fn run_rows() -> Vec<Row> {
    vec![
        row(
            "StartRun",
            |story| BotCommand::StartRun {
                run_id: run(),
                campaign_id: campaign(),
                enablement_id: enablement(),
                targets: 3,
                at: at(story),
            },
            &[Running],
            &["RunStarted"],
            To::Same,
        ),
        row(
            "FinishRun",
            |story| BotCommand::FinishRun {
                run_id: run(),
                campaign_id: campaign(),
                enablement_id: enablement(),
                stopped_by: None,
                at: at(story),
            },
            &[Running],
            &["RunFinished"],
            To::Same,
        ),
        row(
            "ChangeLimits",
            |story| BotCommand::ChangeLimits { limits: Limits::default(), at: at(story) },
            ANY,
            &["LimitsChanged"],
            To::Same,
        ),
        row(
            "StopContact",
            |story| BotCommand::StopContact { person: "42".to_owned(), reason: "stop".to_owned(), at: at(story) },
            INITIALIZED,
            &["ContactStopped"],
            To::Same,
        ),
        row("FailBot", |story| story::fail(at(story)), ANY, &["BotFailed"], To::State(Error)),
        row(
            "RecoverBot",
            |story| BotCommand::RecoverBot { at: at(story) },
            &[Error],
            &["BotRecovered"],
            To::State(LoggedOut),
        ),
    ]
}

fn reserve_rows() -> Vec<Row> {
    vec![
        row(
            "ReserveRequests",
            |story| BotCommand::ReserveRequests {
                purpose: "hashtag".to_owned(),
                count: 1,
                automated: true,
                at: at(story),
            },
            &[LoggingIn, LoggedIn, Running, Paused],
            &["RequestsReserved"],
            To::Same,
        ),
        row(
            "ReserveAction",
            |story| story::reserve(1, ActionKind::Like, at(story)),
            &[Running],
            &["ActionReserved"],
            To::Same,
        ),
    ]
}

fn record_rows() -> Vec<Row> {
    vec![
        row("RecordAction", |story| outcome(story, story::performed()), INITIALIZED, &["ActionPerformed"], To::Same)
            .given(Given::Open)
            .form("performed"),
        row("RecordAction", |story| outcome(story, Outcome::Simulated), INITIALIZED, &["ActionSimulated"], To::Same)
            .given(Given::OpenDry)
            .form("simulated"),
        row(
            "RecordAction",
            |story| {
                let (class, code) = said_no();
                outcome(story, Outcome::Refused { class, code })
            },
            INITIALIZED,
            &["ActionRefused"],
            To::Same,
        )
        .given(Given::Open)
        .form("refused"),
        row(
            "RecordAction",
            |story| {
                let (class, code) = said_no();
                outcome(story, Outcome::Failed { class, code })
            },
            INITIALIZED,
            &["ActionFailed"],
            To::Same,
        )
        .given(Given::Open)
        .form("failed"),
        row("RecordAction", |story| outcome(story, story::in_doubt()), INITIALIZED, &["ActionInDoubt"], To::Same)
            .given(Given::Open)
            .form("in doubt"),
        row(
            "ReconcileAction",
            |story| BotCommand::ReconcileAction {
                action_id: action(1),
                settlement: Settlement::Performed,
                evidence: "liked".to_owned(),
                at: at(story),
            },
            INITIALIZED,
            &["ActionReconciled"],
            To::Same,
        )
        .given(Given::InDoubt),
        row(
            "ReportTrouble",
            |story| BotCommand::ReportTrouble {
                class: FailureClass::SlowDown,
                code: "PLEASE_WAIT".to_owned(),
                kind: None,
                at: at(story),
            },
            WITH_SESSION,
            &["SlowDownStarted"],
            To::Same,
        ),
    ]
}

/// Every command, each form of it once.
pub fn rows() -> Vec<Row> {
    [account_rows, login_rows, session_rows, automation_rows, run_rows, reserve_rows, record_rows]
        .into_iter()
        .flat_map(|rows| rows())
        .collect()
}
