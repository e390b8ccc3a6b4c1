//! The life of one bot: commands, decided by the aggregate itself, and the events that they lead to.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::bot::{ActionKind, Bot, BotCommand, BotEvent, Mode, NewReservation, Outcome};
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

    pub fn enablement(&self) -> EnablementId {
        self.bot.enablement().map_or_else(|| EnablementId::from_uuid(Uuid::nil()), |it| it.enablement_id)
    }

    pub fn run_id(&self) -> RunId {
        RunId::from_uuid(projections::reactor::automation::run_of(self.enablement(), campaign()).uuid())
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
            words: None,
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
