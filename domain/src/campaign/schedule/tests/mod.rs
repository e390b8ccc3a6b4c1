//! What the schedule's tests share.

mod clocks;
mod cron;
mod decisions;
mod definition;
mod properties;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::bot::BotState;
use crate::ids::{CampaignId, JobId};

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

fn campaign() -> CampaignId {
    CampaignId::from_uuid(Uuid::from_u128(11))
}

fn other_job(number: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(number))
}

fn cron_in(expression: &str, zone: &str) -> Timing {
    Timing::Cron {
        expression: Cron::try_new(expression).expect("an expression"),
        zone: zone_named(zone).expect("a zone"),
    }
}

/// Runs every ten minutes from 2026-06-01T00:00Z on, without jitter, catching up with an hour.
fn every_ten_minutes(overlap: Overlap) -> Schedule {
    let since = instant("2026-06-01T00:00:00Z");
    let timing = DraftTiming::Interval { minutes: 10, anchored_at: since };
    let draft = ScheduleDraft { timing, jitter_seconds: 0, overlap, catch_up_minutes: 60 };
    Schedule::try_new(draft, since).expect("a schedule")
}

fn running(open_jobs: &[JobId]) -> Standing {
    standing(BotState::Running, open_jobs)
}

/// Of a bot that is taken to have run until now.
fn standing(bot: BotState, open_jobs: &[JobId]) -> Standing {
    Standing { bot, bot_since: LATEST, in_plan: true, open_jobs: open_jobs.to_vec() }
}

/// A due time of the campaign without jitter.
fn run(due_at: &str) -> PlannedRun {
    let due_at = instant(due_at);
    PlannedRun { job_id: job_id(campaign(), due_at), due_at, start_at: due_at }
}

fn span(first: &str, last: &str, count: u64) -> DueSpan {
    DueSpan { first_due_at: instant(first), last_due_at: instant(last), count }
}
