//! What a person agrees to before automation starts.

use std::time::Duration;

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use domain::bot as bots;
use domain::bot::limits::{PAUSE_SECONDS, hourly};
use domain::campaign as campaign_domain;
use domain::ids::{BotId, CampaignId};
use domain::plan as plans;
use futures_util::future::try_join_all;
use projections::{Order, PageRequest, campaigns};
use store::repository::DEFAULT_SHARD;

use super::behaviour::behaviour;
use super::bot::Bot;
use super::campaign::Campaign;
use super::error::{fault, services};
use super::names::{Counter, Mode};
use crate::deps::Services;

/// More campaigns than a plan may have; the bot refuses a plan with too many.
const MOST_CAMPAIGNS: u32 = 200;

const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long an authorization stands.
const STANDS: TimeDelta = TimeDelta::minutes(10);

/// What enabling would agree to.
pub struct Plan {
    plan: plans::Plan,
    bot: Bot,
}

/// The plan of the bot as it is now; `None` without an account.
pub async fn of(services: &Services, bot: &Bot) -> Result<Option<Plan>> {
    let Some(account) = bot.state.account() else { return Ok(None) };
    let active = active_campaigns(services, bot.id).await?;
    let limits = bot.state.limits_at(bot.now).clone();
    let plan = plans::Plan::new(account.account_id, limits, active.iter().map(AsRef::as_ref));
    Ok(Some(Plan { plan, bot: bot.clone() }))
}

/// Waits until the read model knows every campaign that there is now.
pub async fn wait_for_campaigns(services: &Services) -> Result<()> {
    let deps = &services.deps;
    let head = deps.bus.repository().head(DEFAULT_SHARD).await.map_err(fault)?;
    deps.projections.wait_until("campaigns", head, LONGEST_WAIT).await.map_err(fault)
}

/// The campaigns that are not archived, each as its stream says now.
async fn active_campaigns(
    services: &Services,
    bot_id: BotId,
) -> Result<Vec<std::sync::Arc<campaign_domain::Campaign>>> {
    let deps = &services.deps;
    let page = PageRequest::first(MOST_CAMPAIGNS, Order::OldestFirst);
    let rows = campaigns::of_bot(&deps.pool, bot_id, true, &page).await.map_err(fault)?;
    let loads = rows.items.iter().map(|row| async move {
        let id = row.campaign_id.to_string();
        deps.bus.load::<campaign_domain::Campaign>(&id).await.map(|loaded| loaded.state).map_err(fault)
    });
    try_join_all(loads).await
}

impl Plan {
    /// The hash that a person confirms.
    pub fn hash(&self) -> plans::PlanHash {
        self.plan.hash()
    }

    /// The campaigns in it.
    pub fn campaign_ids(&self) -> Vec<CampaignId> {
        self.plan.campaign_ids()
    }
}

/// What enabling would agree to now: the account, its active campaigns and the limits.
#[Object]
impl Plan {
    /// Names exactly this plan. `enableAutomation` wants it back, and refuses when the plan has changed.
    #[graphql(name = "hash")]
    async fn hash_text(&self) -> String {
        self.hash().to_string()
    }

    /// What will be done.
    async fn campaigns(&self, ctx: &Context<'_>) -> Result<Vec<Campaign>> {
        let mut rows = campaigns::by_ids(&services(ctx)?.deps.pool, &self.campaign_ids()).await.map_err(fault)?;
        rows.sort_by_key(|row| row.campaign_id);
        Ok(rows.into_iter().map(Campaign).collect())
    }

    /// The limits that hold now, after warm-up.
    async fn limits(&self) -> Vec<PlannedLimit> {
        let of = |counter: &bots::Counter| {
            let per_day = self.bot.state.daily_limit(bots::Mode::Live, *counter, self.bot.now);
            PlannedLimit { counter: (*counter).into(), per_day, per_hour: hourly(per_day) }
        };
        bots::Counter::ALL.iter().map(of).collect()
    }

    /// Whether a dry run of it has finished, so that it may go live.
    async fn has_dry_run(&self) -> bool {
        self.bot.state.has_dry_run(&self.hash())
    }

    /// What will happen once it is enabled, in sentences.
    async fn expected_behaviour(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which mode it is enabled")] mode: Mode,
    ) -> Result<Vec<String>> {
        let rows = campaigns::by_ids(&services(ctx)?.deps.pool, &self.campaign_ids()).await.map_err(fault)?;
        Ok(expected(&self.bot, &rows, mode.into()))
    }
}

/// A limit as it will hold.
#[derive(SimpleObject)]
pub struct PlannedLimit {
    /// What is counted.
    counter: Counter,
    /// At most so many in 24 hours.
    per_day: u32,
    /// At most so many in an hour.
    per_hour: u32,
}

fn expected(bot: &Bot, rows: &[campaigns::Campaign], mode: bots::Mode) -> Vec<String> {
    let mut sentences = Vec::new();
    for row in rows {
        let definition = &row.definition;
        let what = behaviour(definition);
        let counter = bots::Counter::from(definition.module.action());
        let per_day = bot.state.daily_limit(mode, counter, bot.now);
        sentences.push(format!(
            "Campaign \"{}\" {what}, at most {per_day} a day and {} an hour over all campaigns.",
            definition.name,
            hourly(per_day),
        ));
    }
    let hours = bot.state.limits_at(bot.now).hours;
    let (least, most) = PAUSE_SECONDS;
    sentences.push(format!("Two writes are {least} to {most} seconds apart."));
    sentences.push(format!(
        "It acts from {}:00 until {}:00, {} time, and waits outside of that.",
        hours.from,
        hours.until,
        bot.state.zone().name(),
    ));
    sentences.push(match mode {
        bots::Mode::DryRun => "Nothing is written to Instagram; it only reads, and shows what it would do.".to_owned(),
        bots::Mode::Live => {
            "Everything is done for real. Automation is against Instagram's terms at any pace, and can \
                             cost the account."
                .to_owned()
        }
    });
    sentences
}

/// Step 1 of switching on, waiting for the second.
pub struct Authorization(pub bots::Authorization);

/// Step 1 of switching automation on, waiting for the second.
#[Object]
impl Authorization {
    /// The plan that was agreed to.
    async fn plan_hash(&self) -> String {
        self.0.plan_hash.to_string()
    }

    /// In which mode it will be enabled.
    async fn mode(&self) -> Mode {
        self.0.mode.into()
    }

    /// When it was given.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// Until when it stands.
    async fn valid_until(&self) -> DateTime<Utc> {
        self.0.at + STANDS
    }

    /// The campaigns of the plan.
    async fn campaigns(&self, ctx: &Context<'_>) -> Result<Vec<Campaign>> {
        let rows = campaigns::by_ids(&services(ctx)?.deps.pool, &self.0.campaigns).await.map_err(fault)?;
        Ok(rows.into_iter().map(Campaign).collect())
    }
}

/// What is switched on.
pub struct Enablement(pub bots::Enablement);

/// What is switched on.
#[Object]
impl Enablement {
    /// The plan that was enabled.
    async fn plan_hash(&self) -> String {
        self.0.plan_hash.to_string()
    }

    /// In which mode.
    async fn mode(&self) -> Mode {
        self.0.mode.into()
    }

    /// Campaigns of the plan whose run has not finished.
    async fn unfinished_campaigns(&self, ctx: &Context<'_>) -> Result<Vec<Campaign>> {
        let ids: Vec<CampaignId> = self.0.unfinished.iter().copied().collect();
        let rows = campaigns::by_ids(&services(ctx)?.deps.pool, &ids).await.map_err(fault)?;
        Ok(rows.into_iter().map(Campaign).collect())
    }
}
