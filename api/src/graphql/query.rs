//! The doors for reading: the viewer, any node by its id, and what administrators see.

use async_graphql::{Context, ID, Interface, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::{ActionId, BotId, CampaignId, JobId, RunId, UserId};
use domain::user::Role;
use projections::{Order, actions, audit_trail, campaign_runs, campaigns, users};
use store::bulk;
use uuid::Uuid;

use super::account::Account;
use super::action::Action;
use super::audit::{AuditEntry, AuditFilter, AuditKey};
use super::bot::Bot;
use super::campaign::{Campaign, CampaignRun};
use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::engine_settings::{self, EngineSettings};
use super::error::{admin, caller, coded, fault, restricted_caller, services};
use super::global_id::{self, Kind};
use super::in_doubt::{self, InDoubtAction};
use super::job::{self, Job, JobFilter};
use super::job_bulk::{self, JobBulkOperation};
use super::schedule::{ScheduleInput, SchedulePreview};
use super::targeting::TemplatePreview;
use super::user::User;
use crate::code::Code;
use crate::deps::Services;
use crate::http::Problem;

/// Entries of the audit trail are counted up to this many.
const MOST_ENTRIES_COUNTED: i64 = 10_000;

/// Anything with a global id.
#[expect(clippy::large_enum_variant, reason = "there is one for each answer, and the interface takes no boxes")]
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Global id."))]
pub enum Node {
    User(User),
    Bot(Bot),
    Account(Account),
    Campaign(Campaign),
    CampaignRun(CampaignRun),
    Action(Action),
    Job(Job),
    JobBulkOperation(JobBulkOperation),
}

/// Everything that can be read.
#[derive(Default)]
pub struct Query;

/// Everything that can be read. Whoever asks must be signed in.
#[Object]
impl Query {
    /// Whoever asks.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        Ok(Viewer { user_id: restricted_caller(ctx)?.session.user_id })
    }

    /// Anything by its global id; null when it is not there or is somebody else's.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "Global id")] id: ID) -> Result<Option<Node>> {
        find(ctx, &id).await
    }

    /// Many things by their global ids, at most 100; null in the place of each that is not there.
    #[graphql(complexity = "ids.len() * (child_complexity + 1)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global ids")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            return Err(coded(Code::InvalidPage, "at most 100 ids at a time"));
        }
        let mut found = Vec::with_capacity(ids.len());
        for id in &ids {
            found.push(find(ctx, id).await?);
        }
        Ok(found)
    }

    /// The clock and the version of the service.
    async fn engine(&self, ctx: &Context<'_>) -> Result<Engine> {
        caller(ctx)?;
        Ok(Engine::of(services(ctx)?))
    }

    /// What a text of a campaign becomes for a few people, and whether a campaign would take it. Nothing is sent.
    async fn preview_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text, with variables and alternatives")] text: String,
        #[graphql(desc = "How many renderings, 1 to 20", default = 5)] samples: i32,
        #[graphql(desc = "Most targets of one run of the campaign", default = 20)] max_targets: u32,
    ) -> Result<TemplatePreview> {
        caller(ctx)?;
        TemplatePreview::of(&text, samples, max_targets)
    }

    /// When a schedule would run a campaign, without storing it.
    #[graphql(complexity = "5 + first.clamp(1, 100) as usize * child_complexity")]
    async fn preview_schedule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The schedule")] schedule: ScheduleInput,
        #[graphql(desc = "Global id of the campaign: the starts of each spread differently")] campaign_id: Option<ID>,
        #[graphql(desc = "How many due times, 1 to 100", default = 10)] first: i32,
    ) -> Result<SchedulePreview> {
        caller(ctx)?;
        SchedulePreview::of(ctx, schedule, campaign_id.as_ref(), first)
    }

    /// How much the engine does at a time; for administrators.
    async fn engine_settings(&self, ctx: &Context<'_>) -> Result<EngineSettings> {
        engine_settings::shown(ctx).await
    }

    /// All users by their names; for administrators.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<User>> {
        admin(ctx)?;
        let asked = PageArguments { first, after, last, before }.check(Order::OldestFirst)?;
        let pool = &services(ctx)?.deps.pool;
        let page = users::list(pool, &asked.page).await.map_err(fault)?;
        let pool = pool.clone();
        let total = TotalCount::by(move || {
            let pool = pool.clone();
            async move { users::count(&pool).await.map_err(fault) }
        });
        Ok(asked.connection(page, |user| Cursor::of(&user.username), User::from, total))
    }

    /// Jobs, newest first: those of the caller's own bot, or as the filter says.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which jobs")] filter: Option<JobFilter>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Job>> {
        let filter = filter.unwrap_or_default().checked(caller(ctx)?, services(ctx)?.deps.clock.now())?;
        job::list(ctx, filter, PageArguments { first, after, last, before }).await
    }

    /// Changes of many jobs that the caller asked for, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn job_bulk_operations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<JobBulkOperation>> {
        job_bulk::list(ctx, PageArguments { first, after, last, before }).await
    }

    /// Actions of the caller's own bot whose outcome is not known, oldest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn in_doubt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<InDoubtAction>> {
        in_doubt::list(ctx, PageArguments { first, after, last, before }).await
    }

    /// Everything that happened, newest first, counted up to 10,000; for administrators.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn audit_trail(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries")] filter: Option<AuditFilter>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<AuditEntry>> {
        admin(ctx)?;
        let asked = PageArguments { first, after, last, before }.check::<AuditKey>(Order::NewestFirst)?;
        let filter = filter.unwrap_or_default().checked()?;
        let key = asked.by_key(AuditKey::log_key);
        let pool = services(ctx)?.deps.pool.clone();
        let page = audit_trail::list(&pool, &filter, &key).await.map_err(fault)?;
        let cursor = |entry: &audit_trail::AuditEntry| Cursor::of(&AuditKey::of(entry));
        let total = TotalCount::by(move || {
            let (pool, filter) = (pool.clone(), filter.clone());
            async move { audit_trail::count(&pool, &filter, MOST_ENTRIES_COUNTED).await.map_err(fault) }
        });
        Ok(asked.connection(page, cursor, AuditEntry, total))
    }
}

/// Whoever asks.
pub struct Viewer {
    user_id: UserId,
}

/// Whoever asks, and what is theirs.
#[Object]
impl Viewer {
    /// Their login.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        let state = services(ctx)?.users.load(self.user_id).await.map_err(fault)?;
        User::of(self.user_id, &state).ok_or_else(|| fault(Problem::unauthenticated()))
    }

    /// Their automation; it is there for everybody, `NOT_INITIALIZED` at first.
    async fn bot(&self, ctx: &Context<'_>) -> Result<Bot> {
        let user_id = caller(ctx)?.session.user_id;
        Bot::load(services(ctx)?, BotId::of(user_id)).await
    }

    /// When this session ends at the latest.
    async fn session_expires_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        Ok(restricted_caller(ctx)?.session.expires_at)
    }
}

/// The clock and the version of the service.
#[derive(SimpleObject)]
pub struct Engine {
    /// The engine's time, by which all instants of bots are.
    now: DateTime<Utc>,
    /// How many times faster than the world the clock runs; 1 but in a sandbox.
    clock_speed: f64,
    /// Whether the speed can be set, as in a sandbox.
    clock_adjustable: bool,
    /// The version of the service.
    version: &'static str,
}

impl Engine {
    /// The engine as it is now.
    pub fn of(services: &Services) -> Self {
        let deps = &services.deps;
        Self {
            now: deps.clock.now(),
            clock_speed: deps.clock.speed(),
            clock_adjustable: deps.clock_control.is_some(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What an id names, if whoever asks may see it.
async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let caller = caller(ctx)?;
    let session = &caller.session;
    let own = BotId::of(session.user_id);
    let Some((kind, uuid)) = global_id::parse(id) else { return Ok(None) };
    let services = services(ctx)?;
    match kind {
        Kind::User if uuid == own.uuid() || session.role == Role::Admin => user(services, uuid).await,
        Kind::Bot if uuid == own.uuid() => Ok(Some(Node::Bot(Bot::load(services, own).await?))),
        Kind::Account => {
            let account = Bot::load(services, own).await?.state.account().cloned();
            Ok(account
                .filter(|account| account.account_id.uuid() == uuid)
                .map(|account| Node::Account(Account(account))))
        }
        Kind::Campaign | Kind::CampaignRun | Kind::Action => row(services, kind, uuid, own).await,
        Kind::Job => Ok(Job::load(services, caller, JobId::from_uuid(uuid)).await?.map(Node::Job)),
        Kind::JobBulkOperation => {
            let operation = bulk::find(&services.deps.pool, uuid).await.map_err(fault)?;
            Ok(operation.filter(|it| it.bot_id == own).map(|it| Node::JobBulkOperation(JobBulkOperation(it))))
        }
        Kind::User | Kind::Bot | Kind::BotEvent | Kind::JobEvent | Kind::AuditEntry => Ok(None),
    }
}

async fn user(services: &Services, uuid: Uuid) -> Result<Option<Node>> {
    let id = UserId::from_uuid(uuid);
    let state = services.users.load(id).await.map_err(fault)?;
    Ok(User::of(id, &state).map(Node::User))
}

/// A row of the caller's own.
async fn row(services: &Services, kind: Kind, uuid: Uuid, own: BotId) -> Result<Option<Node>> {
    let pool = &services.deps.pool;
    Ok(match kind {
        Kind::Campaign => campaigns::by_id(pool, CampaignId::from_uuid(uuid))
            .await
            .map_err(fault)?
            .filter(|row| row.bot_id == own)
            .map(|row| Node::Campaign(Campaign(row))),
        Kind::CampaignRun => campaign_runs::by_id(pool, RunId::from_uuid(uuid))
            .await
            .map_err(fault)?
            .filter(|row| row.bot_id == own)
            .map(|row| Node::CampaignRun(CampaignRun(row))),
        Kind::Action => actions::by_id(pool, ActionId::from_uuid(uuid))
            .await
            .map_err(fault)?
            .filter(|row| row.bot_id == own)
            .map(|row| Node::Action(Action(row))),
        _ => None,
    })
}
