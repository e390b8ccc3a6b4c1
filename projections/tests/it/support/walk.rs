//! Lives that go anywhere: random commands, the same in every run.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::bot::{
    ActionKind, BotCommand, BotState, FailureClass, Limits, LoginFailureReason, Mode, Outcome, Settlement,
};
use domain::ids::{AccountId, ActionId, EnablementId, SecretId};
use domain::plan::PlanHash;
use uuid::Uuid;

use super::at;
use super::life::{Life, campaign};

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
            // It stays there for a while.
            BotState::Error if dice.below(4) > 0 => BotCommand::RequestConnectionTest { at: time },
            BotState::NotInitialized => BotCommand::Initialize { bot_id: self.bot_id, at: time },
            BotState::LoggedOut | BotState::Error if self.bot.login().challenge.is_some() => {
                BotCommand::ResolveChallenge { at: time }
            }
            BotState::Error => BotCommand::RecoverBot { at: time },
            BotState::LoggedOut if self.bot.account().is_none_or(|account| account.password_rejected) => {
                linking(fresh, time)
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
                1 => authorizing(dice, time),
                _ => enabling(fresh, time),
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

    fn any(&mut self, dice: &mut Dice) -> BotCommand {
        let fresh = self.fresh();
        if dice.below(35) < 14 { self.any_of_login(dice, fresh) } else { self.any_of_automation(dice, fresh) }
    }

    fn any_of_login(&self, dice: &mut Dice, fresh: Uuid) -> BotCommand {
        let time = at(self.now);
        let attempt = self.bot.login().attempt;
        match dice.below(14) {
            0 => BotCommand::Initialize { bot_id: self.bot_id, at: time },
            1 => linking(fresh, time),
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
            _ => BotCommand::RecordSessionExpired { code: "LOGIN_REQUIRED".to_owned(), at: time },
        }
    }

    fn any_of_automation(&self, dice: &mut Dice, fresh: Uuid) -> BotCommand {
        let time = at(self.now);
        let action_id = ActionId::from_uuid(fresh);
        let open = self.bot.open_reservation().map(|open| open.action_id);
        let doubt = self.bot.in_doubt().next().map(|open| open.action_id);
        match dice.below(21) {
            0 => authorizing(dice, time),
            1 => enabling(fresh, time),
            2..=4 => BotCommand::PauseAutomation { reason: "later".to_owned(), at: time },
            5 => BotCommand::ResumeAutomation { at: time },
            6 => BotCommand::DisableAutomation { reason: "enough".to_owned(), at: time },
            7 => BotCommand::Logout { at: time },
            8 => BotCommand::StartRun {
                run_id: self.run_id(),
                campaign_id: campaign(),
                enablement_id: self.enablement(),
                targets: 5,
                at: time,
            },
            9 => BotCommand::FinishRun {
                run_id: self.run_id(),
                campaign_id: campaign(),
                enablement_id: self.enablement(),
                stopped_by: (dice.below(2) == 0).then(|| "ENOUGH".to_owned()),
                at: time,
            },
            10 | 11 => self.reservation(open.unwrap_or(action_id), time),
            12 | 13 => {
                let outcome = some_outcome(dice);
                BotCommand::RecordAction { action_id: open.unwrap_or(action_id), outcome, at: time }
            }
            14 | 15 => BotCommand::ReconcileAction {
                action_id: doubt.unwrap_or(action_id),
                settlement: dice.pick(Settlement::ALL),
                evidence: "looked".to_owned(),
                at: time,
            },
            16 | 17 => BotCommand::ReportTrouble {
                class: dice.pick(FailureClass::ALL),
                code: "READ_FAILED".to_owned(),
                kind: (dice.below(2) == 0).then_some(ActionKind::Like),
                at: time,
            },
            18 => {
                let like = u32::try_from(dice.below(100)).expect("a small number");
                BotCommand::ChangeLimits { limits: Limits { like, ..Limits::default() }, at: time }
            }
            19 => BotCommand::FailBot { reason: "broken".to_owned(), at: time },
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

fn linking(fresh: Uuid, time: DateTime<Utc>) -> BotCommand {
    BotCommand::LinkAccount {
        account_id: AccountId::from_uuid(fresh),
        username: "ada".to_owned(),
        zone: Tz::Europe__Berlin,
        password: SecretId::from_uuid(fresh),
        consent: "yes".to_owned(),
        at: time,
    }
}

fn authorizing(dice: &mut Dice, time: DateTime<Utc>) -> BotCommand {
    BotCommand::AuthorizeAutomation {
        plan_hash: plan(),
        campaigns: vec![campaign()],
        mode: dice.pick(Mode::ALL),
        dry_run_waived: true,
        at: time,
    }
}

fn enabling(fresh: Uuid, time: DateTime<Utc>) -> BotCommand {
    let enablement_id = EnablementId::from_uuid(fresh);
    BotCommand::EnableAutomation { enablement_id, confirmed: plan(), current: plan(), at: time }
}
