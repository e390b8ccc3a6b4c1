//! Histories of a bot, told by commands: what a test is given.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use cqrs_es::Aggregate;
use cqrs_es::test::{AggregateResultValidator, TestFramework};
use uuid::Uuid;

use crate::bot::{
    ActionKind, Activity, Bot, BotCommand, BotError, BotEvent, BotState, Limits, Mode, NewReservation, Outcome,
};
use crate::decide::Decide;
use crate::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId};
use crate::plan::PlanHash;

/// A Monday, in the middle of the working hours.
pub fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
}

pub fn bot_id() -> BotId {
    BotId::from_uuid(Uuid::from_u128(1))
}

pub fn account_id() -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(2))
}

pub fn password() -> SecretId {
    SecretId::from_uuid(Uuid::from_u128(3))
}

pub fn session() -> SecretId {
    SecretId::from_uuid(Uuid::from_u128(4))
}

pub fn verification_code() -> SecretId {
    SecretId::from_uuid(Uuid::from_u128(5))
}

pub fn campaign() -> CampaignId {
    CampaignId::from_uuid(Uuid::from_u128(6))
}

pub fn other_campaign() -> CampaignId {
    CampaignId::from_uuid(Uuid::from_u128(7))
}

pub fn enablement() -> EnablementId {
    EnablementId::from_uuid(Uuid::from_u128(8))
}

pub fn run() -> RunId {
    RunId::from_uuid(Uuid::from_u128(9))
}

pub fn action(number: u128) -> ActionId {
    ActionId::from_uuid(Uuid::from_u128(1_000 + number))
}

pub fn plan(letter: char) -> PlanHash {
    letter.to_string().repeat(64).parse().unwrap()
}

/// A bot with the history that made it.
#[derive(Debug, Clone)]
pub struct Story {
    pub bot: Bot,
    pub events: Vec<BotEvent>,
    pub now: DateTime<Utc>,
}

impl Story {
    pub fn new() -> Self {
        Self { bot: Bot::default(), events: Vec::new(), now: start() }
    }

    /// Lets time pass.
    pub fn later(mut self, time: TimeDelta) -> Self {
        self.now += time;
        self
    }

    pub fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = now;
        self
    }

    /// The bot accepts what `command` makes of the present instant.
    pub fn does(mut self, command: impl FnOnce(DateTime<Utc>) -> BotCommand) -> Self {
        let command = command(self.now);
        let name = command.name();
        let events = self.bot.decide(command).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        for event in events {
            self.bot.apply(event.clone());
            self.events.push(event);
        }
        self
    }

    /// What cqrs-es's own framework answers to `command` after this history.
    pub fn when(&self, command: BotCommand) -> AggregateResultValidator<Bot> {
        TestFramework::<Bot>::with(()).given(self.events.clone()).when(command)
    }

    pub fn refuses(&self, command: BotCommand, error: BotError) {
        self.when(command).then_expect_error(error);
    }

    pub fn initialized() -> Self {
        Self::new().does(|at| BotCommand::Initialize { bot_id: bot_id(), at })
    }

    pub fn linked() -> Self {
        Self::initialized().does(|at| link("mara", Tz::UTC, at))
    }

    pub fn logging_in() -> Self {
        Self::linked().does(login)
    }

    pub fn logged_in() -> Self {
        Self::logging_in().logs_in()
    }

    /// The worker reports success of the attempt that is under way.
    pub fn logs_in(self) -> Self {
        let attempt = self.bot.login().attempt;
        self.does(|at| login_success(attempt, at))
    }

    /// Logged in, connection verified and a plan of one campaign authorized.
    pub fn authorized(mode: Mode) -> Self {
        Self::logged_in().verified().authorizes(mode)
    }

    pub fn verified(self) -> Self {
        self.does(|at| BotCommand::RecordConnectionVerified { at })
    }

    pub fn authorizes(self, mode: Mode) -> Self {
        self.does(|at| authorize(mode, at))
    }

    pub fn running(mode: Mode) -> Self {
        Self::authorized(mode).does(enable)
    }

    /// Running for real, and warmed up.
    pub fn warmed_up() -> Self {
        Self::running(Mode::Live).later(TimeDelta::days(7))
    }

    /// Running, with an action that is reserved.
    pub fn acting(mode: Mode) -> Self {
        Self::running(mode).does(|at| reserve(1, ActionKind::Like, at))
    }

    /// Running, with an action whose outcome is not known.
    pub fn in_doubt() -> Self {
        Self::acting(Mode::Live).does(|at| record(1, in_doubt(), at))
    }

    pub fn limited(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        self.does(|at| BotCommand::ChangeLimits { limits, at })
    }

    pub fn activity(&self) -> Activity {
        self.bot.activity()
    }

    pub fn state(&self) -> BotState {
        self.bot.state()
    }
}

pub fn link(username: &str, zone: Tz, at: DateTime<Utc>) -> BotCommand {
    BotCommand::LinkAccount {
        account_id: account_id(),
        username: username.to_owned(),
        zone,
        password: password(),
        consent: "yes".to_owned(),
        at,
    }
}

pub fn login(at: DateTime<Utc>) -> BotCommand {
    BotCommand::RequestLogin { verification_code: None, at }
}

pub fn login_success(attempt: u32, at: DateTime<Utc>) -> BotCommand {
    BotCommand::RecordLoginSuccess {
        attempt,
        platform_pk: "4711".to_owned(),
        session: session(),
        key_id: "key-1".to_owned(),
        session_expires_at: at + TimeDelta::days(90),
        at,
    }
}

pub fn challenge(at: DateTime<Utc>) -> BotCommand {
    BotCommand::RaiseChallenge { kind: "CHALLENGE_REQUIRED".to_owned(), at }
}

pub fn authorize(mode: Mode, at: DateTime<Utc>) -> BotCommand {
    BotCommand::AuthorizeAutomation {
        plan_hash: plan('a'),
        campaigns: vec![campaign()],
        mode,
        dry_run_waived: true,
        at,
    }
}

pub fn enable(at: DateTime<Utc>) -> BotCommand {
    BotCommand::EnableAutomation { enablement_id: enablement(), confirmed: plan('a'), current: plan('a'), at }
}

pub fn pause(at: DateTime<Utc>) -> BotCommand {
    BotCommand::PauseAutomation { reason: "lunch".to_owned(), at }
}

pub fn disable(at: DateTime<Utc>) -> BotCommand {
    BotCommand::DisableAutomation { reason: "done".to_owned(), at }
}

pub fn logout(at: DateTime<Utc>) -> BotCommand {
    BotCommand::Logout { at }
}

pub fn fail(at: DateTime<Utc>) -> BotCommand {
    BotCommand::FailBot { reason: "by hand".to_owned(), at }
}

/// With the shortest pause after it.
pub fn new_reservation(number: u128, kind: ActionKind, at: DateTime<Utc>) -> NewReservation {
    NewReservation {
        action_id: action(number),
        run_id: run(),
        campaign_id: campaign(),
        enablement_id: enablement(),
        kind,
        target: "3141592653_4711".to_owned(),
        requests: 1,
        words: None,
        roll: 0.0,
        at,
    }
}

pub fn reserve(number: u128, kind: ActionKind, at: DateTime<Utc>) -> BotCommand {
    BotCommand::ReserveAction(new_reservation(number, kind, at))
}

pub fn record(number: u128, outcome: Outcome, at: DateTime<Utc>) -> BotCommand {
    BotCommand::RecordAction { action_id: action(number), outcome, at }
}

pub fn performed() -> Outcome {
    Outcome::Performed { evidence: "answered ok".to_owned() }
}

pub fn in_doubt() -> Outcome {
    Outcome::InDoubt { code: "PLATFORM_NO_ANSWER".to_owned(), evidence: "not readable".to_owned() }
}
