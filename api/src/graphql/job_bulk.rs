//! Changes of many jobs at once, and what became of each job.

use async_graphql::{Context, Enum, ID, Object, Result};
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::job as job_domain;
use projections::{Order, Page};
use store::bulk::{self, BulkOperation, BulkResult};
use uuid::Uuid;

use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::error::{caller, fault, services};
use super::global_id::Kind;
use super::job::Job;
use super::names::{JobChange, JobPriority};

/// What became of one job of a bulk operation.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum JobBulkStatus {
    /// Its turn has not come.
    Pending,
    /// It took the change.
    Done,
    /// It did not; the code says why.
    Refused,
}

impl JobBulkStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Done => "DONE",
            Self::Refused => "REFUSED",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "DONE" => Self::Done,
            "REFUSED" => Self::Refused,
            _ => Self::Pending,
        }
    }
}

/// A change of many jobs at once.
pub struct JobBulkOperation(pub BulkOperation);

/// A change of many jobs at once. A worker carries it out job by job; after a restart it goes on where it was.
#[Object]
impl JobBulkOperation {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::JobBulkOperation.id(self.0.id)
    }

    /// What was asked of each job.
    async fn action(&self) -> Option<JobChange> {
        self.0.change.parse::<job_domain::JobChange>().ok().map(Into::into)
    }

    /// Which priority is set, when that was asked.
    async fn priority(&self) -> Option<JobPriority> {
        self.0.priority.as_ref()?.parse::<job_domain::JobPriority>().ok().map(Into::into)
    }

    /// Why.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Who asked, such as `user:<uuid>`.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// When it was asked.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When every job had had its turn; null until then.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// How many jobs it is about.
    async fn total(&self) -> i32 {
        self.0.total
    }

    /// How many took the change.
    async fn done(&self) -> i32 {
        self.0.done
    }

    /// How many did not.
    async fn refused(&self) -> i32 {
        self.0.refused
    }

    /// How many have not had their turn.
    async fn pending(&self) -> i32 {
        self.0.total - self.0.done - self.0.refused
    }

    /// What became of each job.
    #[graphql(complexity = "10 + first.or(last).map_or(25, |count| count.max(1) as usize) * child_complexity")]
    async fn results(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those")] status: Option<JobBulkStatus>,
        #[graphql(desc = "How many, 1 to 100, from the list's beginning")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor")] after: Option<String>,
        #[graphql(desc = "How many, 1 to 100, from the list's end")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor")] before: Option<String>,
    ) -> Result<List<JobBulkResult>> {
        let asked = PageArguments { first, after, last, before }.check::<i32>(Order::OldestFirst)?;
        let page = &asked.page;
        let backwards = page.order == Order::NewestFirst;
        let (pool, fetched) = (&services(ctx)?.deps.pool, i64::from(page.limit) + 1);
        let status = status.map(JobBulkStatus::as_str);
        let rows = bulk::results(pool, self.0.id, status, page.after, backwards, fetched).await.map_err(fault)?;
        let total = match status {
            None => self.0.total,
            Some("DONE") => self.0.done,
            Some("REFUSED") => self.0.refused,
            Some(_) => self.0.total - self.0.done - self.0.refused,
        };
        let total = TotalCount::by(move || async move { Ok(i64::from(total)) });
        Ok(asked.connection(cut(rows, page.limit), |row| Cursor::of(&row.number), JobBulkResult, total))
    }
}

/// What became of one job of a bulk operation.
pub struct JobBulkResult(pub BulkResult);

/// What became of one job of a bulk operation.
#[Object]
impl JobBulkResult {
    /// Global id of the job.
    async fn job_id(&self) -> ID {
        Kind::Job.id(self.0.job_id.uuid())
    }

    /// The job as it is now.
    async fn job(&self, ctx: &Context<'_>) -> Result<Option<Job>> {
        let view = super::loader::rows(ctx)?.load_one::<JobId>(self.0.job_id).await?;
        let caller = caller(ctx)?;
        Ok(view.map(|view| Job::of(view, caller)))
    }

    /// What became of it.
    async fn status(&self) -> JobBulkStatus {
        JobBulkStatus::of(&self.0.status)
    }

    /// Why it was refused, as a stable code.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Why it was refused, in words.
    async fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// When its turn was.
    async fn at(&self) -> Option<DateTime<Utc>> {
        self.0.at
    }
}

/// A page of the caller's own bulk operations, newest first.
pub async fn list(ctx: &Context<'_>, page: PageArguments) -> Result<List<JobBulkOperation>> {
    let bot_id = domain::ids::BotId::of(caller(ctx)?.session.user_id);
    let asked = page.check::<Uuid>(Order::NewestFirst)?;
    let page = &asked.page;
    let newest_first = page.order == Order::NewestFirst;
    let (pool, fetched) = (&services(ctx)?.deps.pool, i64::from(page.limit) + 1);
    let rows = bulk::of_bot(pool, bot_id, page.after, newest_first, fetched).await.map_err(fault)?;
    Ok(asked.connection(cut(rows, page.limit), |row| Cursor::of(&row.id), JobBulkOperation, TotalCount::unknown()))
}

fn cut<Item>(mut items: Vec<Item>, limit: u32) -> Page<Item> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page { items, has_more }
}
