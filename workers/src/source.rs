//! Whether the source of a run still gives usable targets: five that had to be skipped in a row use it up.

use domain::bot::{FailureClass, Outcome};
use projections::reactor::work::PlannedAction;
use serde_json::Value;

use crate::campaign_run::actions_of;
use crate::errand::Errand;
use crate::fault::Fault;
use crate::reconcile::outcome_name;

/// Why the rest of a run is not done.
pub(crate) const USED_UP: &str = "FIVE_TARGETS_SKIPPED";

/// Targets in a row that had to be skipped.
const MOST_SKIPPED: i64 = 5;
const SKIPPED: &str = "SKIPPED";

/// The word on an outcome in the results of commands.
pub(crate) fn result_of(outcome: &Outcome) -> String {
    if is_skipped(outcome) { SKIPPED.to_owned() } else { outcome_name(outcome).to_owned() }
}

/// Whether `outcome` of `action` is the last of too many skipped ones in its run.
pub(crate) async fn is_used_up(errand: &Errand, action: &PlannedAction, outcome: &Outcome) -> Result<bool, Fault> {
    if !is_skipped(outcome) {
        return Ok(false);
    }
    // The present one is not stored yet.
    let before = MOST_SKIPPED - 1;
    let latest = errand.engine.parts.queue.latest_results(actions_of(action.run_id), before).await?;
    Ok(latest.len() == usize::try_from(before).unwrap_or(0) && latest.iter().all(was_skipped))
}

const fn is_skipped(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Refused { class: FailureClass::SkipTarget, .. }
            | Outcome::Failed { class: FailureClass::SkipTarget, .. }
    )
}

fn was_skipped(result: &Value) -> bool {
    result.get("outcome").and_then(Value::as_str) == Some(SKIPPED)
}
