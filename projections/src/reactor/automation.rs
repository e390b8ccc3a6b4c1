//! Automation that was switched on, resumed, or ended for any reason: runs to start, to go on with, and to give up.

use async_trait::async_trait;
use domain::any_event::AnyEvent;
use domain::bot::BotEvent;
use domain::ids::{BotId, CampaignId, EnablementId, JobId, derive};
use domain::job::Origin;
use serde_json::{Value, json};
use sqlx::PgConnection;
use store::command_queue::{CancelScope, CommandQueue};

use super::work::{BOT_RESUMED, CAMPAIGN_RUN, Work};
use crate::error::ProjectionError;
use crate::projection::{Kind, LogEvent, Projection};

/// What is not begun yet ends with automation too.
const NOT_BEGUN: &[&str] = &["start_job"];

/// The reactor to automation.
#[derive(Debug, Clone)]
pub struct Automation {
    queue: CommandQueue,
}

impl Automation {
    /// A reactor that wakes the workers of `queue`.
    #[must_use]
    pub const fn new(queue: CommandQueue) -> Self {
        Self { queue }
    }
}

/// The job of a campaign's run that an enablement begins: one, however often it is asked for.
#[must_use]
pub fn run_of(enablement_id: EnablementId, campaign_id: CampaignId) -> JobId {
    JobId::from_uuid(derive(&["run", &enablement_id.to_string(), &campaign_id.to_string()]))
}

#[async_trait]
impl Projection for Automation {
    fn name(&self) -> &'static str {
        "reactor_automation"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    fn kind(&self) -> Kind {
        Kind::Reactor
    }

    fn committed(&self) {
        self.queue.wake();
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Bot(bot_id, change) = &event.event else { return Ok(()) };
        match change {
            BotEvent::AutomationEnabled { enablement_id, campaigns, .. } => {
                run_all(db, event, *bot_id, *enablement_id, campaigns).await
            }
            BotEvent::AutomationResumed { .. } => {
                let work = Work::SignalJobs { name: BOT_RESUMED.to_owned(), payload: Value::Null, jobs: Vec::new() };
                let command = super::command(event, *bot_id, &work, "", None)?;
                CommandQueue::enqueue_in(db, &[command]).await?;
                Ok(())
            }
            BotEvent::AutomationDisabled { reason, .. } => {
                give_up(db, event, *bot_id, "automation was disabled", reason).await
            }
            BotEvent::LoggedOut { .. } => give_up(db, event, *bot_id, "the account was logged out", "").await,
            BotEvent::SessionExpired { code, .. } => give_up(db, event, *bot_id, "the session ended", code).await,
            BotEvent::ChallengeRaised { kind, .. } => {
                give_up(db, event, *bot_id, "the platform wants the person", kind).await
            }
            BotEvent::BotFailed { reason, .. } => give_up(db, event, *bot_id, "the bot failed", reason).await,
            _ => Ok(()),
        }
    }
}

async fn run_all(
    db: &mut PgConnection,
    event: &LogEvent,
    bot_id: BotId,
    enablement_id: EnablementId,
    campaigns: &[CampaignId],
) -> Result<(), ProjectionError> {
    let mut commands = Vec::with_capacity(campaigns.len());
    for campaign_id in campaigns {
        let work = Work::StartJob {
            job_id: run_of(enablement_id, *campaign_id),
            workflow: CAMPAIGN_RUN.to_owned(),
            input: json!({ "campaign_id": campaign_id, "enablement_id": enablement_id }),
            origin: Origin::Campaign { campaign_id: *campaign_id, due_at: event.stored.recorded_at },
        };
        commands.push(super::command(event, bot_id, &work, &campaign_id.to_string(), None)?);
    }
    CommandQueue::enqueue_in(db, &commands).await?;
    Ok(())
}

/// Nothing of it begins any more, and what runs is asked to end.
async fn give_up(
    db: &mut PgConnection,
    event: &LogEvent,
    bot_id: BotId,
    what: &str,
    why: &str,
) -> Result<(), ProjectionError> {
    let reason = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
    let reason = crate::columns::text(&reason).into_owned();
    CommandQueue::cancel_in(db, CancelScope::Kinds(bot_id, NOT_BEGUN), &reason).await?;
    let work = Work::CancelJobs { reason, jobs: Vec::new() };
    CommandQueue::enqueue_in(db, &[super::command(event, bot_id, &work, "", None)?]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::ids::derive;

    use super::*;

    #[test]
    fn run_belongs_to_one_enablement_and_campaign() {
        let id = |name: &str| derive(&[name]);
        let (one, other) = (EnablementId::from_uuid(id("one")), EnablementId::from_uuid(id("other")));
        let campaign = CampaignId::from_uuid(id("campaign"));
        assert_eq!(run_of(one, campaign), run_of(one, campaign));
        assert_ne!(run_of(one, campaign), run_of(other, campaign));
    }
}
