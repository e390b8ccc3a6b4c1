//! Who plays: a bot that was linked, logged in, tested and enabled, with a campaign.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::bot::{Bot, BotCommand, Limits, Mode, WorkingHours};
use domain::campaign::{Campaign, CampaignCommand, Module};
use domain::clock::Clock;
use domain::decide::Decide;
use domain::entropy::Entropy;
use domain::ids::{AccountId, BotId, CampaignId, EnablementId, JobId, RequestId, SecretId, UserId};
use domain::metadata::{Actor, Metadata};
use domain::plan::Plan;
use domain::splitmix::SplitMix64;
use store::command_bus::{CommandBus, ExecuteError};

use super::script;
use crate::fault::Fault;
use crate::hands::Sessions;
use crate::platform::sandbox::{PASSWORD, World};
use crate::platform::{Call, Deadline, LoginCredentials, Platform, SessionBlob, SessionId};
use crate::secrets::Session;

/// The sessions of all bots.
#[derive(Default)]
pub(super) struct OpenSessions(Mutex<HashMap<SecretId, (SessionId, SessionBlob)>>);

#[async_trait]
impl Sessions for OpenSessions {
    async fn session(&self, _user: UserId, secret: SecretId) -> Result<Option<Session>, Fault> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.get(&secret).map(|(id, blob)| Session { id: id.clone(), blob: blob.clone() }))
    }
}

/// One bot and what it is to do.
#[derive(Debug, Clone)]
pub(super) struct Player {
    pub(super) bot_id: BotId,
    pub(super) account: String,
    pub(super) campaigns: Vec<(Module, CampaignId)>,
    pub(super) enablement: EnablementId,
    pub(super) limits: Limits,
    pub(super) mode: Mode,
}

impl Player {
    fn has(&self, module: Module) -> bool {
        self.campaigns.iter().any(|(own, _)| *own == module)
    }

    /// Whether a campaign of `module` had its run two weeks before the play: whoever is to unfollow has followed before.
    /// A dry run follows nobody.
    pub(super) fn has_done(&self, module: Module) -> bool {
        module == Module::Follow && self.mode == Mode::Live && self.has(Module::Unfollow)
    }

    /// What the campaign does.
    pub(super) fn module_of(&self, campaign: CampaignId) -> Option<Module> {
        self.campaigns.iter().find(|(_, id)| *id == campaign).map(|(module, _)| *module)
    }
}

/// What brings the bots on.
pub(super) struct Casting<'a> {
    pub(super) bus: &'a CommandBus,
    pub(super) platform: &'a dyn Platform,
    pub(super) sessions: &'a OpenSessions,
    pub(super) clock: &'a dyn Clock,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) world: &'a World,
}

impl Casting<'_> {
    fn metadata(&self, bot_id: BotId) -> Metadata {
        let request = RequestId::from_uuid(self.entropy.uuid());
        Metadata::root(request, Actor::User(bot_id.owner()), self.clock.now())
    }

    /// Tells an aggregate something, as its person would; a refusal is the person's bad luck.
    pub(super) async fn tell<A: Decide>(&self, bot_id: BotId, id: &str, command: A::Command) -> bool
    where
        A::Command: Clone,
    {
        let metadata = self.metadata(bot_id);
        loop {
            match self.bus.execute::<A>(id, command.clone(), &metadata).await {
                Ok(_) => return true,
                Err(ExecuteError::Refused(_)) => return false,
                Err(ExecuteError::Store(_)) => tokio::task::yield_now().await,
            }
        }
    }

    async fn bot(&self, bot_id: BotId, command: BotCommand) -> bool {
        self.tell::<Bot>(bot_id, &bot_id.to_string(), command).await
    }

    /// Brings a bot on: linked, logged in, tested and enabled in earnest, past its warm-up or not.
    pub(super) async fn bring_on(&self, account: &str, rng: &mut SplitMix64) -> Player {
        let limits = limits(rng);
        let count = rng.between(1, 2);
        let mut modules = Vec::new();
        for _ in 0..count {
            let module = rng.pick(Module::ALL).copied().unwrap_or(Module::Like);
            // Whoever has to be looked at first takes longer.
            let most = if matches!(module, Module::Like | Module::Follow) { 3 } else { 2 };
            modules.push((module, u32::try_from(rng.between(1, most)).unwrap_or(1)));
        }
        // Half of the bots are past the first week.
        let since = if rng.one_in(2) { TimeDelta::days(8) } else { TimeDelta::zero() };
        let mode = if rng.one_in(8) { Mode::DryRun } else { Mode::Live };
        self.enabled(account, limits, &modules, mode, since).await
    }

    /// A bot with a campaign for each of `modules`, and one to follow whom it is to unfollow, enabled in `mode` so long ago.
    pub(super) async fn enabled(
        &self,
        account: &str,
        limits: Limits,
        modules: &[(Module, u32)],
        mode: Mode,
        since: TimeDelta,
    ) -> Player {
        let bot_id = BotId::from_uuid(self.entropy.uuid());
        let at = || self.clock.now();
        self.bot(bot_id, BotCommand::Initialize { bot_id, at: at() }).await;
        let link = BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(self.entropy.uuid()),
            username: account.to_owned(),
            zone: chrono_tz::UTC,
            password: SecretId::from_uuid(self.entropy.uuid()),
            consent: "yes".to_owned(),
            at: at(),
        };
        self.bot(bot_id, link).await;
        self.bot(bot_id, BotCommand::ChangeLimits { limits: limits.clone(), at: at() }).await;
        self.bot(bot_id, BotCommand::RequestLogin { verification_code: None, at: at() }).await;
        self.log_in(bot_id, account).await;
        self.bot(bot_id, BotCommand::RecordConnectionVerified { at: at() }).await;
        let mut campaigns = Vec::new();
        for (module, max_targets) in modules {
            campaigns.push((*module, self.campaign(bot_id, account, *module, *max_targets).await));
            if *module == Module::Unfollow {
                campaigns.push((Module::Follow, self.campaign(bot_id, account, Module::Follow, *max_targets).await));
            }
        }
        let ids: Vec<CampaignId> = campaigns.iter().map(|(_, id)| *id).collect();
        let enablement = self.enable(bot_id, &ids, mode, since).await;
        Player { bot_id, account: account.to_owned(), campaigns, enablement, limits, mode }
    }

    async fn log_in(&self, bot_id: BotId, account: &str) {
        let call = || Call::service(Deadline::NONE);
        let Ok(session) = self.platform.login(call(), &LoginCredentials::new(account, PASSWORD)).await else { return };
        let Ok(view) = self.platform.account(call(), &session).await else { return };
        let Ok(blob) = self.platform.export_session(call(), &session).await else { return };
        let secret = SecretId::from_uuid(self.entropy.uuid());
        self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner).insert(secret, (session, blob));
        let at = self.clock.now();
        let success = BotCommand::RecordLoginSuccess {
            attempt: 1,
            platform_pk: view.pk.to_string(),
            session: secret,
            key_id: "simulated".to_owned(),
            session_expires_at: at + TimeDelta::days(90),
            at,
        };
        self.bot(bot_id, success).await;
    }

    async fn campaign(&self, bot_id: BotId, account: &str, module: Module, max_targets: u32) -> CampaignId {
        let campaign_id = CampaignId::from_uuid(self.entropy.uuid());
        let draft = script::draft(module, max_targets, self.world, account);
        let define = CampaignCommand::Define { campaign_id, bot_id, draft, at: self.clock.now() };
        self.tell::<Campaign>(bot_id, &campaign_id.to_string(), define).await;
        campaign_id
    }

    async fn enable(&self, bot_id: BotId, ids: &[CampaignId], mode: Mode, since: TimeDelta) -> EnablementId {
        let at = self.clock.now() - since;
        let enablement_id = EnablementId::from_uuid(self.entropy.uuid());
        let Ok(bot) = self.bus.load::<Bot>(&bot_id.to_string()).await else { return enablement_id };
        let Some(account) = bot.state.account() else { return enablement_id };
        let mut campaigns = Vec::new();
        for id in ids {
            if let Ok(campaign) = self.bus.load::<Campaign>(&id.to_string()).await {
                campaigns.push(campaign.state);
            }
        }
        let plan = Plan::new(account.account_id, bot.state.limits_at(at).clone(), campaigns.iter().map(AsRef::as_ref));
        let authorize = BotCommand::AuthorizeAutomation {
            plan_hash: plan.hash(),
            campaigns: plan.campaign_ids(),
            mode,
            dry_run_waived: true,
            at,
        };
        self.bot(bot_id, authorize).await;
        let (confirmed, current) = (plan.hash(), plan.hash());
        self.bot(bot_id, BotCommand::EnableAutomation { enablement_id, confirmed, current, at }).await;
        enablement_id
    }
}

/// The usual limits, or such as make a few actions take days.
fn limits(rng: &mut SplitMix64) -> Limits {
    let hours = WorkingHours { from: 0, until: 24 };
    if rng.one_in(3) {
        return Limits { hours, ..Limits::default() };
    }
    let mut few = || u32::try_from(rng.between(1, 2)).unwrap_or(1);
    Limits {
        hours,
        follow: few(),
        unfollow: few(),
        like: few(),
        story: few(),
        comment: few(),
        dm: few(),
        ..Limits::default()
    }
}

/// The jobs of a player's campaigns.
pub(super) fn jobs_of(player: &Player) -> Vec<(JobId, Module, CampaignId)> {
    let run_of = projections::reactor::automation::run_of;
    player.campaigns.iter().map(|(module, id)| (run_of(player.enablement, *id), *module, *id)).collect()
}
