//! A bot's life of any length, decided by the aggregate itself: logged in, running, an action every twenty minutes of the day.

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::bot::{ActionKind, Bot, BotCommand, BotEvent, Mode, NewReservation, Outcome};
use domain::decide::Decide;
use domain::entropy::Entropy;
use domain::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, RunId, SecretId, UserId};
use domain::plan::PlanHash;

use super::workbench::failed;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;

/// Time between two actions: within every limit, so that most are done.
const EVERY: TimeDelta = TimeDelta::minutes(20);

/// The bot as it is, and what has happened to it.
pub struct History {
    pub bot_id: BotId,
    pub bot: Bot,
    pub events: Vec<BotEvent>,
    at: DateTime<Utc>,
}

impl History {
    /// The first `length` events of a life that begins at `at`.
    pub fn of_length(length: usize, at: DateTime<Utc>) -> Result<Self, Failure> {
        let bot_id = BotId::of(UserId::from_uuid(SystemEntropy.uuid()));
        let mut history = Self { bot_id, bot: Bot::default(), events: Vec::with_capacity(length + 2), at };
        let (campaign_id, enablement_id) = history.begin()?;
        while history.events.len() < length {
            history.act(campaign_id, enablement_id)?;
        }
        Ok(history)
    }

    fn execute(&mut self, command: BotCommand) -> Result<(), Failure> {
        for event in self.bot.decide(command).map_err(failed)? {
            self.bot.apply(event.clone());
            self.events.push(event);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(CampaignId, EnablementId), Failure> {
        let at = self.at;
        let campaign_id = CampaignId::from_uuid(SystemEntropy.uuid());
        let enablement_id = EnablementId::from_uuid(SystemEntropy.uuid());
        let plan_hash: PlanHash = "0".repeat(64).parse().map_err(failed)?;
        let session = SecretId::from_uuid(SystemEntropy.uuid());
        self.execute(BotCommand::Initialize { bot_id: self.bot_id, at })?;
        self.execute(BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(SystemEntropy.uuid()),
            username: "bench.account".to_owned(),
            zone: chrono_tz::UTC,
            password: SecretId::from_uuid(SystemEntropy.uuid()),
            consent: "yes".to_owned(),
            at,
        })?;
        self.execute(BotCommand::RequestLogin { verification_code: None, at })?;
        self.execute(BotCommand::RecordLoginSuccess {
            attempt: 1,
            platform_pk: "9000000001".to_owned(),
            session,
            key_id: "bench".to_owned(),
            session_expires_at: at + TimeDelta::days(36_500),
            at,
        })?;
        self.execute(BotCommand::RecordConnectionVerified { at })?;
        let (campaigns, mode) = (vec![campaign_id], Mode::Live);
        let authorize =
            BotCommand::AuthorizeAutomation { plan_hash: plan_hash.clone(), campaigns, mode, dry_run_waived: true, at };
        self.execute(authorize)?;
        let (confirmed, current) = (plan_hash.clone(), plan_hash);
        self.execute(BotCommand::EnableAutomation { enablement_id, confirmed, current, at })?;
        Ok((campaign_id, enablement_id))
    }

    fn act(&mut self, campaign_id: CampaignId, enablement_id: EnablementId) -> Result<(), Failure> {
        self.at += EVERY;
        let action_id = ActionId::from_uuid(SystemEntropy.uuid());
        self.execute(BotCommand::ReserveAction(NewReservation {
            action_id,
            run_id: RunId::from_uuid(SystemEntropy.uuid()),
            campaign_id,
            enablement_id,
            kind: ActionKind::Like,
            target: format!("{}_9000000002", self.events.len()),
            requests: 2,
            words: None,
            roll: SystemEntropy.unit(),
            at: self.at,
        }))?;
        if matches!(self.events.last(), Some(BotEvent::ActionReserved { .. })) {
            let outcome = Outcome::Performed { evidence: "the platform answered true".to_owned() };
            self.execute(BotCommand::RecordAction { action_id, outcome, at: self.at })?;
        }
        Ok(())
    }
}
