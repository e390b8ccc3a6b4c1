//! Rows of jobs out of and into the database: one statement each for however many.

use std::collections::HashMap;

use domain::ids::{BotId, CampaignId, JobId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use super::{Diverged, Failure, JobView};
use crate::columns;
use crate::error::ProjectionError;

pub(super) const COLUMNS: &str = "job_id, bot_id, partition, workflow, origin_kind, origin_job_id, origin_index,
     campaign_id, due_at, next_job_id, state, reason, created_at, started_at, ended_at, updated_at, wake_at, runnable,
     waiting_for, step_index, step_name, attempts, retrying, failure_code, failure_message, failure_at, end_code,
     end_message, result, divergence_index, divergence_recorded, divergence_attempted, last_actor, last_sequence,
     first_position, journal, priority";

/// The rows of `ids` that there are.
pub(super) async fn fetch(db: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<JobId, JobView>, ProjectionError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE job_id = ANY ($1)");
    let rows: Vec<JobView> = sqlx::query_as(&sql).bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.job_id, row)).collect())
}

const STORE: &str = "
    INSERT INTO jobs (job_id, bot_id, partition, workflow, origin_kind, origin_job_id, origin_index, campaign_id,
                      due_at, next_job_id, state, reason, created_at, started_at, ended_at, updated_at, wake_at,
                      runnable, waiting_for, step_index, step_name, attempts, retrying, failure_code,
                      failure_message, failure_at, end_code, end_message, result, divergence_index,
                      divergence_recorded, divergence_attempted, last_actor, last_sequence, first_position, journal,
                      priority)
    SELECT job_id, bot_id, partition, workflow, origin_kind, origin_job_id, origin_index, campaign_id, due_at,
           next_job_id, state, reason, created_at, started_at, ended_at, updated_at, wake_at, runnable, waiting_for,
           step_index, step_name, attempts, retrying, failure_code, failure_message, failure_at, end_code,
           end_message, result, divergence_index, divergence_recorded, divergence_attempted, last_actor,
           last_sequence, first_position, journal, priority
      FROM UNNEST ($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::uuid[], $7::integer[],
                   $8::uuid[], $9::timestamptz[], $10::uuid[], $11::text[], $12::text[], $13::timestamptz[],
                   $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::boolean[],
                   $19::text[], $20::integer[], $21::text[], $22::integer[], $23::boolean[], $24::text[],
                   $25::text[], $26::timestamptz[], $27::text[], $28::text[], $29::jsonb[], $30::integer[],
                   $31::text[], $32::text[], $33::text[], $34::bigint[], $35::bigint[], $36::jsonb[], $37::text[])
        AS changed (job_id, bot_id, partition, workflow, origin_kind, origin_job_id, origin_index, campaign_id,
                    due_at, next_job_id, state, reason, created_at, started_at, ended_at, updated_at, wake_at,
                    runnable, waiting_for, step_index, step_name, attempts, retrying, failure_code,
                    failure_message, failure_at, end_code, end_message, result, divergence_index,
                    divergence_recorded, divergence_attempted, last_actor, last_sequence, first_position, journal,
                      priority)
    ON CONFLICT (job_id) DO UPDATE
       SET next_job_id = excluded.next_job_id,
           state = excluded.state,
           reason = excluded.reason,
           started_at = excluded.started_at,
           ended_at = excluded.ended_at,
           updated_at = excluded.updated_at,
           wake_at = excluded.wake_at,
           runnable = excluded.runnable,
           waiting_for = excluded.waiting_for,
           step_index = excluded.step_index,
           step_name = excluded.step_name,
           attempts = excluded.attempts,
           retrying = excluded.retrying,
           failure_code = excluded.failure_code,
           failure_message = excluded.failure_message,
           failure_at = excluded.failure_at,
           end_code = excluded.end_code,
           end_message = excluded.end_message,
           result = excluded.result,
           divergence_index = excluded.divergence_index,
           divergence_recorded = excluded.divergence_recorded,
           divergence_attempted = excluded.divergence_attempted,
           last_actor = excluded.last_actor,
           last_sequence = excluded.last_sequence,
           journal = excluded.journal,
           priority = excluded.priority";

/// Writes `rows`, new ones and changed ones alike.
pub(super) async fn store(db: &mut PgConnection, rows: &[JobView]) -> Result<(), ProjectionError> {
    if rows.is_empty() {
        return Ok(());
    }
    let journals = rows.iter().map(|row| columns::to_json(&row.journal)).collect::<Result<Vec<_>, _>>()?;
    macro_rules! bind {
        ($query:expr; $($value:expr),+ $(,)?) => {
            $query$(.bind(rows.iter().map($value).collect::<Vec<_>>()))+
        };
    }
    let failure = |row: &JobView, part: fn(&Failure) -> String| row.failure.as_ref().map(part);
    let diverged = |row: &JobView, part: fn(&Diverged) -> String| row.divergence.as_ref().map(part);
    let query = bind!(
        sqlx::query(STORE);
        |row| row.job_id.uuid(),
        |row| row.bot_id.uuid(),
        |row| row.partition,
        |row| row.workflow.clone(),
        |row| row.origin_kind.as_str(),
        |row| row.origin_job_id.map(JobId::uuid),
        |row| row.origin_index.map(integer),
        |row| row.campaign_id.map(CampaignId::uuid),
        |row| row.due_at,
        |row| row.next_job_id.map(JobId::uuid),
        |row| row.state.as_str(),
        |row| row.reason.clone(),
        |row| row.created_at,
        |row| row.started_at,
        |row| row.ended_at,
        |row| row.updated_at,
        |row| row.wake_at,
        |row| row.runnable,
        |row| row.waiting_for.clone(),
        |row| row.step_index.map(integer),
        |row| row.step_name.clone(),
        |row| integer(row.attempts),
        |row| row.retrying,
        |row| failure(row, |failure| failure.code.clone()),
        |row| failure(row, |failure| failure.message.clone()),
        |row| row.failure.as_ref().map(|failure| failure.at),
        |row| row.end_code.clone(),
        |row| row.end_message.clone(),
        |row| row.result.clone(),
        |row| row.divergence.as_ref().map(|divergence| integer(divergence.index)),
        |row| diverged(row, |divergence| divergence.recorded.clone()),
        |row| diverged(row, |divergence| divergence.attempted.clone()),
        |row| row.last_actor.clone(),
        |row| row.last_sequence,
        |row| row.first_position,
    );
    let priorities: Vec<_> = rows.iter().map(|row| row.priority.as_str()).collect();
    query.bind(journals).bind(priorities).execute(db).await?;
    Ok(())
}

/// Counts and indexes stay far below the largest integer.
fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl FromRow<'_, PgRow> for JobView {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            job_id: columns::id(row, "job_id", JobId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            partition: row.try_get("partition")?,
            workflow: row.try_get("workflow")?,
            origin_kind: columns::name(row, "origin_kind")?,
            origin_job_id: columns::optional_id(row, "origin_job_id", JobId::from_uuid)?,
            origin_index: columns::optional_count(row, "origin_index")?,
            campaign_id: columns::optional_id(row, "campaign_id", CampaignId::from_uuid)?,
            due_at: row.try_get("due_at")?,
            next_job_id: columns::optional_id(row, "next_job_id", JobId::from_uuid)?,
            state: columns::name(row, "state")?,
            reason: row.try_get("reason")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            updated_at: row.try_get("updated_at")?,
            wake_at: row.try_get("wake_at")?,
            runnable: row.try_get("runnable")?,
            waiting_for: row.try_get("waiting_for")?,
            step_index: columns::optional_count(row, "step_index")?,
            step_name: row.try_get("step_name")?,
            attempts: columns::count(row, "attempts")?,
            retrying: row.try_get("retrying")?,
            failure: failure(row)?,
            end_code: row.try_get("end_code")?,
            end_message: row.try_get("end_message")?,
            result: row.try_get("result")?,
            divergence: diverged(row)?,
            last_actor: row.try_get("last_actor")?,
            last_sequence: row.try_get("last_sequence")?,
            first_position: row.try_get("first_position")?,
            priority: columns::name(row, "priority")?,
            journal: columns::json(row, "journal")?,
        })
    }
}

fn failure(row: &PgRow) -> Result<Option<Failure>, sqlx::Error> {
    let Some(code) = row.try_get("failure_code")? else { return Ok(None) };
    Ok(Some(Failure { code, message: row.try_get("failure_message")?, at: row.try_get("failure_at")? }))
}

fn diverged(row: &PgRow) -> Result<Option<Diverged>, sqlx::Error> {
    let Some(index) = columns::optional_count(row, "divergence_index")? else { return Ok(None) };
    let (recorded, attempted) = (row.try_get("divergence_recorded")?, row.try_get("divergence_attempted")?);
    Ok(Some(Diverged { index, recorded, attempted }))
}
