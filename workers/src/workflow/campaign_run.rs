//! One run of a campaign: its targets are listed, each is acted on in its turn, and the run ends with a report.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{ActionKind, Bot, BotCommand, BotError, Mode, SuppressReason, Verdict, Wait, WordsId};
use domain::campaign::{Campaign, Definition, Module, SkipReason};
use domain::ids::{ActionId, BotId, CampaignId, EnablementId, RequestId, RunId, derive};
use projections::reactor::work::CAMPAIGN_RUN;
use serde::{Deserialize, Serialize};

use super::acting::Tally;
use super::candidate::{self, Found, Skips, examines};
use super::examine::{self, Examined};
use super::listing::{self, Listed};
use super::steps::{Asked, Asking, Steps};
use crate::action::{Planned, not_now};
use crate::answer::{Answer, NotNow};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::hands::Hands;
use crate::job::{Context, StepError, Workflow, WorkflowError};
use crate::reconcile::{self, Reconciled};

/// How long a run waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);
/// Why the rest of a run is not done.
const USED_UP: &str = "FIVE_TARGETS_SKIPPED";
/// How many times more candidates than targets are listed, where some will not stand a closer look.
const SPARE: usize = 3;
/// Targets in a row that had to be skipped before the source counts as used up.
const MOST_SKIPPED: u32 = 5;

/// What a run is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunInput {
    campaign_id: CampaignId,
    /// The switching on that it belongs to; the bot's present one if it is not given.
    #[serde(default)]
    enablement_id: Option<EnablementId>,
    /// Where it goes on, when an earlier job of the run became too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Box<Progress>>,
}

/// What a run has to remember between two targets.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    run_id: RunId,
    scheme: Scheme,
    report: RunReport,
    /// What is left to do.
    targets: VecDeque<Found>,
    acted: u32,
    skipped_in_a_row: u32,
    /// What was said to others.
    said: Vec<WordsId>,
    /// When the account may act again.
    next_at: Option<DateTime<Utc>>,
}

/// What a run was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunReport {
    pub(crate) targets: u32,
    #[serde(flatten)]
    pub(crate) tally: Tally,
    /// Who and what was left alone, by reason.
    #[serde(default, skip_serializing_if = "Skips::is_empty")]
    pub(crate) skipped: Skips,
    /// Why it ended early.
    pub(crate) stopped_by: Option<String>,
}

/// Which run of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) campaign: CampaignId,
    pub(crate) enablement: EnablementId,
}

impl Run {
    fn request(self, step: &str) -> RequestId {
        RequestId::from_uuid(derive(&["run", &self.id.to_string(), step]))
    }

    /// The id of the action on a target: in earnest the same in every run of every campaign of the bot, so that none is done
    /// twice; in a dry run one for each run.
    pub(crate) fn action_id(self, scheme: &Scheme, target: &str) -> ActionId {
        let whose = match scheme.mode {
            Mode::Live => scheme.bot_id.to_string(),
            Mode::DryRun => self.id.to_string(),
        };
        let (module, filters) = (scheme.definition.module, &scheme.definition.filters);
        let kind = match module {
            // The same story may be seen and liked.
            Module::StoryLike => module.as_str(),
            _ => module.action().as_str(),
        };
        let run = self.id.to_string();
        let mut parts = vec!["action", &whose, scheme.mode.as_str(), kind, target];
        // Who may be met again may be written to again; within a run nobody is.
        if module == Module::Dm && filters.met.is_some_and(|met| met.again_after_days.is_some()) {
            parts.push(&run);
        }
        ActionId::from_uuid(derive(&parts))
    }
}

/// What the run will do, as it was when it began: a later revision of the campaign is for the next run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scheme {
    pub(crate) bot_id: BotId,
    pub(crate) enablement_id: EnablementId,
    pub(crate) mode: Mode,
    pub(crate) definition: Definition,
}

/// The workflow.
pub(crate) fn workflow(hands: Arc<Hands>) -> Workflow {
    Workflow::new(CAMPAIGN_RUN, move |ctx: Context, input: RunInput| {
        let steps = Steps::new(ctx, Arc::clone(&hands));
        async move { run(steps, input).await }
    })
}

async fn run(steps: Steps, input: RunInput) -> Result<RunReport, WorkflowError> {
    let mut progress = match input.progress.clone() {
        Some(progress) => *progress,
        None => match begin(&steps, &input).await? {
            Asked::Done(progress) => progress,
            Asked::Ended(reason) => return Ok(RunReport { stopped_by: Some(reason), ..RunReport::default() }),
        },
    };
    let run = Run { id: progress.run_id, campaign: input.campaign_id, enablement: progress.scheme.enablement_id };
    let ended = carry_out(&steps, run, &input, &mut progress).await;
    let report = &mut progress.report;
    match ended {
        Ok(()) => {}
        Err(WorkflowError::Cancelled) => {
            report.stopped_by = Some("CANCELLED".to_owned());
            wind_up(&steps.cleanup(), run, report).await?;
        }
        Err(WorkflowError::Failed { code, message }) => {
            report.stopped_by = Some(code.clone());
            end(&steps, run, report).await?;
            return Err(WorkflowError::Failed { code, message });
        }
        Err(later @ WorkflowError::ContinueAsNew(_)) => return Err(later),
    }
    Ok(progress.report)
}

/// Plans a new run, which has done nothing yet.
async fn begin(steps: &Steps, input: &RunInput) -> Result<Asked<Progress>, StepError> {
    let asked = steps.ask("plan", Asking::Read, |errand| {
        let input = input.clone();
        async move { plan(&errand, &input).await }
    });
    Ok(match asked.await? {
        Asked::Done(scheme) => Asked::Done(Progress {
            run_id: RunId::from_uuid(steps.job_id().uuid()),
            scheme,
            report: RunReport::default(),
            targets: VecDeque::new(),
            acted: 0,
            skipped_in_a_row: 0,
            said: Vec::new(),
            next_at: None,
        }),
        Asked::Ended(reason) => Asked::Ended(reason),
    })
}

async fn carry_out(steps: &Steps, run: Run, input: &RunInput, progress: &mut Progress) -> Result<(), WorkflowError> {
    if input.progress.is_none() {
        let Progress { scheme, report, targets, .. } = &mut *progress;
        report.stopped_by = list(steps, run, scheme, targets, &mut report.skipped).await?;
        report.targets = u32::try_from(targets.len()).unwrap_or(u32::MAX).min(scheme.definition.max_targets);
        let count = report.targets;
        let started = steps.ask("start", Asking::Read, |errand| async move { start(&errand, run, count).await });
        if let Asked::Ended(reason) = started.await? {
            report.stopped_by = Some(reason);
            return Ok(());
        }
    }
    if progress.report.stopped_by.is_none() {
        progress.report.stopped_by = act_on_all(steps, run, input, progress).await?;
    }
    end(steps, run, &progress.report).await?;
    Ok(())
}

/// Lists the targets; the answer is why the run ends without any.
async fn list(
    steps: &Steps,
    run: Run,
    scheme: &Scheme,
    targets: &mut VecDeque<Found>,
    skipped: &mut Skips,
) -> Result<Option<String>, StepError> {
    let definition = &scheme.definition;
    let spare = if examines(definition) { SPARE } else { 1 };
    let wanted = usize::try_from(definition.max_targets).unwrap_or(usize::MAX).saturating_mul(spare);
    let each_once = definition.filters.met.is_some();
    let mut looked_up = None;
    if listing::needs_number(&definition.source) {
        let asked =
            steps.ask("number", Asking::Read, |errand| async move { listing::number(&errand, run, scheme).await });
        looked_up = match asked.await? {
            Asked::Done(number) => Some(number),
            Asked::Ended(reason) => return Ok(Some(reason)),
        };
    }
    let looked_up = looked_up.as_deref();
    let mut seen = HashSet::new();
    let mut saw_any = false;
    let mut cursor: Option<String> = None;
    for number in 0..steps.most_pages() {
        let missing = wanted - targets.len();
        let name = format!("list:{}", number + 1);
        let asked = steps.ask(&name, Asking::Read, |errand| {
            let cursor = cursor.clone();
            async move { listing::page(&errand, run, scheme, looked_up, missing, cursor).await }
        });
        let Listed { found, saw, next, skipped: left_alone } = match asked.await? {
            Asked::Done(listed) => listed,
            Asked::Ended(reason) => return Ok(Some(reason)),
        };
        saw_any |= saw > 0;
        for (reason, count) in left_alone {
            *skipped.entry(reason).or_default() += count;
        }
        targets.extend(found.into_iter().filter(|found| seen.insert(found.key(each_once))).take(missing));
        cursor = next;
        if cursor.is_none() || targets.len() == wanted {
            break;
        }
    }
    Ok((!saw_any).then(|| "SOURCE_EMPTY".to_owned()))
}

/// Acts on each target in its turn; the answer is why the rest is not done.
async fn act_on_all(
    steps: &Steps,
    run: Run,
    input: &RunInput,
    progress: &mut Progress,
) -> Result<Option<String>, WorkflowError> {
    let module = progress.scheme.definition.module;
    while progress.acted < progress.scheme.definition.max_targets && !progress.targets.is_empty() {
        let later = || RunInput { progress: Some(Box::new(progress.clone())), ..input.clone() };
        steps.ctx.safe_point(later).await?;
        let Some(found) = progress.targets.pop_front() else { break };
        if let Some(next_at) = progress.next_at.take() {
            steps.ctx.sleep_until(next_at).await?;
        }
        let (target, text) = match look(steps, run, &progress.scheme, found, &progress.said).await? {
            Asked::Done(Ok(chosen)) => chosen,
            Asked::Done(Err(reason)) => {
                candidate::count(&mut progress.report.skipped, reason);
                continue;
            }
            Asked::Ended(reason) => return Ok(Some(reason)),
        };
        progress.said.extend(text.as_deref().map(WordsId::of));
        let planned = Planned {
            action_id: run.action_id(&progress.scheme, &target),
            run_id: run.id,
            campaign_id: run.campaign,
            enablement_id: run.enablement,
            kind: module.action(),
            target,
            text,
            likes_story: module == Module::StoryLike,
        };
        let settled = match steps.act(planned, &mut progress.report.tally).await? {
            Asked::Done(settled) => settled,
            Asked::Ended(reason) => return Ok(Some(reason)),
        };
        progress.next_at = settled.next_at;
        if let Some(reason) = settled.left_alone_for() {
            candidate::count(&mut progress.report.skipped, reason);
            continue;
        }
        progress.acted += 1;
        progress.skipped_in_a_row = if settled.is_skipped() { progress.skipped_in_a_row + 1 } else { 0 };
        if progress.skipped_in_a_row == MOST_SKIPPED {
            return Ok(Some(USED_UP.to_owned()));
        }
    }
    Ok(None)
}

/// What to act on and what to say, or why not, after a closer look where one is needed.
async fn look(
    steps: &Steps,
    run: Run,
    scheme: &Scheme,
    found: Found,
    said: &[WordsId],
) -> Result<Asked<Result<(String, Option<String>), SkipReason>>, StepError> {
    let candidate = match found {
        Found::Target(target) => return Ok(Asked::Done(Ok((target, None)))),
        Found::Candidate(candidate) => candidate,
    };
    let candidate = candidate.as_ref();
    let name = format!("look:{}", candidate.key());
    let asked = steps.ask(&name, Asking::Read, |errand| async move {
        examine::examine(&errand, run, scheme, candidate, said).await
    });
    Ok(match asked.await? {
        Asked::Done(Examined { target: Some(target), text, .. }) => Asked::Done(Ok((target, text))),
        Asked::Done(Examined { skip, .. }) => Asked::Done(Err(skip.unwrap_or(SkipReason::NotKnown))),
        Asked::Ended(reason) => Asked::Ended(reason),
    })
}

/// What the run will do, if the bot may do it.
async fn plan(errand: &Errand, input: &RunInput) -> Result<Answer<Scheme>, Fault> {
    let bot = errand.load().await?;
    let current = bot.enablement();
    let Some(enablement_id) = input.enablement_id.or(current.map(|current| current.enablement_id)) else {
        return Ok(NotNow::ended("NOT_RUNNING").into());
    };
    if let Some(not_now) = not_now(&bot, enablement_id) {
        return Ok(not_now.into());
    }
    let mode = current.map_or(Mode::DryRun, |enablement| enablement.mode);
    let campaign = errand.bus.load::<Campaign>(&input.campaign_id.to_string()).await?.state;
    let is_ours = campaign.bot_id() == Some(errand.bot_id()) && campaign.is_active();
    let Some(definition) = campaign.definition().filter(|_| is_ours) else {
        return Ok(NotNow::ended("CAMPAIGN_NOT_ACTIVE").into());
    };
    let bot_id = errand.bot_id();
    Ok(Answer::Done(Scheme { bot_id, enablement_id, mode, definition: definition.clone() }))
}

/// Why the account should not even read now.
pub(crate) fn waits(bot: &Bot, kind: ActionKind, mode: Mode, now: DateTime<Utc>) -> Option<NotNow> {
    match bot.verdict(kind, mode, 0, now) {
        Verdict::Wait(Wait { reason: SuppressReason::ModuleStopped, .. }) => Some(NotNow::ended("MODULE_STOPPED")),
        Verdict::Wait(wait)
            if matches!(
                wait.reason,
                SuppressReason::SlowDown | SuppressReason::KindBlocked | SuppressReason::OutsideHours
            ) =>
        {
            Some(NotNow::of_wait(&wait, now + LONG_WAIT))
        }
        // The pace and the limits of an action are no concern of a list.
        Verdict::Wait(_) | Verdict::Free => None,
    }
}

/// Says that the run begins, with so many targets.
async fn start(errand: &Errand, run: Run, targets: u32) -> Result<Answer<bool>, Fault> {
    errand.reach("run.before_start").await;
    let Run { id: run_id, campaign: campaign_id, enablement: enablement_id } = run;
    let start = BotCommand::StartRun { run_id, campaign_id, enablement_id, targets, at: errand.now() };
    let answer = match errand.tell(run.request("start"), start).await? {
        Told::Done(_) => Answer::Done(true),
        Told::Refused(refusal) => refused(errand, run, "StartRun", refusal).await?,
    };
    errand.reach("run.started").await;
    Ok(answer)
}

/// Says that the run is over, and why, unless the bot has moved on.
async fn end(steps: &Steps, run: Run, report: &RunReport) -> Result<(), StepError> {
    let asked = steps.ask("finish", Asking::Read, |errand| {
        let stopped_by = report.stopped_by.clone();
        async move { finish(&errand, run, stopped_by).await }
    });
    asked.await.map(|_| ())
}

async fn finish(errand: &Errand, run: Run, stopped_by: Option<String>) -> Result<Answer<bool>, Fault> {
    let Run { id: run_id, campaign: campaign_id, enablement: enablement_id } = run;
    let finish = BotCommand::FinishRun { run_id, campaign_id, enablement_id, stopped_by, at: errand.now() };
    match errand.tell(run.request("finish"), finish).await? {
        Told::Done(_) => Ok(Answer::Done(true)),
        Told::Refused(refusal) => refused(errand, run, "FinishRun", refusal).await,
    }
}

/// A person was faster.
async fn refused(errand: &Errand, run: Run, command: &'static str, refusal: BotError) -> Result<Answer<bool>, Fault> {
    match refusal {
        BotError::NotAllowed { .. } | BotError::StaleEnablement | BotError::NotPlanned { .. } => {
            let bot = errand.load().await?;
            Ok(not_now(&bot, run.enablement).unwrap_or_else(|| NotNow::ended("NOT_PLANNED")).into())
        }
        source => Err(Fault::Refused { command, source }),
    }
}

/// The run was cancelled: what it left open is found out about, and its end is said.
async fn wind_up(steps: &Steps, run: Run, report: &RunReport) -> Result<(), StepError> {
    steps.ask("settle", Asking::Read, |errand| async move { settle(&errand, run).await }).await?;
    let stopped_by = report.stopped_by.clone();
    // A bot that does not run any more has ended the run itself.
    steps
        .step(
            "finish",
            |errand| async move { Ok(matches!(finish(&errand, run, stopped_by).await?, Answer::Done(true))) },
        )
        .await?;
    Ok(())
}

async fn settle(errand: &Errand, run: Run) -> Result<Answer<bool>, Fault> {
    let bot = errand.load().await?;
    let Some(open) = bot.open_reservation().filter(|open| open.run_id == run.id) else {
        return Ok(Answer::Done(false));
    };
    Ok(match reconcile::reconcile(errand, &bot, open).await? {
        Reconciled::Settled(_) => Answer::Done(true),
        Reconciled::Later(at) => NotNow::wait(at, "OUTCOME_UNKNOWN").into(),
        // The next login looks after it.
        Reconciled::NoSession => Answer::Done(false),
    })
}
