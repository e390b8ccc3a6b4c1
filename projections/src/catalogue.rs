//! Every projection that there is. What is not listed here does not run.

use std::sync::Arc;

use store::command_queue::CommandQueue;

use crate::actions::Actions;
use crate::audit_trail::AuditTrail;
use crate::bot_counters::BotCounters;
use crate::bot_status::BotStatuses;
use crate::campaign_runs::CampaignRuns;
use crate::campaign_schedules::CampaignSchedules;
use crate::campaigns::Campaigns;
use crate::engine_settings::EngineSettingsRow;
use crate::error::ProjectionError;
use crate::instagram_accounts::InstagramAccounts;
use crate::jobs::Jobs;
use crate::projection::Projection;
use crate::reactor::accounts::Accounts;
use crate::reactor::automation::Automation;
use crate::reactor::campaign_due::CampaignDue;
use crate::users::Users;

/// All projections. The reactors wake the workers of `queue`.
#[must_use]
pub fn all(queue: &CommandQueue) -> Vec<Arc<dyn Projection>> {
    let mut all = read_models();
    all.extend(reactors(queue));
    all
}

/// The reactors alone.
#[must_use]
pub fn reactors(queue: &CommandQueue) -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(Accounts::new(queue.clone())),
        Arc::new(Automation::new(queue.clone())),
        Arc::new(CampaignDue::new(queue.clone())),
    ]
}

/// The read models alone.
#[must_use]
pub fn read_models() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(Users),
        Arc::new(InstagramAccounts),
        Arc::new(BotStatuses),
        Arc::new(BotCounters),
        Arc::new(Campaigns),
        Arc::new(CampaignRuns),
        Arc::new(CampaignSchedules),
        Arc::new(Actions),
        Arc::new(Jobs),
        Arc::new(EngineSettingsRow),
        Arc::new(AuditTrail),
    ]
}

/// The projection of a name.
pub fn find(name: &str, queue: &CommandQueue) -> Result<Arc<dyn Projection>, ProjectionError> {
    let found = all(queue).into_iter().find(|projection| projection.name() == name);
    found.ok_or_else(|| ProjectionError::Unknown { name: name.to_owned() })
}
