//! Random histories: steps that a person, a worker and the platform could take, sensible or not.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use cqrs_es::Aggregate;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::hours::ZONES;
use super::model::Model;
use super::story::{self, action, campaign, enablement, other_campaign, plan, run, start};
use crate::bot::{
    Account, ActionKind, Bot, BotCommand, BotError, BotEvent, BotState, Counter, FailureClass, Limits,
    LoginFailureReason, Mode, NewReservation, Outcome, Settlement, SuppressReason, WorkingHours,
};
use crate::decide::Decide;
use crate::ids::{AccountId, ActionId};

/// Well within what the bot takes for fresh.
const FRESH: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, Clone)]
pub struct Step {
    pub later: TimeDelta,
    pub ask: Ask,
}

/// What is asked of the bot; it becomes a command that fits where the bot stands, or one that does not.
#[derive(Debug, Clone)]
pub enum Ask {
    /// So many steps towards RUNNING.
    Next(Mode, usize),
    Act {
        kind: ActionKind,
        requests: u32,
        roll: f64,
        outcome: Outcome,
    },
    Leave {
        kind: ActionKind,
        roll: f64,
    },
    Record(Outcome),
    Reconcile(Settlement),
    Read {
        count: u32,
        automated: bool,
    },
    Trouble(FailureClass, Option<ActionKind>),
    Limits(Limits),
    Link(Tz, bool),
    LoginFails(LoginFailureReason, f64),
    FinishRun(bool),
    Plain(Plain),
}

impl Ask {
    fn ends_a_login(&self) -> bool {
        matches!(self, Self::LoginFails(..) | Self::Plain(Plain::StaleLogin | Plain::WrongAccount | Plain::TwoFactor))
    }
}

/// Commands that need nothing but the instant.
#[derive(Debug, Clone, Copy)]
pub enum Plain {
    Initialize,
    Unlink,
    Login,
    LoginWithCode,
    StaleLogin,
    WrongAccount,
    TwoFactor,
    Challenge,
    Resolve,
    Test,
    Verified,
    TestFailed,
    Expired,
    AuthorizeOther,
    EnableStale,
    Pause,
    Resume,
    Disable,
    Logout,
    StartRun,
    StopContact,
    Fail,
    Recover,
}

fn times() -> impl Strategy<Value = TimeDelta> {
    let milliseconds = prop_oneof![
        2 => 0_i64..1_000,
        10 => 60_000_i64..240_000,
        4 => 300_000_i64..2_400_000,
        2 => 3_600_000_i64..21_600_000,
        1 => 86_400_000_i64..300_000_000,
    ];
    milliseconds.prop_map(TimeDelta::milliseconds)
}

fn kinds() -> impl Strategy<Value = ActionKind> {
    prop_oneof![4 => Just(ActionKind::Like), 2 => Just(ActionKind::Story), 3 => select(ActionKind::ALL)]
}

fn classes() -> impl Strategy<Value = FailureClass> {
    prop_oneof![4 => Just(FailureClass::SkipTarget), 1 => select(FailureClass::ALL)]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let code = || "CODE".to_owned();
    prop_oneof![
        12 => Just(story::performed()),
        4 => Just(Outcome::Simulated),
        2 => classes().prop_map(move |class| Outcome::Refused { class, code: code() }),
        2 => classes().prop_map(move |class| Outcome::Failed { class, code: code() }),
        1 => Just(story::in_doubt()),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let hours = prop_oneof![
        3 => Just(WorkingHours { from: 0, until: 24 }),
        2 => (0_u8..24, 1_u8..25).prop_map(|(from, until)| WorkingHours { from, until }),
    ];
    // Now and then above a ceiling, which is refused.
    let kinds = (0_u32..42, 0_u32..42, 0_u32..122, 0_u32..122, 0_u32..11, 0_u32..16, 0_u32..1_201);
    (kinds, hours).prop_map(|((follow, unfollow, like, story, comment, dm, request), hours)| Limits {
        follow,
        unfollow,
        like,
        story,
        comment,
        dm,
        request,
        hours,
    })
}

fn plain() -> impl Strategy<Value = Plain> {
    use Plain::{
        AuthorizeOther, Challenge, Disable, EnableStale, Expired, Fail, Initialize, Login, LoginWithCode, Logout,
        Pause, Recover, Resolve, Resume, StaleLogin, StartRun, StopContact, Test, TestFailed, TwoFactor, Unlink,
        Verified, WrongAccount,
    };
    select(vec![
        Initialize,
        Unlink,
        Login,
        LoginWithCode,
        StaleLogin,
        WrongAccount,
        TwoFactor,
        Challenge,
        Resolve,
        Test,
        Verified,
        TestFailed,
        Expired,
        AuthorizeOther,
        EnableStale,
        Pause,
        Resume,
        Resume,
        Disable,
        Logout,
        StartRun,
        StopContact,
        Fail,
        Recover,
    ])
}

fn asks() -> impl Strategy<Value = Ask> {
    let mode = prop_oneof![2 => Just(Mode::Live), 1 => Just(Mode::DryRun)];
    prop_oneof![
        40 => (mode, 1_usize..8).prop_map(|(mode, steps)| Ask::Next(mode, steps)),
        60 => (kinds(), 0_u32..4, 0.0..1.0, outcomes())
            .prop_map(|(kind, requests, roll, outcome)| Ask::Act { kind, requests, roll, outcome }),
        4 => (kinds(), 0.0..1.0).prop_map(|(kind, roll)| Ask::Leave { kind, roll }),
        4 => outcomes().prop_map(Ask::Record),
        2 => select(Settlement::ALL).prop_map(Ask::Reconcile),
        6 => (0_u32..40, any::<bool>()).prop_map(|(count, automated)| Ask::Read { count, automated }),
        2 => (classes(), prop::option::of(kinds())).prop_map(|(class, kind)| Ask::Trouble(class, kind)),
        3 => limits().prop_map(Ask::Limits),
        1 => (select(ZONES.to_vec()), any::<bool>()).prop_map(|(zone, other)| Ask::Link(zone, other)),
        2 => (select(LoginFailureReason::ALL), 0.0..1.0).prop_map(|(reason, roll)| Ask::LoginFails(reason, roll)),
        2 => any::<bool>().prop_map(Ask::FinishRun),
        9 => plain().prop_map(Ask::Plain),
    ]
}

pub fn histories() -> impl Strategy<Value = Vec<Step>> {
    vec((times(), asks()).prop_map(|(later, ask)| Step { later, ask }), 1..400)
}

/// A bot, all of its events, and the independent account of both.
pub struct World {
    pub bot: Bot,
    pub events: Vec<BotEvent>,
    pub now: DateTime<Utc>,
    pub model: Model,
    pub states: BTreeSet<BotState>,
    actions: u128,
}

impl World {
    pub fn new() -> Self {
        Self {
            bot: Bot::default(),
            events: Vec::new(),
            now: start(),
            model: Model::default(),
            states: BTreeSet::from([BotState::NotInitialized]),
            actions: 0,
        }
    }

    pub fn after(steps: &[Step]) -> Self {
        let mut world = Self::new();
        for step in steps {
            world.take(step);
        }
        world
    }

    pub fn take(&mut self, step: &Step) {
        self.now += step.later;
        let at = self.now;
        match &step.ask {
            Ask::Next(mode, steps) => {
                for _ in 0..*steps {
                    let Some(command) = self.towards_running(*mode) else { return };
                    let _ = self.ask(command);
                }
            }
            Ask::Act { kind, requests, roll, outcome } => {
                if let Some(action_id) = self.reserve(*kind, *requests, *roll) {
                    let _ = self.ask(BotCommand::RecordAction { action_id, outcome: outcome.clone(), at });
                }
            }
            Ask::Leave { kind, roll } => {
                self.reserve(*kind, 1, *roll);
            }
            Ask::Record(outcome) => {
                let open = self.bot.open_reservation().map_or(action(self.actions), |open| open.action_id);
                let _ = self.ask(BotCommand::RecordAction { action_id: open, outcome: outcome.clone(), at });
            }
            Ask::Reconcile(settlement) => {
                let doubtful = self.bot.in_doubt().next().map_or(action(self.actions), |doubt| doubt.action_id);
                let (settlement, evidence) = (*settlement, "seen".to_owned());
                let _ = self.ask(BotCommand::ReconcileAction { action_id: doubtful, settlement, evidence, at });
            }
            ask => {
                if ask.ends_a_login() && self.bot.state() == BotState::LoggedOut {
                    let _ = self.ask(plain_command(Plain::LoginWithCode, 0, at));
                }
                let command = self.command(ask);
                let _ = self.ask(command);
            }
        }
    }

    fn command(&self, ask: &Ask) -> BotCommand {
        let at = self.now;
        let attempt = self.bot.login().attempt;
        match ask.clone() {
            Ask::Read { count, automated } => {
                BotCommand::ReserveRequests { purpose: "hashtag".to_owned(), count, automated, at }
            }
            Ask::Trouble(class, kind) => BotCommand::ReportTrouble { class, code: "CODE".to_owned(), kind, at },
            Ask::Limits(limits) => BotCommand::ChangeLimits { limits, at },
            Ask::Link(zone, other) => link(zone, other, self.events.len(), at),
            Ask::LoginFails(reason, roll) => BotCommand::RecordLoginFailure { attempt, reason, roll, at },
            Ask::FinishRun(whole) => BotCommand::FinishRun {
                run_id: run(),
                campaign_id: campaign(),
                enablement_id: enablement(),
                stopped_by: (!whole).then(|| "SOURCE_STOPPED".to_owned()),
                at,
            },
            Ask::Plain(plain) => plain_command(plain, attempt, at),
            other => unreachable!("{other:?} is more than one command"),
        }
    }

    fn reserve(&mut self, kind: ActionKind, requests: u32, roll: f64) -> Option<ActionId> {
        self.actions += 1;
        let mut new = story::new_reservation(self.actions, kind, self.now);
        (new.requests, new.roll) = (requests, roll);
        let events = self.ask(BotCommand::ReserveAction(new)).ok()?;
        matches!(events[0], BotEvent::ActionReserved { .. }).then(|| action(self.actions))
    }

    /// Asks, applies, and holds the answer against the model.
    pub fn ask(&mut self, command: BotCommand) -> Result<Vec<BotEvent>, BotError> {
        let before = self.bot.state();
        let events = self.bot.decide(command.clone())?;
        self.check(&command, &events, before);
        for event in &events {
            self.bot.apply(event.clone());
            self.states.insert(self.bot.state());
        }
        self.model.note(&command, &events);
        self.events.extend(events.iter().cloned());
        self.check_balance();
        if let BotCommand::RecordAction { action_id, .. } = command {
            assert_eq!(self.bot.decide(command), Err(BotError::NoReservation { action_id }), "recorded twice");
        }
        Ok(events)
    }

    fn check(&self, command: &BotCommand, events: &[BotEvent], before: BotState) {
        match command {
            BotCommand::ReserveAction(new) => {
                assert_eq!(before, BotState::Running, "an action outside RUNNING");
                assert_eq!(events.len(), 1);
                self.check_reservation(new, &events[0]);
            }
            BotCommand::ReserveRequests { count, automated: true, at, .. } => {
                let suppressed = match &events[0] {
                    BotEvent::RequestsSuppressed { reason, .. } => Some(*reason),
                    _ => None,
                };
                assert_eq!(suppressed, self.model.obstacle_to_reading(*count, *at));
            }
            _ => assert!(
                !events
                    .iter()
                    .any(|event| matches!(event, BotEvent::ActionReserved { .. } | BotEvent::ActionSuppressed { .. })),
                "an action that nobody asked for"
            ),
        }
    }

    fn check_reservation(&self, new: &NewReservation, event: &BotEvent) {
        match event {
            BotEvent::ActionReserved { mode, local_day, next_write_at, at, .. } => {
                assert_eq!(self.model.obstacle(new), None, "reserved in spite of an obstacle");
                assert_eq!(Some(*mode), self.model.mode);
                assert_eq!(*local_day, at.with_timezone(&self.model.zone()).date_naive());
                let pause = (*next_write_at - *at).num_milliseconds();
                assert!((60_000..=180_000).contains(&pause), "a pause of {pause} ms");
                self.check_ceilings(*mode, new.kind.into(), *at);
            }
            BotEvent::ActionSuppressed { reason, frees_at, at, .. } => {
                assert_eq!(Some(*reason), self.model.obstacle(new));
                assert!(frees_at.is_none_or(|frees_at| frees_at > *at));
                if !matches!(reason, SuppressReason::ModuleStopped | SuppressReason::LimitZero) {
                    assert!(frees_at.is_some() || new.requests > 1, "{reason} without an end");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// What nobody can pass, whatever was chosen.
    fn check_ceilings(&self, mode: Mode, counter: Counter, at: DateTime<Utc>) {
        assert!(self.model.used(mode, counter, 24, at) < counter.ceiling());
        assert!(self.model.used(mode, counter, 1, at) < (counter.ceiling() / 6).max(1));
    }

    fn check_balance(&self) {
        let balance = &self.model.balance;
        assert!(balance.holds(), "{balance:?}");
        assert_eq!(self.bot.open_reservation().map(|open| open.action_id), balance.open);
        assert_eq!(self.bot.in_doubt().map(|doubt| doubt.action_id).collect::<BTreeSet<_>>(), balance.in_doubt);
    }

    /// What a person or a worker would do next to have the bot RUNNING; `None` when it is.
    pub fn towards_running(&self, mode: Mode) -> Option<BotCommand> {
        let at = self.now;
        let login = self.bot.login();
        Some(match self.bot.state() {
            BotState::NotInitialized => BotCommand::Initialize { bot_id: story::bot_id(), at },
            _ if login.challenge.is_some() => BotCommand::ResolveChallenge { at },
            BotState::Error => BotCommand::RecoverBot { at },
            BotState::LoggedOut if self.bot.account().is_none_or(|account| account.password_rejected) => {
                link(Tz::Europe__Berlin, false, self.events.len(), at)
            }
            BotState::LoggedOut if self.bot.account().is_some_and(is_wrong) => BotCommand::UnlinkAccount { at },
            BotState::LoggedOut => plain_command(Plain::LoginWithCode, login.attempt, at),
            BotState::LoggingIn => story::login_success(login.attempt, at),
            BotState::LoggedIn if login.verified_at.is_none_or(|verified| at - verified > FRESH) => {
                BotCommand::RecordConnectionVerified { at }
            }
            BotState::LoggedIn if self.bot.authorization().is_none_or(|given| at - given.at > FRESH) => {
                story::authorize(mode, at)
            }
            BotState::LoggedIn => story::enable(at),
            BotState::Paused => BotCommand::ResumeAutomation { at },
            BotState::Running => return None,
        })
    }
}

/// The name belonged to another account once: only unlinking makes the bot forget that.
fn is_wrong(account: &Account) -> bool {
    account.platform_pk.as_ref().is_some_and(|known| known != "4711")
}

/// `mara`, or another account; linked anew it has a new id.
fn link(zone: Tz, other: bool, unique: usize, at: DateTime<Utc>) -> BotCommand {
    let mut command = story::link(if other { "other" } else { "mara" }, zone, at);
    if let BotCommand::LinkAccount { account_id, .. } = &mut command {
        *account_id = AccountId::from_uuid(Uuid::from_u128(1_000_000 + unique as u128));
    }
    command
}

fn plain_command(plain: Plain, attempt: u32, at: DateTime<Utc>) -> BotCommand {
    match plain {
        Plain::Initialize => BotCommand::Initialize { bot_id: story::bot_id(), at },
        Plain::Unlink => BotCommand::UnlinkAccount { at },
        Plain::Login => story::login(at),
        Plain::LoginWithCode => BotCommand::RequestLogin { verification_code: Some(story::verification_code()), at },
        Plain::StaleLogin => story::login_success(attempt.wrapping_sub(1), at),
        Plain::WrongAccount => {
            let mut command = story::login_success(attempt, at);
            if let BotCommand::RecordLoginSuccess { platform_pk, .. } = &mut command {
                "1".clone_into(platform_pk);
            }
            command
        }
        Plain::TwoFactor => BotCommand::RequireTwoFactor { attempt, at },
        Plain::Challenge => story::challenge(at),
        Plain::Resolve => BotCommand::ResolveChallenge { at },
        Plain::Test => BotCommand::RequestConnectionTest { at },
        Plain::Verified => BotCommand::RecordConnectionVerified { at },
        Plain::TestFailed => BotCommand::RecordConnectionTestFailed { code: "CODE".to_owned(), at },
        Plain::Expired => BotCommand::RecordSessionExpired { code: "CODE".to_owned(), at },
        Plain::AuthorizeOther => BotCommand::AuthorizeAutomation {
            plan_hash: plan('b'),
            campaigns: vec![other_campaign()],
            mode: Mode::Live,
            dry_run_waived: false,
            at,
        },
        Plain::EnableStale => {
            BotCommand::EnableAutomation { enablement_id: enablement(), confirmed: plan('b'), current: plan('b'), at }
        }
        Plain::Pause => story::pause(at),
        Plain::Resume => BotCommand::ResumeAutomation { at },
        Plain::Disable => story::disable(at),
        Plain::Logout => story::logout(at),
        Plain::StartRun => {
            BotCommand::StartRun { run_id: run(), campaign_id: campaign(), enablement_id: enablement(), targets: 3, at }
        }
        // Nobody whom another step acts on, so that every wait still ends.
        Plain::StopContact => BotCommand::StopContact { person: "nobody".to_owned(), reason: "stop".to_owned(), at },
        Plain::Fail => story::fail(at),
        Plain::Recover => BotCommand::RecoverBot { at },
    }
}
