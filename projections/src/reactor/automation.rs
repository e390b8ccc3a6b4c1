//! Automation that was switched on, resumed, or ended for any reason: runs to start, to go on with, and to give up.

use async_trait::async_trait;
use domain::any_event::AnyEvent;
use domain::bot::BotEvent;
use domain::ids::{BotId, CampaignId, EnablementId, RunId, derive};
use sqlx::PgConnection;
use store::command_queue::{CancelScope, CommandQueue};

use super::work::Work;
use crate::error::ProjectionError;
use crate::projection::{Kind, LogEvent, Projection};

/// The kinds of work that end with automation. What settles an open action does not.
const AUTOMATED: &[&str] = &["run_campaign", "perform_action", "finish_run"];

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

/// The run of a campaign that an enablement begins: one, however often it is asked for.
#[must_use]
pub fn run_of(enablement_id: EnablementId, campaign_id: CampaignId) -> RunId {
    RunId::from_uuid(derive(&["run", &enablement_id.to_string(), &campaign_id.to_string()]))
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
                CommandQueue::release_held_in(db, *bot_id).await?;
                Ok(())
            }
            BotEvent::AutomationDisabled { reason, .. } => {
                give_up(db, *bot_id, "automation was disabled", reason).await
            }
            BotEvent::LoggedOut { .. } => give_up(db, *bot_id, "the account was logged out", "").await,
            BotEvent::SessionExpired { code, .. } => give_up(db, *bot_id, "the session ended", code).await,
            BotEvent::ChallengeRaised { kind, .. } => give_up(db, *bot_id, "the platform wants the person", kind).await,
            BotEvent::BotFailed { reason, .. } => give_up(db, *bot_id, "the bot failed", reason).await,
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
        let run_id = run_of(enablement_id, *campaign_id);
        let work = Work::RunCampaign { run_id, campaign_id: *campaign_id, enablement_id };
        let part = campaign_id.to_string();
        commands.push(super::command(event, bot_id, &work, &part, Some(run_id.uuid()))?);
    }
    CommandQueue::enqueue_in(db, &commands).await?;
    Ok(())
}

/// What runs at this moment may finish; nothing else of it begins.
async fn give_up(db: &mut PgConnection, bot_id: BotId, what: &str, why: &str) -> Result<(), ProjectionError> {
    let reason = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
    CommandQueue::cancel_in(db, CancelScope::Kinds(bot_id, AUTOMATED), &crate::columns::text(&reason)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::bot::ActionKind;
    use domain::ids::ActionId;

    use super::super::work::PlannedAction;
    use super::*;

    #[test]
    fn automated_work_is_known_by_the_names_it_is_stored_under() {
        let run_id = RunId::from_uuid(derive(&["run"]));
        let campaign_id = CampaignId::from_uuid(derive(&["campaign"]));
        let enablement_id = EnablementId::from_uuid(derive(&["enablement"]));
        let action = PlannedAction {
            action_id: ActionId::from_uuid(derive(&["action"])),
            run_id,
            campaign_id,
            enablement_id,
            kind: ActionKind::Like,
            target: "1".to_owned(),
            text: None,
            attempt: 1,
        };
        let automated = [
            Work::RunCampaign { run_id, campaign_id, enablement_id },
            Work::PerformAction(action),
            Work::FinishRun { run_id, campaign_id, enablement_id },
        ];
        assert_eq!(automated.map(|work| work.kind()), AUTOMATED);
    }

    #[test]
    fn run_belongs_to_one_enablement_and_campaign() {
        let id = |name: &str| derive(&[name]);
        let (one, other) = (EnablementId::from_uuid(id("one")), EnablementId::from_uuid(id("other")));
        let campaign = CampaignId::from_uuid(id("campaign"));
        assert_eq!(run_of(one, campaign), run_of(one, campaign));
        assert_ne!(run_of(one, campaign), run_of(other, campaign));
    }
}
