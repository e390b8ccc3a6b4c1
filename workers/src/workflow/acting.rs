//! The actions of a run, one after another: each asked for until it is settled, and tried anew when it surely had no effect.

use chrono::TimeDelta;
use domain::bot::{ActionKind, FailureClass};
use domain::campaign::SkipReason;
use domain::ids::{ActionId, derive};
use serde::{Deserialize, Serialize};

use super::steps::{Asked, Asking, Steps};
use crate::action::{self, Planned, Settled};
use crate::job::StepError;
use crate::reconcile::words_step;

/// How often an action that surely had no effect is tried, as a new one each time.
const MOST_TRIES: u32 = 3;
/// How long the next try waits.
const NEXT_TRY: TimeDelta = TimeDelta::minutes(5);

/// What became of the actions of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) performed: u32,
    pub(crate) simulated: u32,
    pub(crate) refused: u32,
    pub(crate) failed: u32,
    pub(crate) in_doubt: u32,
}

impl Tally {
    fn count(&mut self, settled: &Settled) {
        let counter = match settled.outcome.as_str() {
            "PERFORMED" => &mut self.performed,
            "SIMULATED" => &mut self.simulated,
            "REFUSED" => &mut self.refused,
            "FAILED" => &mut self.failed,
            "IN_DOUBT" => &mut self.in_doubt,
            _ => return,
        };
        *counter += 1;
    }
}

impl Settled {
    /// The target was to blame, and nothing was done to it.
    pub(crate) fn is_skipped(&self) -> bool {
        self.class.as_deref() == Some(FailureClass::SkipTarget.as_str())
    }

    /// Why the bot itself left this person alone.
    pub(crate) fn left_alone_for(&self) -> Option<SkipReason> {
        let reason = || self.code.as_deref().and_then(|code| code.parse().ok());
        (self.outcome == "SKIPPED").then(|| reason().unwrap_or(SkipReason::ContactStopped))
    }

    fn had_no_effect(&self) -> bool {
        self.outcome == "FAILED" && self.class.as_deref() == Some(FailureClass::Transport.as_str())
    }
}

impl Steps {
    /// Performs an action, however long that takes.
    pub(crate) async fn act(&self, planned: Planned, tally: &mut Tally) -> Result<Asked<Settled>, StepError> {
        let mut action = planned;
        let mut tries = 1;
        loop {
            let settled = match self.act_once(&action).await? {
                Asked::Done(settled) => settled,
                Asked::Ended(reason) => return Ok(Asked::Ended(reason)),
            };
            tally.count(&settled);
            // A second message is worse than none.
            let has_words = matches!(action.kind, ActionKind::Comment | ActionKind::Dm);
            if !settled.had_no_effect() || has_words || tries == MOST_TRIES {
                return Ok(Asked::Done(settled));
            }
            tries += 1;
            let again = derive(&["again", &action.action_id.to_string(), &tries.to_string()]);
            action.action_id = ActionId::from_uuid(again);
            let next = self.ctx.now().await + NEXT_TRY;
            self.ctx.sleep_until(settled.next_at.map_or(next, |at| at.max(next))).await?;
        }
    }

    async fn act_once(&self, action: &Planned) -> Result<Asked<Settled>, StepError> {
        if let Some(text) = &action.text {
            // Whoever has to find out later whether it was said needs the words.
            self.step(&words_step(action.action_id), |_| async { Ok(text.clone()) }).await?;
        }
        let name = format!("{}:{}", action.kind.as_str().to_lowercase(), action.target);
        self.ask(&name, Asking::Write, |errand| {
            let action = action.clone();
            async move { action::perform_action(&errand, &action).await }
        })
        .await
    }
}

/// One action and nothing else, so that tests of the protocol need no campaign.
#[cfg(feature = "failpoints")]
pub(crate) fn single_action(hands: std::sync::Arc<crate::hands::Hands>) -> crate::job::Workflow {
    use domain::ids::{CampaignId, EnablementId, RunId};

    #[derive(Deserialize)]
    struct Single {
        action_id: ActionId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        kind: ActionKind,
        target: String,
        text: Option<String>,
    }
    crate::job::Workflow::new("single_action", move |ctx: crate::job::Context, single: Single| {
        let steps = Steps::new(ctx, std::sync::Arc::clone(&hands));
        async move {
            let planned = Planned {
                action_id: single.action_id,
                run_id: RunId::from_uuid(steps.job_id().uuid()),
                campaign_id: single.campaign_id,
                enablement_id: single.enablement_id,
                kind: single.kind,
                target: single.target,
                text: single.text,
                likes_story: false,
            };
            Ok(match steps.act(planned, &mut Tally::default()).await? {
                Asked::Done(settled) => settled.outcome,
                Asked::Ended(reason) => reason,
            })
        }
    })
}
