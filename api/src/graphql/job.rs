//! Jobs: durable runs of workflows, where they stand and what they wait for.

use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::{BotId, JobId, RunId};
use domain::job as job_domain;
use domain::user::Role;
use projections::jobs::{self, JobView, OriginKind};
use projections::{Order, campaign_runs, events};
use serde_json::Value;

use super::campaign::{Campaign, CampaignRun, NO_CAMPAIGN, campaign_id};
use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::error::{caller, coded, fault, services};
use super::global_id::Kind;
use super::job_history::JobEvent;
use super::job_waiting::{self, JobWaiting};
use super::names::{JobOrigin, JobPriority, JobState};
use super::scalars::Long;
use crate::code::Code;
use crate::deps::Services;
use crate::http::Caller;

/// The type of a job's stream.
pub const STREAM: &str = "Job";

/// Jobs are counted up to this many.
const MOST_COUNTED: i64 = 100_000;
/// Events that are read at a time when the read model is behind, and how often; then it is shown as far as it is known.
const PAGE: i64 = 1_000;
const MOST_PAGES: usize = 3;
/// Jobs that continue each other are followed no further.
const LONGEST_CHAIN: usize = 100;

/// The job that an id names, whether or not there is one.
pub fn job_id(id: &ID) -> Option<JobId> {
    Kind::Job.uuid(id).map(JobId::from_uuid)
}

/// Which jobs are asked for; everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// In any of these states.
    pub states: Option<Vec<JobState>>,
    /// Of this workflow, such as `campaign_run`.
    pub workflow: Option<String>,
    /// Of this campaign.
    pub campaign_id: Option<ID>,
    /// Of this bot; others than one's own are for administrators.
    pub bot_id: Option<ID>,
    /// Of all bots; for administrators.
    pub everyone: Option<bool>,
    /// Whether it needs attention, retries a step, or is due for more than ten minutes without being taken up.
    pub stuck: Option<bool>,
    /// Created then or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Created before then.
    pub created_before: Option<DateTime<Utc>>,
}

impl JobFilter {
    /// As the read model takes it, for whoever asks.
    pub fn checked(self, caller: &Caller, now: DateTime<Utc>) -> Result<jobs::JobFilter> {
        let own = BotId::of(caller.session.user_id);
        let bot_id = match self.bot_id {
            // An id that does not read names a bot that has no jobs.
            Some(id) => Some(Kind::Bot.uuid(&id).map_or(BotId::from_uuid(uuid::Uuid::nil()), BotId::from_uuid)),
            None if self.everyone == Some(true) => None,
            None => Some(own),
        };
        if bot_id != Some(own) && caller.session.role != Role::Admin {
            return Err(coded(Code::Forbidden, "jobs of other bots are for administrators"));
        }
        let states = self.states.unwrap_or_default().into_iter().chain(self.state);
        Ok(jobs::JobFilter {
            bot_id,
            campaign_id: self.campaign_id.map(|id| campaign_id(&id).unwrap_or(NO_CAMPAIGN)),
            workflow: self.workflow,
            states: states.map(Into::into).collect(),
            stuck: self.stuck.map(|stuck| (stuck, now)),
            created_after: self.created_after,
            created_before: self.created_before,
        })
    }
}

/// One durable run of a workflow.
pub struct Job {
    pub view: JobView,
    /// Whether it is the caller's own. Administrators see where the jobs of others stand, not what is in them.
    is_own: bool,
}

impl Job {
    pub fn of(view: JobView, caller: &Caller) -> Self {
        let is_own = view.bot_id == BotId::of(caller.session.user_id);
        Self { view, is_own }
    }

    /// Whether it is the caller's own.
    pub const fn is_own(&self) -> bool {
        self.is_own
    }

    /// The job as its stream says, if whoever asks may see it.
    pub async fn load(services: &Services, caller: &Caller, id: JobId) -> Result<Option<Self>> {
        let mut view = jobs::by_id(&services.deps.pool, id).await.map_err(fault)?;
        let repository = services.deps.bus.repository();
        for _ in 0..MOST_PAGES {
            let known = view.as_ref().map_or(0, |view| view.last_sequence);
            let more = repository.stream(STREAM, &id.to_string(), known, PAGE).await.map_err(fault)?;
            let is_last = more.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            view = JobView::after(view, &more).map_err(fault)?;
            if is_last {
                break;
            }
        }
        let job = view.map(|view| Self::of(view, caller));
        Ok(job.filter(|job| job.is_own || caller.session.role == Role::Admin))
    }

    /// Another job of the same bot.
    async fn related(&self, ctx: &Context<'_>, id: Option<JobId>) -> Result<Option<Self>> {
        let Some(id) = id else { return Ok(None) };
        let found = super::loader::rows(ctx)?.load_one(id).await?;
        let view = found.filter(|view| view.bot_id == self.view.bot_id);
        Ok(view.map(|view| Self { view, is_own: self.is_own }))
    }

    async fn origin_of(&self, ctx: &Context<'_>, kind: OriginKind) -> Result<Option<Self>> {
        let id = self.view.origin_job_id.filter(|_| self.view.origin_kind == kind);
        self.related(ctx, id).await
    }
}

/// How a step failed.
#[derive(SimpleObject)]
pub struct JobFailure {
    /// A stable code.
    code: String,
    /// What happened, in words.
    message: String,
    /// When.
    at: DateTime<Utc>,
}

/// Where the history and today's code part.
#[derive(SimpleObject)]
pub struct JobDivergence {
    /// Where in the journal.
    index: u32,
    /// What the history has there.
    recorded: String,
    /// What the code asked for.
    attempted: String,
}

/// The step that began or ended last.
#[derive(SimpleObject)]
pub struct JobStep {
    /// Where in the journal.
    index: u32,
    /// Its name; null after the job was set back to it.
    name: Option<String>,
    /// How often it began.
    attempts: u32,
    /// Whether it failed and is tried again.
    retrying: bool,
    /// Its last failure; null once it has completed.
    failure: Option<JobFailure>,
}

/// One durable run of a workflow: it goes on after a crash, a deploy or weeks of sleep. What its code did is in its
/// history, and what is recorded there is never done again.
#[Object]
impl Job {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::Job.id(self.view.job_id.uuid())
    }

    /// Global id of the bot that it belongs to.
    async fn bot_id(&self) -> ID {
        Kind::Bot.id(self.view.bot_id.uuid())
    }

    /// What it runs, such as `campaign_run`.
    async fn workflow(&self) -> &str {
        &self.view.workflow
    }

    /// Where it stands.
    async fn state(&self) -> JobState {
        self.view.state.into()
    }

    /// How urgent it is among the jobs of its bot.
    async fn priority(&self) -> JobPriority {
        self.view.priority.into()
    }

    /// Why a person paused, cancelled, ended or set it back.
    async fn reason(&self) -> Option<&str> {
        self.view.reason.as_deref()
    }

    /// Whether it needs attention, retries a step, or is due for more than ten minutes without being taken up.
    async fn stuck(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.view.is_stuck(services(ctx)?.deps.clock.now()))
    }

    /// What it waits for, and when that ends; null once it is over.
    #[graphql(complexity = "5 + child_complexity")]
    async fn waiting(&self, ctx: &Context<'_>) -> Result<Option<JobWaiting>> {
        job_waiting::of(services(ctx)?, &self.view).await
    }

    /// The same in short, from the history alone: `timer`, `retry of step NAME`, `signal NAME` or `child ID`.
    async fn waiting_for(&self) -> Option<&str> {
        self.view.waiting_for.as_deref()
    }

    /// When something is to be done next; null while it waits for others, is paused, needs attention or is over.
    async fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.view.wake_at
    }

    /// Why it is there.
    async fn origin(&self) -> JobOrigin {
        self.view.origin_kind.into()
    }

    /// The campaign that it runs.
    async fn campaign(&self, ctx: &Context<'_>) -> Result<Option<Campaign>> {
        match self.view.campaign_id.filter(|_| self.is_own) {
            Some(id) => super::loader::campaign(ctx, id).await,
            None => Ok(None),
        }
    }

    /// When the campaign was due.
    async fn due_at(&self) -> Option<DateTime<Utc>> {
        self.view.due_at
    }

    /// The run of a campaign that it is, with its actions.
    async fn run(&self, ctx: &Context<'_>) -> Result<Option<CampaignRun>> {
        if !self.is_own || self.view.campaign_id.is_none() {
            return Ok(None);
        }
        // A run has the id of its first job.
        let mut first = self.view.clone();
        for _ in 0..LONGEST_CHAIN {
            let Some(earlier) = first.origin_job_id.filter(|_| first.origin_kind == OriginKind::Continued) else {
                break;
            };
            let Some(earlier) = self.related(ctx, Some(earlier)).await? else { break };
            first = earlier.view;
        }
        let run_id = RunId::from_uuid(first.job_id.uuid());
        let run = campaign_runs::by_id(&services(ctx)?.deps.pool, run_id).await.map_err(fault)?;
        Ok(run.filter(|run| run.bot_id == self.view.bot_id).map(CampaignRun))
    }

    /// The job that started it.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        self.origin_of(ctx, OriginKind::Parent).await
    }

    /// The job in whose place it goes on.
    async fn continued_from(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        self.origin_of(ctx, OriginKind::Continued).await
    }

    /// The job that it is a fork of.
    async fn forked_from(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        self.origin_of(ctx, OriginKind::Forked).await
    }

    /// Where in the journal of its parent, or of the job that it is a fork of, it began.
    async fn origin_index(&self) -> Option<u32> {
        self.view.origin_index
    }

    /// The job that goes on in its place.
    async fn next(&self, ctx: &Context<'_>) -> Result<Option<Self>> {
        self.related(ctx, self.view.next_job_id).await
    }

    /// The jobs that came from it: its children, its forks and the one that goes on in its place; oldest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn children(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Self>> {
        let asked = PageArguments { first, after, last, before }.check(Order::OldestFirst)?;
        let pool = &services(ctx)?.deps.pool;
        let (id, is_own) = (self.view.job_id, self.is_own);
        let page = jobs::children_of(pool, id, &asked.page).await.map_err(fault)?;
        let pool = pool.clone();
        let total = TotalCount::by(move || {
            let pool = pool.clone();
            async move { jobs::count_children_of(&pool, id).await.map_err(fault) }
        });
        Ok(asked.connection(page, |view| Cursor::of(&view.first_position), |view| Self { view, is_own }, total))
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.view.created_at
    }

    /// When it began.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.view.started_at
    }

    /// When it ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.view.ended_at
    }

    /// When something last happened to it.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.view.updated_at
    }

    /// The step that began or ended last.
    async fn step(&self) -> Option<JobStep> {
        let failure = self.view.failure.clone();
        Some(JobStep {
            index: self.view.step_index?,
            name: self.view.step_name.clone(),
            attempts: self.view.attempts,
            retrying: self.view.retrying,
            failure: failure.map(|jobs::Failure { code, message, at }| JobFailure { code, message, at }),
        })
    }

    /// Why it failed, as a stable code.
    async fn end_code(&self) -> Option<&str> {
        self.view.end_code.as_deref()
    }

    /// Why it failed, in words.
    async fn end_message(&self) -> Option<&str> {
        self.view.end_message.as_deref()
    }

    /// What it ended with. Null for administrators who look at the job of somebody else.
    async fn result(&self) -> Option<Json<&Value>> {
        self.view.result.as_ref().filter(|_| self.is_own).map(Json)
    }

    /// What it began with. Null for administrators who look at the job of somebody else.
    async fn input(&self, ctx: &Context<'_>) -> Result<Option<Json<Value>>> {
        if !self.is_own {
            return Ok(None);
        }
        let repository = services(ctx)?.deps.bus.repository();
        let first = repository.stream(STREAM, &self.view.job_id.to_string(), 0, 1).await.map_err(fault)?;
        Ok(first.into_iter().next().and_then(|event| event.payload.get("input").cloned()).map(Json))
    }

    /// Where its history and today's code part; it stands still until a person acts.
    async fn divergence(&self) -> Option<JobDivergence> {
        let jobs::Diverged { index, recorded, attempted } = self.view.divergence.clone()?;
        Some(JobDivergence { index, recorded, attempted })
    }

    /// Who did the last thing to it, such as `user:<uuid>` or `worker:<name>`.
    async fn last_actor(&self) -> &str {
        &self.view.last_actor
    }

    /// How many events its history has.
    async fn history_length(&self) -> Long {
        Long(self.view.last_sequence)
    }

    /// Everything that happened to it, oldest first. Any page costs the same, however long the history is.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<JobEvent>> {
        let asked = PageArguments { first, after, last, before }.check::<i64>(Order::OldestFirst)?;
        let pool = &services(ctx)?.deps.pool;
        let (id, is_own) = (self.view.job_id.to_string(), self.is_own);
        let page = events::of_stream_by_sequence(pool, STREAM, &id, &asked.page).await.map_err(fault)?;
        let pool = pool.clone();
        let total = TotalCount::by(move || {
            let (pool, id) = (pool.clone(), id.clone());
            async move { events::length_of_stream(&pool, STREAM, &id).await.map_err(fault) }
        });
        let node = |event| JobEvent { event, is_own };
        Ok(asked.connection(page, |event| Cursor::of(&event.sequence), node, total))
    }
}

/// A page of the jobs that `filter` lets through, newest first.
pub async fn list(ctx: &Context<'_>, filter: jobs::JobFilter, page: PageArguments) -> Result<List<Job>> {
    let caller = caller(ctx)?;
    let asked = page.check(Order::NewestFirst)?;
    let pool = &services(ctx)?.deps.pool;
    let page = jobs::list(pool, &filter, &asked.page).await.map_err(fault)?;
    let pool = pool.clone();
    let total = TotalCount::by(move || {
        let (pool, filter) = (pool.clone(), filter.clone());
        async move { jobs::count(&pool, &filter, MOST_COUNTED).await.map_err(fault) }
    });
    Ok(asked.connection(page, |view| Cursor::of(&view.first_position), |view| Job::of(view, caller), total))
}

/// The aggregate of a job of the caller's own bot.
pub async fn own(
    services: &Services,
    bot_id: BotId,
    id: &ID,
) -> Result<Option<(JobId, std::sync::Arc<job_domain::Job>)>> {
    let Some(id) = job_id(id) else { return Ok(None) };
    let loaded = services.deps.bus.load::<job_domain::Job>(&id.to_string()).await.map_err(fault)?;
    Ok((loaded.state.bot_id() == Some(bot_id)).then_some((id, loaded.state)))
}
