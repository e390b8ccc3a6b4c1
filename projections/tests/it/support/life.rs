//! The life of one bot: commands, decided by the aggregate itself, and the events that they lead to.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::bot::{ActionKind, Bot, BotCommand, BotEvent, BotState, FailureClass, Limits, LoginFailureReason, Mode};
use domain::bot::{NewReservation, Outcome, Settlement};
use domain::decide::{Decide, fold};
use domain::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId, derive};
use domain::plan::PlanHash;
use uuid::Uuid;

use super::{World, at};

/// The campaign that every life has.
pub fn campaign() -> CampaignId {
    CampaignId::from_uuid(derive(&["campaign"]))
}

pub struct Life {
    pub bot_id: BotId,
    pub bot: Bot,
    /// Seconds since the beginning.
    pub now: i64,
    made: u32,
}

impl Life {
    pub fn of(name: &str) -> Self {
        let bot_id = BotId::from_uuid(derive(&["bot", name]));
        Self { bot_id, bot: Bot::default(), now: 0, made: 0 }
    }

    pub fn id(&self) -> String {
        self.bot_id.to_string()
    }

    /// A new id that only this life has.
    pub fn fresh(&mut self) -> Uuid {
        self.made += 1;
        derive(&[&self.id(), &self.made.to_string()])
    }

    /// What the bot answers, if it does not refuse. The state moves on.
    pub fn ask(&mut self, command: BotCommand) -> Vec<BotEvent> {
        let events = self.bot.decide(command).unwrap_or_default();
        self.bot = fold(std::mem::take(&mut self.bot), events.clone());
        events
    }

    fn must(&mut self, command: BotCommand) -> Vec<BotEvent> {
        let name = command.name();
        let state = self.bot.state();
        let events = self.ask(command);
        assert!(!events.is_empty(), "{name} was refused in {state}");
        self.now += 1;
        events
    }

    /// Asks, and writes what follows into the log.
    pub async fn tell(&mut self, world: &World, command: BotCommand) -> Vec<BotEvent> {
        let events = self.must(command);
        world.append("Bot", &self.id(), &events).await;
        events
    }

    /// From nothing to a linked account.
    pub fn link(&mut self) -> Vec<BotEvent> {
        let (bot_id, time) = (self.bot_id, at(self.now));
        let mut events = self.must(BotCommand::Initialize { bot_id, at: time });
        events.extend(self.link_again());
        events
    }

    pub fn link_again(&mut self) -> Vec<BotEvent> {
        let account_id = AccountId::from_uuid(self.fresh());
        let password = SecretId::from_uuid(self.fresh());
        let time = at(self.now);
        self.must(BotCommand::LinkAccount {
            account_id,
            username: "ada".to_owned(),
            zone: Tz::Europe__Berlin,
            password,
            consent: "yes".to_owned(),
            at: time,
        })
    }

    /// From a linked account to a verified session.
    pub fn log_in(&mut self) -> Vec<BotEvent> {
        let mut events = self.must(BotCommand::RequestLogin { verification_code: None, at: at(self.now) });
        let session = SecretId::from_uuid(self.fresh());
        let attempt = self.bot.login().attempt;
        events.extend(self.must(BotCommand::RecordLoginSuccess {
            attempt,
            platform_pk: "9000".to_owned(),
            session,
            key_id: "k1".to_owned(),
            session_expires_at: at(self.now + 86_400),
            at: at(self.now),
        }));
        events.extend(self.must(BotCommand::RecordConnectionVerified { at: at(self.now) }));
        events
    }

    /// Both steps of switching on.
    pub fn enable(&mut self, mode: Mode) -> Vec<BotEvent> {
        let plan_hash: PlanHash = "ab".repeat(32).parse().expect("64 digits");
        let mut events = self.must(BotCommand::AuthorizeAutomation {
            plan_hash: plan_hash.clone(),
            campaigns: vec![campaign()],
            mode,
            dry_run_waived: true,
            at: at(self.now),
        });
        let enablement_id = EnablementId::from_uuid(self.fresh());
        events.extend(self.must(BotCommand::EnableAutomation {
            enablement_id,
            confirmed: plan_hash.clone(),
            current: plan_hash,
            at: at(self.now),
        }));
        events
    }

    fn enablement(&self) -> EnablementId {
        self.bot.enablement().map_or_else(|| EnablementId::from_uuid(Uuid::nil()), |it| it.enablement_id)
    }

    pub fn run_id(&self) -> RunId {
        projections::reactor::automation::run_of(self.enablement(), campaign())
    }

    pub fn start_run(&mut self) -> Vec<BotEvent> {
        let (run_id, enablement_id) = (self.run_id(), self.enablement());
        let command =
            BotCommand::StartRun { run_id, campaign_id: campaign(), enablement_id, targets: 3, at: at(self.now) };
        self.must(command)
    }

    pub fn finish_run(&mut self) -> Vec<BotEvent> {
        let (run_id, enablement_id) = (self.run_id(), self.enablement());
        let command = BotCommand::FinishRun {
            run_id,
            campaign_id: campaign(),
            enablement_id,
            stopped_by: None,
            at: at(self.now),
        };
        self.must(command)
    }

    /// A reservation, whenever one is free next.
    pub fn reserve(&mut self, action_id: ActionId) -> Vec<BotEvent> {
        self.now += 200;
        let command = self.reservation(action_id, at(self.now));
        self.must(command)
    }

    pub fn reservation(&self, action_id: ActionId, at: DateTime<Utc>) -> BotCommand {
        BotCommand::ReserveAction(NewReservation {
            action_id,
            run_id: self.run_id(),
            campaign_id: campaign(),
            enablement_id: self.enablement(),
            kind: ActionKind::Like,
            target: "media-1".to_owned(),
            requests: 2,
            roll: 0.5,
            at,
        })
    }

    pub fn record(&mut self, action_id: ActionId, outcome: Outcome) -> Vec<BotEvent> {
        let command = BotCommand::RecordAction { action_id, outcome, at: at(self.now) };
        self.must(command)
    }

    /// A new action, reserved and recorded.
    pub fn act(&mut self, outcome: Outcome) -> (ActionId, Vec<BotEvent>) {
        let action_id = ActionId::from_uuid(self.fresh());
        let mut events = self.reserve(action_id);
        events.extend(self.record(action_id, outcome));
        (action_id, events)
    }

    /// A bot that runs live, with everything that led there.
    pub fn running(name: &str) -> (Self, Vec<BotEvent>) {
        let mut life = Self::of(name);
        let mut events = life.link();
        events.extend(life.log_in());
        events.extend(life.enable(Mode::Live));
        (life, events)
    }
}

/// Numbers that look random and are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = usize::try_from(self.below(from.len() as u64)).expect("a small number");
        from[index]
    }
}

impl Life {
    /// Some command: often one that leads on, else any at all, which the bot may refuse.
    pub fn anything(&mut self, dice: &mut Dice) -> BotCommand {
        self.now += i64::try_from(dice.below(400)).expect("a small number");
        if dice.below(4) > 0 { self.leading_on(dice) } else { self.any(dice) }
    }

    fn leading_on(&mut self, dice: &mut Dice) -> BotCommand {
        let fresh = self.fresh();
        let attempt = self.bot.login().attempt;
        if let Some(until) = self.bot.login().retry_not_before {
            self.now = self.now.max((until - at(0)).num_seconds() + 1);
        }
        let time = at(self.now);
        match self.bot.state() {
            BotState::NotInitialized => BotCommand::Initialize { bot_id: self.bot_id, at: time },
            BotState::LoggedOut | BotState::Error if self.bot.login().challenge.is_some() => {
                BotCommand::ResolveChallenge { at: time }
            }
            BotState::Error => BotCommand::RecoverBot { at: time },
            BotState::LoggedOut if self.bot.account().is_none_or(|account| account.password_rejected) => {
                self.linking(fresh, time)
            }
            BotState::LoggedOut => {
                let code = self.bot.login().two_factor_pending.then(|| SecretId::from_uuid(fresh));
                BotCommand::RequestLogin { verification_code: code, at: time }
            }
            BotState::LoggingIn => BotCommand::RecordLoginSuccess {
                attempt,
                platform_pk: "9000".to_owned(),
                session: SecretId::from_uuid(fresh),
                key_id: "k1".to_owned(),
                session_expires_at: at(self.now + 86_400),
                at: time,
            },
            BotState::LoggedIn => match dice.below(3) {
                0 => BotCommand::RecordConnectionVerified { at: time },
                1 => self.authorizing(dice, time),
                _ => self.enabling(fresh, time),
            },
            BotState::Paused => BotCommand::ResumeAutomation { at: time },
            BotState::Running => self.acting(dice, fresh, time),
        }
    }

    fn acting(&self, dice: &mut Dice, fresh: Uuid, time: DateTime<Utc>) -> BotCommand {
        let (run_id, enablement_id) = (self.run_id(), self.enablement());
        let campaign_id = campaign();
        if let Some(open) = self.bot.open_reservation() {
            let outcome = if open.mode == Mode::DryRun { Outcome::Simulated } else { some_outcome(dice) };
            return BotCommand::RecordAction { action_id: open.action_id, outcome, at: time };
        }
        match dice.below(12) {
            0 => BotCommand::StartRun { run_id, campaign_id, enablement_id, targets: 5, at: time },
            1 => BotCommand::FinishRun { run_id, campaign_id, enablement_id, stopped_by: None, at: time },
            _ => self.reservation(ActionId::from_uuid(fresh), time),
        }
    }

    fn linking(&self, fresh: Uuid, time: DateTime<Utc>) -> BotCommand {
        BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(fresh),
            username: "ada".to_owned(),
            zone: Tz::Europe__Berlin,
            password: SecretId::from_uuid(fresh),
            consent: "yes".to_owned(),
            at: time,
        }
    }

    fn authorizing(&self, dice: &mut Dice, time: DateTime<Utc>) -> BotCommand {
        BotCommand::AuthorizeAutomation {
            plan_hash: plan(),
            campaigns: vec![campaign()],
            mode: dice.pick(Mode::ALL),
            dry_run_waived: true,
            at: time,
        }
    }

    fn enabling(&self, fresh: Uuid, time: DateTime<Utc>) -> BotCommand {
        let enablement_id = EnablementId::from_uuid(fresh);
        BotCommand::EnableAutomation { enablement_id, confirmed: plan(), current: plan(), at: time }
    }

    fn any(&mut self, dice: &mut Dice) -> BotCommand {
        let time = at(self.now);
        let attempt = self.bot.login().attempt;
        let open = self.bot.open_reservation().map(|open| open.action_id);
        let doubt = self.bot.in_doubt().next().map(|open| open.action_id);
        let fresh = self.fresh();
        let action_id = ActionId::from_uuid(fresh);
        match dice.below(34) {
            0 => BotCommand::Initialize { bot_id: self.bot_id, at: time },
            1 => self.linking(fresh, time),
            2 => BotCommand::UnlinkAccount { at: time },
            3 | 4 => {
                let code = (dice.below(2) == 0).then(|| SecretId::from_uuid(fresh));
                BotCommand::RequestLogin { verification_code: code, at: time }
            }
            5 => BotCommand::RecordLoginSuccess {
                attempt,
                platform_pk: "9000".to_owned(),
                session: SecretId::from_uuid(fresh),
                key_id: "k1".to_owned(),
                session_expires_at: at(self.now + 86_400),
                at: time,
            },
            6 => {
                let reason = dice.pick(LoginFailureReason::ALL);
                BotCommand::RecordLoginFailure { attempt, reason, roll: 0.1, at: time }
            }
            7 => BotCommand::RequireTwoFactor { attempt, at: time },
            8 => BotCommand::RaiseChallenge { kind: "CHECKPOINT".to_owned(), at: time },
            9 => BotCommand::ResolveChallenge { at: time },
            10 => BotCommand::RequestConnectionTest { at: time },
            11 => BotCommand::RecordConnectionVerified { at: time },
            12 => BotCommand::RecordConnectionTestFailed { code: "NO_ANSWER".to_owned(), at: time },
            13 => BotCommand::RecordSessionExpired { code: "LOGIN_REQUIRED".to_owned(), at: time },
            14 => self.authorizing(dice, time),
            15 => self.enabling(fresh, time),
            16..=18 => BotCommand::PauseAutomation { reason: "later".to_owned(), at: time },
            19 => BotCommand::ResumeAutomation { at: time },
            20 => BotCommand::DisableAutomation { reason: "enough".to_owned(), at: time },
            21 => BotCommand::Logout { at: time },
            22 => BotCommand::StartRun {
                run_id: self.run_id(),
                campaign_id: campaign(),
                enablement_id: self.enablement(),
                targets: 5,
                at: time,
            },
            23 => BotCommand::FinishRun {
                run_id: self.run_id(),
                campaign_id: campaign(),
                enablement_id: self.enablement(),
                stopped_by: (dice.below(2) == 0).then(|| "ENOUGH".to_owned()),
                at: time,
            },
            24 | 25 => self.reservation(open.unwrap_or(action_id), time),
            26 | 27 => {
                let outcome = some_outcome(dice);
                BotCommand::RecordAction { action_id: open.unwrap_or(action_id), outcome, at: time }
            }
            28 | 29 => BotCommand::ReconcileAction {
                action_id: doubt.unwrap_or(action_id),
                settlement: dice.pick(Settlement::ALL),
                evidence: "looked".to_owned(),
                at: time,
            },
            30 | 31 => BotCommand::ReportTrouble {
                class: dice.pick(FailureClass::ALL),
                code: "READ_FAILED".to_owned(),
                kind: (dice.below(2) == 0).then_some(ActionKind::Like),
                at: time,
            },
            32 => {
                let like = u32::try_from(dice.below(100)).expect("a small number");
                BotCommand::ChangeLimits { limits: Limits { like, ..Limits::default() }, at: time }
            }
            _ if self.bot.state() == BotState::Error => BotCommand::RecoverBot { at: time },
            _ => BotCommand::ReserveRequests { purpose: "look".to_owned(), count: 30, automated: true, at: time },
        }
    }
}

fn plan() -> PlanHash {
    "cd".repeat(32).parse().expect("64 digits")
}

fn some_outcome(dice: &mut Dice) -> Outcome {
    let class = dice.pick(FailureClass::ALL);
    let code = "SOME_CODE".to_owned();
    match dice.below(6) {
        0 | 1 => Outcome::Performed { evidence: "the platform said so".to_owned() },
        2 => Outcome::Simulated,
        3 => Outcome::Refused { class, code },
        4 => Outcome::Failed { class, code },
        _ => Outcome::InDoubt { code, evidence: "no answer".to_owned() },
    }
}
