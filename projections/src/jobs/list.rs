//! Jobs for people: one, some, how many.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{BotId, CampaignId, JobId};
use domain::job::JobState;
use sqlx::{PgExecutor, Postgres, QueryBuilder};

use super::JobView;
use super::rows::COLUMNS;
use crate::page::{Page, PageRequest};

/// A job that is due for longer is stuck: nobody takes it up.
pub const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Which jobs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub bot_id: Option<BotId>,
    pub campaign_id: Option<CampaignId>,
    pub workflow: Option<String>,
    /// Any of these; all when empty.
    pub states: Vec<JobState>,
    /// Whether it needs attention, retries a step, or is due for long without being taken up. Seen at this instant.
    pub stuck: Option<(bool, DateTime<Utc>)>,
    /// Engine time, included.
    pub created_after: Option<DateTime<Utc>>,
    /// Engine time, not included.
    pub created_before: Option<DateTime<Utc>>,
}

fn conditions(query: &mut QueryBuilder<'_, Postgres>, filter: &JobFilter) {
    if let Some(bot_id) = filter.bot_id {
        query.push(" AND bot_id = ").push_bind(bot_id.uuid());
    }
    if let Some(campaign_id) = filter.campaign_id {
        query.push(" AND campaign_id = ").push_bind(campaign_id.uuid());
    }
    if let Some(workflow) = &filter.workflow {
        query.push(" AND workflow = ").push_bind(workflow.clone());
    }
    if !filter.states.is_empty() {
        // Names of ours, so that the planner sees which index has them.
        let names: Vec<_> = filter.states.iter().map(|state| format!("'{}'", state.as_str())).collect();
        query.push(" AND state IN (").push(names.join(", ")).push(")");
    }
    if let Some((stuck, now)) = filter.stuck {
        query.push(if stuck { " AND (" } else { " AND NOT (" });
        query.push("state = 'NEEDS_ATTENTION' OR (state IN ('PENDING', 'RUNNING', 'CANCELLING') AND (retrying");
        query.push(" OR ((NOT runnable OR state = 'PENDING') AND wake_at IS NOT NULL AND wake_at < ");
        query.push_bind(now - OVERDUE_AFTER).push("))))");
        if stuck {
            // Implied by the rest; it names the index of those that have not completed.
            query.push(" AND state IN ('NEEDS_ATTENTION', 'PENDING', 'RUNNING', 'CANCELLING')");
        }
    }
    if let Some(from) = filter.created_after {
        query.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(until) = filter.created_before {
        query.push(" AND created_at < ").push_bind(until);
    }
}

/// The job of an id.
pub async fn by_id(db: impl PgExecutor<'_>, job_id: JobId) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM jobs WHERE job_id = $1"))
        .bind(job_id.uuid())
        .fetch_optional(db)
        .await
}

/// The jobs of ids that there are.
pub async fn by_ids(db: impl PgExecutor<'_>, ids: &[JobId]) -> Result<Vec<JobView>, sqlx::Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM jobs WHERE job_id = ANY ($1)")).bind(ids).fetch_all(db).await
}

/// The ids of the jobs that `filter` lets through, the oldest first, at most `most`.
pub async fn ids(db: impl PgExecutor<'_>, filter: &JobFilter, most: i64) -> Result<Vec<JobId>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT job_id FROM jobs WHERE true");
    conditions(&mut query, filter);
    query.push(" ORDER BY first_position LIMIT ").push_bind(most);
    let ids: Vec<uuid::Uuid> = query.build_query_scalar().fetch_all(db).await?;
    Ok(ids.into_iter().map(JobId::from_uuid).collect())
}

/// How many jobs `filter` lets through, counted up to `most`.
pub async fn count(db: impl PgExecutor<'_>, filter: &JobFilter, most: i64) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM jobs WHERE true");
    conditions(&mut query, filter);
    query.push(" LIMIT ").push_bind(most).push(") AS found");
    query.build_query_scalar().fetch_one(db).await
}

/// The jobs that `filter` lets through, in the order of their first events.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &JobFilter,
    page: &PageRequest<i64>,
) -> Result<Page<JobView>, sqlx::Error> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM jobs WHERE true"));
    conditions(&mut query, filter);
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    if let Some(key) = page.after {
        query.push(format!(" AND first_position {beyond} ")).push_bind(key);
    }
    query.push(format!(" ORDER BY first_position {order} LIMIT ")).push_bind(page.fetched());
    let rows = query.build_query_as().fetch_all(db).await?;
    Ok(page.page(rows))
}

/// How many jobs came from `job_id`.
pub async fn count_children_of(db: impl PgExecutor<'_>, job_id: JobId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM jobs WHERE origin_job_id = $1").bind(job_id.uuid()).fetch_one(db).await
}

/// The jobs that came from `job_id`: its children, forks of it, and the one that it went on as.
pub async fn children_of(
    db: impl PgExecutor<'_>,
    job_id: JobId,
    page: &PageRequest<i64>,
) -> Result<Page<JobView>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "SELECT {COLUMNS}
           FROM jobs
          WHERE origin_job_id = $1
            AND ($2::bigint IS NULL OR first_position {beyond} $2)
          ORDER BY first_position {order}
          LIMIT $3"
    );
    let rows = sqlx::query_as(&sql).bind(job_id.uuid()).bind(page.after).bind(page.fetched()).fetch_all(db).await?;
    Ok(page.page(rows))
}
