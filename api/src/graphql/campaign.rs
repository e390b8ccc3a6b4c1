//! Campaigns and their runs.

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use domain::ids::CampaignId;
use projections::{Order, actions, campaign_runs, campaigns, jobs};
use uuid::Uuid;

use super::action::Action;
use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::counters::Counts;
use super::error::{fault, services};
use super::global_id::Kind;
use super::job::{self, Job};
use super::names::{Mode, Module};
use super::schedule::CampaignSchedule;
use super::targeting::{CampaignFilters, Source};

/// An id that no campaign has.
pub const NO_CAMPAIGN: CampaignId = CampaignId::from_uuid(Uuid::nil());

/// The campaign that an id names, whether or not there is one.
pub fn campaign_id(id: &ID) -> Option<CampaignId> {
    Kind::Campaign.uuid(id).map(CampaignId::from_uuid)
}

/// What a bot should do.
pub struct Campaign(pub campaigns::Campaign);

/// What a bot should do, to whom, and from where its targets come.
#[Object]
impl Campaign {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::Campaign.id(self.0.campaign_id.uuid())
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.definition.name
    }

    /// What it does to its targets.
    async fn module(&self) -> Module {
        self.0.definition.module.into()
    }

    /// Where its targets come from.
    async fn source(&self) -> Source {
        Source::from(&self.0.definition.source)
    }

    /// Most targets of one run.
    async fn max_targets(&self) -> u32 {
        self.0.definition.max_targets
    }

    /// Whom it acts on.
    async fn filters(&self) -> CampaignFilters {
        CampaignFilters::from(&*self.0.definition.filters)
    }

    /// What it says, as a template; null when its module says nothing.
    async fn text(&self) -> Option<&str> {
        self.0.definition.text.as_deref()
    }

    /// What ends all contact when somebody writes it, beside `stop` and its like.
    async fn stop_words(&self) -> &[String] {
        &self.0.definition.stop_words
    }

    /// 1 when it was defined, one more with each revision.
    async fn revision(&self) -> u32 {
        self.0.revision
    }

    /// Whether it is archived, and so part of no plan.
    async fn archived(&self) -> bool {
        self.0.archived
    }

    /// When it was defined.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// When it runs by itself; null while it runs once whenever automation is enabled.
    #[graphql(complexity = "5 + child_complexity")]
    async fn schedule(&self, ctx: &Context<'_>) -> Result<Option<CampaignSchedule>> {
        CampaignSchedule::load(ctx, self.0.campaign_id).await
    }

    /// When it ran, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<CampaignRun>> {
        let asked = PageArguments { first, after, last, before }.check(Order::NewestFirst)?;
        let (bot_id, campaign) = (self.0.bot_id, Some(self.0.campaign_id));
        let pool = &services(ctx)?.deps.pool;
        let page = campaign_runs::of_bot(pool, bot_id, campaign, &asked.page).await.map_err(fault)?;
        let pool = pool.clone();
        let total = TotalCount::by(move || {
            let pool = pool.clone();
            async move { campaign_runs::count_of_bot(&pool, bot_id, campaign).await.map_err(fault) }
        });
        Ok(asked.connection(page, |run| Cursor::of(&run.first_position), CampaignRun, total))
    }

    /// The jobs that run it, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Job>> {
        let (bot_id, campaign_id) = (Some(self.0.bot_id), Some(self.0.campaign_id));
        let filter = jobs::JobFilter { bot_id, campaign_id, ..jobs::JobFilter::default() };
        job::list(ctx, filter, PageArguments { first, after, last, before }).await
    }
}

/// One run of a campaign.
pub struct CampaignRun(pub campaign_runs::CampaignRun);

/// One run of a campaign.
#[Object]
impl CampaignRun {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::CampaignRun.id(self.0.run_id.uuid())
    }

    /// The campaign as it is now.
    async fn campaign(&self, ctx: &Context<'_>) -> Result<Option<Campaign>> {
        super::loader::campaign(ctx, self.0.campaign_id).await
    }

    /// Whether its writes reached Instagram.
    async fn mode(&self) -> Mode {
        self.0.mode.into()
    }

    /// How many targets were found; null until they are listed.
    async fn targets(&self) -> Option<u32> {
        self.0.targets
    }

    /// When it began.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }

    /// When it ended; null while it lasts, or when automation was switched off before its end.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// Why it ended early; null when every target was settled.
    async fn stopped_by(&self) -> Option<&str> {
        self.0.stopped_by.as_deref()
    }

    /// How its actions ended.
    async fn counts(&self) -> Counts {
        self.0.counts.into()
    }

    /// Its actions, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn actions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Action>> {
        let asked = PageArguments { first, after, last, before }.check(Order::NewestFirst)?;
        let filter = actions::ActionFilter { run_id: Some(self.0.run_id), ..actions::ActionFilter::default() };
        let pool = &services(ctx)?.deps.pool;
        let bot_id = self.0.bot_id;
        let page = actions::of_bot(pool, bot_id, &filter, &asked.page).await.map_err(fault)?;
        let pool = pool.clone();
        let total = TotalCount::by(move || {
            let (pool, filter) = (pool.clone(), filter.clone());
            async move { actions::count_of_bot(&pool, bot_id, &filter).await.map_err(fault) }
        });
        Ok(asked.connection(page, |action| Cursor::of(&action.first_position), Action, total))
    }
}
