//! The bot: where it stands, and doors to everything that is its own.
//!
//! It is folded from its stream at the moment it is asked for, so whoever changes it sees the change.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::bot as bots;
use domain::ids::BotId;
use projections::Order;
use projections::{actions, bot_counters, bot_status, campaign_runs, campaigns, events, jobs};

use super::account::{Account, Login};
use super::action::{Action, ActionFilter, Doubt, OpenAction};
use super::campaign::{Campaign, CampaignRun};
use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::counters::{DayCounter, day_counters};
use super::error::{caller, fault, services};
use super::event::{BotEvent, EventKey};
use super::global_id::Kind;
use super::job::{self, Job, JobFilter};
use super::limits::Limits;
use super::names::{ActionKind, BotState, Mode};
use super::plan::{self, Authorization, Enablement, Plan};
use super::scalars::{Date, Long};
use super::verdict::Verdict;
use crate::deps::Services;

/// The longest span of days that counters are given for.
const MOST_DAYS: i64 = 92;

/// One user's automation.
#[derive(Clone)]
pub struct Bot {
    pub id: BotId,
    pub state: Arc<bots::Bot>,
    pub sequence: i64,
    pub now: DateTime<Utc>,
}

impl Bot {
    /// The bot as its stream says now.
    pub async fn load(services: &Services, bot_id: BotId) -> Result<Self> {
        let loaded = services.deps.bus.load::<bots::Bot>(&bot_id.to_string()).await.map_err(fault)?;
        let now = services.deps.clock.now();
        Ok(Self { id: bot_id, state: loaded.state, sequence: loaded.sequence, now })
    }

    /// Today, where the account is.
    fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.state.zone()).date_naive()
    }

    fn enabled_mode(&self) -> Option<bots::Mode> {
        self.state.enablement().map(|enablement| enablement.mode)
    }
}

/// One user's automation. A user has exactly one.
#[Object]
impl Bot {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::Bot.id(self.id.uuid())
    }

    /// Where it stands.
    async fn state(&self) -> BotState {
        self.state.state().into()
    }

    /// Why it stands there, when there is more to say than the state.
    async fn reason(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if let Some(reason) = self.state.error_reason() {
            return Ok(Some(reason.to_owned()));
        }
        let row = bot_status::of_bot(&services(ctx)?.deps.pool, self.id).await.map_err(fault)?;
        Ok(row.filter(|row| row.state == self.state.state()).and_then(|row| row.reason))
    }

    /// Whether writes reach Instagram; null unless automation is enabled.
    async fn mode(&self) -> Option<Mode> {
        self.enabled_mode().map(Into::into)
    }

    /// The linked Instagram account.
    async fn account(&self) -> Option<Account> {
        self.state.account().cloned().map(Account)
    }

    /// The login and its session.
    async fn login(&self) -> Login {
        Login { login: self.state.login().clone(), state: self.state.state() }
    }

    /// What it may do in an hour and a day, and how much of that is used.
    async fn limits(&self) -> Limits {
        Limits { bot: self.clone() }
    }

    /// For each kind of action, whether it may be done now; if not, why, and when it may.
    async fn verdicts(
        &self,
        #[graphql(desc = "In which mode; the enabled one, or LIVE, when it is left out")] mode: Option<Mode>,
    ) -> Vec<Verdict> {
        let mode = mode.map(Into::into).or(self.enabled_mode()).unwrap_or(bots::Mode::Live);
        bots::ActionKind::ALL.iter().map(|kind| Verdict::of(self, *kind, mode)).collect()
    }

    /// Today's date where the account is: the day that counters are kept by.
    async fn local_day(&self) -> Date {
        self.today().into()
    }

    /// How actions ended, by local day, kind and mode; today's when no days are given. Days and kinds without actions
    /// are left out.
    #[graphql(complexity = "20 + child_complexity * 20")]
    async fn counters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "First local day; today when it is left out")] from: Option<Date>,
        #[graphql(desc = "Last local day; the first one when it is left out")] to: Option<Date>,
    ) -> Result<Vec<DayCounter>> {
        let from = from.map_or_else(|| self.today(), |from| from.0);
        let to = to.map_or(from, |to| to.0);
        let from = from.max(to - chrono::TimeDelta::days(MOST_DAYS));
        let rows = bot_counters::of_bot(&services(ctx)?.deps.pool, self.id, from, to).await.map_err(fault)?;
        Ok(day_counters(rows))
    }

    /// What it did and what it wanted to do, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn actions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which actions")] filter: Option<ActionFilter>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Action>> {
        let asked = PageArguments { first, after, last, before }.check(Order::NewestFirst)?;
        let filter = filter.unwrap_or_default().checked();
        let pool = &services(ctx)?.deps.pool;
        let page = match &filter {
            Some(filter) => actions::of_bot(pool, self.id, filter, &asked.page).await.map_err(fault)?,
            None => projections::Page { items: Vec::new(), has_more: false },
        };
        let (pool, bot_id) = (pool.clone(), self.id);
        let total = TotalCount::by(move || {
            let (pool, filter) = (pool.clone(), filter.clone());
            async move {
                let Some(filter) = filter else { return Ok(0) };
                actions::count_of_bot(&pool, bot_id, &filter).await.map_err(fault)
            }
        });
        Ok(asked.connection(page, |action| Cursor::of(&action.first_position), Action, total))
    }

    /// The action that is reserved and not settled; there is never more than one.
    async fn open_action(&self) -> Option<OpenAction> {
        self.state.open_reservation().cloned().map(OpenAction)
    }

    /// Actions whose outcome is not known. Look at Instagram, then settle them.
    async fn in_doubt(&self) -> Vec<Doubt> {
        self.state.in_doubt().cloned().map(Doubt).collect()
    }

    /// Everything that happened to it, newest first. A cursor of it can be given to the subscription `events`.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<BotEvent>> {
        let asked = PageArguments { first, after, last, before }.check::<EventKey>(Order::NewestFirst)?;
        let pool = &services(ctx)?.deps.pool;
        let key = asked.by_key(EventKey::log_key);
        let id = self.id.to_string();
        let page = events::of_stream(pool, "Bot", &id, &key).await.map_err(fault)?;
        let total = self.sequence;
        let total = TotalCount::by(move || async move { Ok(total) });
        Ok(asked.connection(page, |event| Cursor::of(&EventKey::of(event)), BotEvent, total))
    }

    /// What enabling would agree to now: the account, its active campaigns and the limits. Null without an account.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Option<Plan>> {
        plan::of(services(ctx)?, self).await
    }

    /// Step 1 of switching on, waiting for the second.
    async fn authorization(&self) -> Option<Authorization> {
        self.state.authorization().cloned().map(Authorization)
    }

    /// What is switched on; null unless RUNNING or PAUSED.
    async fn enablement(&self) -> Option<Enablement> {
        self.state.enablement().cloned().map(Enablement)
    }

    /// What it should do, in the order of their making.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn campaigns(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Also those that were archived", default)] with_archived: bool,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Campaign>> {
        let asked = PageArguments { first, after, last, before }.check(Order::OldestFirst)?;
        let pool = &services(ctx)?.deps.pool;
        let page = campaigns::of_bot(pool, self.id, with_archived, &asked.page).await.map_err(fault)?;
        let (pool, bot_id) = (pool.clone(), self.id);
        let total = TotalCount::by(move || {
            let pool = pool.clone();
            async move { campaigns::count_of_bot(&pool, bot_id, with_archived).await.map_err(fault) }
        });
        Ok(asked.connection(page, |campaign| Cursor::of(&campaign.campaign_id), Campaign, total))
    }

    /// When its campaigns ran, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only runs of this campaign")] campaign_id: Option<ID>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<CampaignRun>> {
        let asked = PageArguments { first, after, last, before }.check(Order::NewestFirst)?;
        // An id that does not read names a campaign that has no runs.
        let campaign = campaign_id.map(|id| super::campaign::campaign_id(&id).unwrap_or(super::campaign::NO_CAMPAIGN));
        let pool = &services(ctx)?.deps.pool;
        let page = campaign_runs::of_bot(pool, self.id, campaign, &asked.page).await.map_err(fault)?;
        let (pool, bot_id) = (pool.clone(), self.id);
        let total = TotalCount::by(move || {
            let pool = pool.clone();
            async move { campaign_runs::count_of_bot(&pool, bot_id, campaign).await.map_err(fault) }
        });
        Ok(asked.connection(page, |run| Cursor::of(&run.first_position), CampaignRun, total))
    }

    /// Its jobs, newest first.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of its jobs")] filter: Option<JobFilter>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<Job>> {
        let filter = filter.unwrap_or_default().checked(caller(ctx)?, self.now)?;
        let filter = jobs::JobFilter { bot_id: Some(self.id), ..filter };
        job::list(ctx, filter, PageArguments { first, after, last, before }).await
    }

    /// How actions ended since the beginning, by kind and mode.
    async fn totals(&self, ctx: &Context<'_>) -> Result<Vec<KindTotal>> {
        let rows = bot_counters::totals(&services(ctx)?.deps.pool, self.id).await.map_err(fault)?;
        let total = |(kind, mode, counts): (bots::ActionKind, bots::Mode, bot_counters::Counts)| KindTotal {
            kind: kind.into(),
            mode: mode.into(),
            counts: counts.into(),
        };
        Ok(rows.into_iter().map(total).collect())
    }

    /// How many events it has; one more with each.
    async fn sequence(&self) -> Long {
        Long(self.sequence)
    }
}

/// How the actions of a kind ended since the beginning.
#[derive(SimpleObject)]
pub struct KindTotal {
    /// Of which kind.
    kind: ActionKind,
    /// In which mode.
    mode: Mode,
    /// How they ended.
    counts: super::counters::Counts,
}
