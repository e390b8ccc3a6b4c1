//! One run of a campaign: its targets are listed, an action is planned for each, and the run ends when all are settled.

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{ActionKind, Bot, BotCommand, BotError, FailureClass, Mode, SuppressReason, Verdict, Wait};
use domain::campaign::{Campaign, Definition};
use domain::ids::{CampaignId, EnablementId, RunId, derive};
use projections::reactor::work::{PlannedAction, Work};
use store::command_queue::{self, NewCommand};
use store::event::event_id;
use uuid::Uuid;

use crate::action::{self, not_now};
use crate::connection_test::{self, Gatekeeping};
use crate::disposition::{Disposition, Ending};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::platform::PlatformError;
use crate::targets::{self, Listing};

/// How long a run waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);
/// How often a run looks whether it is over, at the most.
const NEXT_LOOK: TimeDelta = TimeDelta::seconds(10);

/// Which run of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) campaign: CampaignId,
    pub(crate) enablement: EnablementId,
}

impl Run {
    fn finish_work(self) -> Work {
        let Self { id: run_id, campaign: campaign_id, enablement: enablement_id } = self;
        Work::FinishRun { run_id, campaign_id, enablement_id }
    }

    fn finish_id(self) -> Uuid {
        derive(&["finish", &self.id.to_string()])
    }

    fn request(self, step: &str) -> domain::ids::RequestId {
        domain::ids::RequestId::from_uuid(derive(&["run", &self.id.to_string(), step]))
    }
}

/// Lists the targets and plans the actions.
pub(crate) async fn run_campaign(errand: &Errand, run: Run) -> Result<Disposition, Fault> {
    if errand.engine.parts.queue.find(run.finish_id()).await?.is_some() {
        return Ok(Disposition::done("PLANNED_BEFORE"));
    }
    let bot = errand.load().await?;
    if let Some(disposition) = not_now(&bot, run.enablement) {
        return Ok(disposition);
    }
    let campaign = errand.bus.load::<Campaign>(&run.campaign.to_string()).await?.state;
    let is_ours = campaign.bot_id() == Some(errand.bot_id()) && campaign.is_active();
    let Some(definition) = campaign.definition().filter(|_| is_ours) else {
        return close(errand, run, "CAMPAIGN_NOT_ACTIVE").await;
    };
    let kind = definition.module.action();
    let mode = bot.enablement().map_or(Mode::DryRun, |enablement| enablement.mode);
    match waits(&bot, kind, mode, errand.now()) {
        Some(Wait { reason: SuppressReason::ModuleStopped, .. }) => return close(errand, run, "MODULE_STOPPED").await,
        Some(Wait { reason, frees_at, .. }) => {
            let until = frees_at.unwrap_or(errand.now() + LONG_WAIT);
            return Ok(Disposition::snooze(until, reason.as_str()));
        }
        None => {}
    }
    let link = match connection_test::gate(errand, &bot).await? {
        Gatekeeping::Open(link) => link,
        Gatekeeping::Closed(disposition) => return Ok(disposition),
    };
    match targets::list(errand, &link, &bot, run, definition, mode).await? {
        Listing::Found(targets) => plan(errand, run, definition, mode, targets).await,
        Listing::Empty => close(errand, run, "SOURCE_EMPTY").await,
        Listing::Wait(until) => Ok(Disposition::snooze(until, "REQUESTS_SUPPRESSED")),
        Listing::Failed(error) => failed(errand, run, definition, &error).await,
    }
}

/// Ends the run once all of its actions are settled.
pub(crate) async fn finish_run(errand: &Errand, run: Run) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    if let Some(disposition) = not_now(&bot, run.enablement) {
        return Ok(disposition);
    }
    let progress = errand.engine.parts.queue.progress(actions_of(run.id)).await?;
    if progress.open > 0 {
        let soonest = errand.now() + NEXT_LOOK;
        let until = progress.next_due.map_or(soonest, |due| soonest.max(due + TimeDelta::seconds(1)));
        return Ok(Disposition::snooze(until, "ACTIONS_OPEN"));
    }
    end(errand, run, progress.withdrawn.as_deref()).await
}

/// The actions of a run in the queue.
pub(crate) const fn actions_of(run: RunId) -> command_queue::Siblings<'static> {
    command_queue::Siblings { group_key: run.uuid(), kind: "perform_action" }
}

/// Why the account should not even read now.
fn waits(bot: &Bot, kind: ActionKind, mode: Mode, now: DateTime<Utc>) -> Option<Wait> {
    match bot.verdict(kind, mode, 0, now) {
        Verdict::Wait(wait)
            if matches!(
                wait.reason,
                SuppressReason::SlowDown
                    | SuppressReason::ModuleStopped
                    | SuppressReason::KindBlocked
                    | SuppressReason::OutsideHours
            ) =>
        {
            Some(wait)
        }
        // The pace and the limits of an action are no concern of a list.
        Verdict::Wait(_) | Verdict::Free => None,
    }
}

async fn plan(
    errand: &Errand,
    run: Run,
    definition: &Definition,
    mode: Mode,
    targets: Vec<String>,
) -> Result<Disposition, Fault> {
    errand.reach("run.before_start").await;
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    if let Some(disposition) = start(errand, run, count).await? {
        return Ok(disposition);
    }
    errand.reach("run.started").await;
    let now = errand.now();
    // What follows is caused by the start of the run.
    let cause = event_id(run.request("start"), 0);
    let kind = definition.module.action();
    let mut commands: Vec<NewCommand> = targets
        .into_iter()
        .map(|target| {
            let action_id = targets::action_id(run, mode, kind, &target);
            let Run { id: run_id, campaign: campaign_id, enablement: enablement_id } = run;
            let action =
                PlannedAction { action_id, run_id, campaign_id, enablement_id, kind, target, text: None, attempt: 1 };
            action::planned(errand, action, now)
        })
        .collect();
    commands.push(errand.follow_up(run.finish_id(), &run.finish_work(), now));
    for command in &mut commands {
        command.causation_id = cause;
    }
    Ok(Disposition::done("PLANNED").then(commands))
}

/// `None` when the run has started.
async fn start(errand: &Errand, run: Run, targets: u32) -> Result<Option<Disposition>, Fault> {
    let Run { id: run_id, campaign: campaign_id, enablement: enablement_id } = run;
    let start = BotCommand::StartRun { run_id, campaign_id, enablement_id, targets, at: errand.now() };
    match errand.tell(run.request("start"), start).await? {
        Told::Done(_) => Ok(None),
        Told::Refused(refusal) => refused(errand, run, "StartRun", refusal).await.map(Some),
    }
}

async fn end(errand: &Errand, run: Run, stopped_by: Option<&str>) -> Result<Disposition, Fault> {
    let Run { id: run_id, campaign: campaign_id, enablement: enablement_id } = run;
    let stopped_by = stopped_by.map(str::to_owned);
    let finish = BotCommand::FinishRun { run_id, campaign_id, enablement_id, stopped_by, at: errand.now() };
    match errand.tell(run.request("finish"), finish).await? {
        Told::Done(_) => Ok(Disposition::done("FINISHED")),
        Told::Refused(refusal) => refused(errand, run, "FinishRun", refusal).await,
    }
}

/// A run without actions: it starts and ends with the reason.
async fn close(errand: &Errand, run: Run, stopped_by: &str) -> Result<Disposition, Fault> {
    match start(errand, run, 0).await? {
        Some(disposition) => Ok(disposition),
        None => end(errand, run, Some(stopped_by)).await,
    }
}

/// A person was faster.
async fn refused(errand: &Errand, run: Run, command: &'static str, refusal: BotError) -> Result<Disposition, Fault> {
    match refusal {
        BotError::NotAllowed { .. } | BotError::StaleEnablement | BotError::NotPlanned { .. } => {
            let bot = errand.load().await?;
            Ok(not_now(&bot, run.enablement).unwrap_or_else(|| Disposition::withdraw("NOT_PLANNED")))
        }
        source => Err(Fault::Refused { command, source }),
    }
}

/// The list could not be read.
async fn failed(
    errand: &Errand,
    run: Run,
    definition: &Definition,
    error: &PlatformError,
) -> Result<Disposition, Fault> {
    let (class, code) = (error.class, error.kind.code());
    tracing::warn!(class = class.as_str(), code, "the targets of a run could not be listed");
    let kind = match class {
        FailureClass::ContractBroken | FailureClass::Unknown => Some(definition.module.action()),
        _ => None,
    };
    if !matches!(class, FailureClass::Transport | FailureClass::SessionLost | FailureClass::SkipTarget) {
        let trouble = BotCommand::ReportTrouble { class, code: code.to_owned(), kind, at: errand.now() };
        errand.tell_if_allowed(errand.in_this_claim("list.trouble"), trouble).await?;
    }
    match class {
        FailureClass::Transport | FailureClass::SessionLost => {
            let reason = "the targets could not be listed".to_owned();
            let at_least = error.retry_after.unwrap_or_default();
            Ok(Disposition::of(Ending::Retry { code: error.code().to_owned(), reason, at_least }))
        }
        FailureClass::SlowDown | FailureClass::ActionBlocked => {
            let bot = errand.load().await?;
            let until = bot.slowed_down_until(errand.now()).unwrap_or(errand.now() + LONG_WAIT);
            Ok(Disposition::snooze(until, "SLOW_DOWN"))
        }
        FailureClass::PersonNeeded | FailureClass::LoginEnded => Ok(Disposition::withdraw("NOT_RUNNING")),
        FailureClass::SkipTarget | FailureClass::ContractBroken | FailureClass::Unknown => {
            close(errand, run, code).await
        }
    }
}
