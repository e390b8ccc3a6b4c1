//! What became of an open reservation: the platform is read, and the outcome is recorded, or is in doubt.
//!
//! "Done" is believed at once. "Not done" is believed only when no call can be under way any more, because a late success
//! looks exactly like none until it is there. Nothing here writes to the platform.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::bot::{Bot, BotCommand, BotEvent, FailureClass, Mode, Outcome, Reservation, Settlement};
use domain::ids::{ActionId, derive};
use domain::job::{Job, JobEvent};
use projections::reactor::work::Work;
use store::command_queue::NewCommand;
use store::decode::Decoder;
use store::event::RawEvent;
use tokio::time::Instant;

use crate::disposition::Disposition;
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::{Link, NoLink};
use crate::look::{self, Finding};
use crate::platform::PlatformError;

/// The wait after a read that failed, doubled each time.
const FIRST_READ_PAUSE: Duration = Duration::from_secs(30);
/// Events of a job that are read at a time.
const PAGE: i64 = 1_000;
/// Nobody asks the platform about the same action more often than this.
const SLOWED_DOWN_READ_PAUSE: TimeDelta = TimeDelta::minutes(30);

/// What is known now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reconciled {
    /// It is recorded.
    Settled(Outcome),
    /// Look again then.
    Later(DateTime<Utc>),
    /// Only with a session, and there is none.
    NoSession,
}

/// Finds out about the open action, as far as that can be found out now.
pub(crate) async fn reconcile(errand: &Errand, bot: &Bot, open: &Reservation) -> Result<Reconciled, Fault> {
    if open.mode == Mode::DryRun {
        // A dry run calls nothing, so there is nothing to find out.
        return settle(errand, open.action_id, Outcome::Simulated).await;
    }
    #[cfg(feature = "failpoints")]
    if errand.hands.config.has_bug(crate::mutation::Mutation::SkipProbe) {
        let outcome = Outcome::Failed { class: FailureClass::Transport, code: "NOT_LOOKED".to_owned() };
        return settle(errand, open.action_id, outcome).await;
    }
    let hands = &errand.hands;
    if let Some(wait) = hands.doubts.wait(open.action_id, Instant::now()) {
        return Ok(Reconciled::Later(hands.after(wait)));
    }
    if let Some(until) = bot.slowed_down_until(errand.now()) {
        return Ok(Reconciled::Later(until));
    }
    let link = match Link::open(errand, bot).await? {
        Ok(link) => link,
        Err(NoLink::NoSession | NoLink::Unreadable) => return Ok(Reconciled::NoSession),
    };
    let count = look::requests_of(open.kind);
    let purpose = "settle_action".to_owned();
    let requests = BotCommand::ReserveRequests { purpose, count, automated: false, at: errand.now() };
    if let Told::Refused(_) = errand.tell(errand.in_this_claim("settle.requests"), requests).await? {
        return Ok(Reconciled::NoSession);
    }
    let text = words_of(errand, open).await?;
    errand.reach("settle.before_read").await;
    match look::look(&link, open, text.as_deref()).await {
        Ok(Finding::Done(evidence)) => {
            errand.reach("settle.before_record").await;
            settle(errand, open.action_id, Outcome::Performed { evidence: evidence.to_owned() }).await
        }
        Ok(Finding::NotDone(evidence)) => not_done(errand, open, evidence).await,
        Ok(Finding::Untold(evidence)) => in_doubt(errand, open.action_id, "UNSETTLED", evidence).await,
        Ok(Finding::Unclear(evidence)) => vain(errand, open, evidence, Duration::ZERO, None).await,
        Err(error) => failed_read(errand, open, &error).await,
    }
}

/// Looks after whatever action is open, with nothing else to do.
pub(crate) async fn settle_action(errand: &Errand, action: ActionId) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    let Some(open) = bot.open_reservation().filter(|open| open.action_id == action) else {
        return Ok(Disposition::done("SETTLED_BEFORE"));
    };
    Ok(match reconcile(errand, &bot, open).await? {
        Reconciled::Settled(outcome) => Disposition::done(outcome_name(&outcome)),
        Reconciled::Later(at) => Disposition::snooze(at, "OUTCOME_UNKNOWN"),
        // The next login asks again.
        Reconciled::NoSession => Disposition::done("NO_SESSION"),
    })
}

/// The command that looks after the open action when nobody else does; one for each reservation and session.
pub(crate) fn look_after(errand: &Errand, bot: &Bot, not_before: DateTime<Utc>) -> Option<NewCommand> {
    let open = bot.open_reservation()?;
    let session = bot.login().session?;
    let key = format!("settle:{}:{session}", open.action_id);
    let work = Work::SettleAction { action_id: open.action_id };
    let mut command = errand.follow_up(derive(&["command", &key]), &work, not_before);
    command.dedupe_key = Some(key);
    Some(command)
}

/// The outcome's name in results of commands.
pub(crate) const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Performed { .. } => "PERFORMED",
        Outcome::Simulated => "SIMULATED",
        Outcome::Refused { .. } => "REFUSED",
        Outcome::Failed { .. } => "FAILED",
        Outcome::InDoubt { .. } => "IN_DOUBT",
    }
}

/// Records the outcome. The first record of an action stands; a second one gets its answer.
pub(crate) async fn settle(errand: &Errand, action: ActionId, outcome: Outcome) -> Result<Reconciled, Fault> {
    let record = BotCommand::RecordAction { action_id: action, outcome: outcome.clone(), at: errand.now() };
    if errand.tell_if_allowed(Errand::of_action(action, "record"), record).await?.is_none() {
        resolve_doubt(errand, action, &outcome).await?;
    }
    errand.hands.doubts.forget(action);
    Ok(Reconciled::Settled(outcome))
}

/// The account was unlinked while the call was under way, which put the action in doubt; by now the outcome is known.
async fn resolve_doubt(errand: &Errand, action: ActionId, outcome: &Outcome) -> Result<(), Fault> {
    let (settlement, evidence) = match outcome {
        Outcome::Performed { evidence } => (Settlement::Performed, evidence.clone()),
        Outcome::Refused { code, .. } | Outcome::Failed { code, .. } => (Settlement::NotPerformed, code.clone()),
        Outcome::Simulated | Outcome::InDoubt { .. } => return Ok(()),
    };
    if errand.load().await?.in_doubt().any(|doubt| doubt.action_id == action) {
        let known = BotCommand::ReconcileAction { action_id: action, settlement, evidence, at: errand.now() };
        errand.tell_if_allowed(Errand::of_action(action, "reconcile"), known).await?;
    }
    Ok(())
}

/// The outcome that was recorded of an action, if any was.
pub(crate) async fn recorded(errand: &Errand, action: ActionId) -> Result<Option<Outcome>, Fault> {
    Ok(match errand.first_event(Errand::of_action(action, "record")).await? {
        Some(BotEvent::ActionPerformed { evidence, .. }) => Some(Outcome::Performed { evidence }),
        Some(BotEvent::ActionSimulated { .. }) => Some(Outcome::Simulated),
        Some(BotEvent::ActionRefused { class, code, .. }) => Some(Outcome::Refused { class, code }),
        Some(BotEvent::ActionFailed { class, code, .. }) => Some(Outcome::Failed { class, code }),
        Some(BotEvent::ActionInDoubt { code, evidence, .. }) => Some(Outcome::InDoubt { code, evidence }),
        _ => None,
    })
}

async fn not_done(errand: &Errand, open: &Reservation, evidence: &'static str) -> Result<Reconciled, Fault> {
    let hands = &errand.hands;
    let left = hands.doubts.remaining(open.action_id, hands.config.settle_time, Instant::now());
    if left > Duration::ZERO {
        hands.doubts.look_again(open.action_id, left, Instant::now());
        return Ok(Reconciled::Later(hands.after(left)));
    }
    errand.reach("settle.before_record").await;
    // The class has no consequences: those of the failed call itself were told when it failed.
    let outcome = Outcome::Failed { class: FailureClass::Transport, code: evidence.to_owned() };
    settle(errand, open.action_id, outcome).await
}

async fn in_doubt(errand: &Errand, action: ActionId, code: &'static str, evidence: &str) -> Result<Reconciled, Fault> {
    tracing::warn!(action.id = %action, code, evidence, "what became of an action cannot be found out; a person decides");
    errand.reach("settle.before_record").await;
    settle(errand, action, Outcome::InDoubt { code: code.to_owned(), evidence: evidence.to_owned() }).await
}

async fn failed_read(errand: &Errand, open: &Reservation, error: &PlatformError) -> Result<Reconciled, Fault> {
    let code = error.kind.code();
    tracing::warn!(action.id = %open.action_id, code, "a read that should settle an action failed");
    match error.class {
        // What is gone tells nothing any more, and no later read will.
        FailureClass::SkipTarget => return in_doubt(errand, open.action_id, "TARGET_GONE", code).await,
        // Nothing is known of the account from these.
        FailureClass::Transport | FailureClass::SessionLost | FailureClass::ContractBroken => {}
        class => {
            let (code, at) = (code.to_owned(), errand.now());
            let trouble = BotCommand::ReportTrouble { class, code, kind: None, at };
            errand.tell_if_allowed(errand.in_this_claim("settle.trouble"), trouble).await?;
        }
    }
    let slowed_down = matches!(error.class, FailureClass::SlowDown | FailureClass::ActionBlocked);
    vain(errand, open, code, error.retry_after.unwrap_or_default(), slowed_down.then_some(SLOWED_DOWN_READ_PAUSE)).await
}

/// A read told nothing: another one later, and after too many of them the action is in doubt.
async fn vain(
    errand: &Errand,
    open: &Reservation,
    evidence: &str,
    at_least: Duration,
    pause: Option<TimeDelta>,
) -> Result<Reconciled, Fault> {
    let hands = &errand.hands;
    let reads = hands.doubts.count_vain_read(open.action_id, Instant::now());
    if reads >= hands.config.settle_reads {
        return in_doubt(errand, open.action_id, "UNSETTLED", evidence).await;
    }
    if let Some(pause) = pause {
        return Ok(Reconciled::Later(errand.now() + pause));
    }
    let doubled = FIRST_READ_PAUSE.min(hands.config.settle_time) * 2_u32.pow(reads.min(10) - 1);
    let wait = doubled.max(at_least);
    hands.doubts.look_again(open.action_id, wait, Instant::now());
    Ok(Reconciled::Later(hands.after(wait)))
}

/// What the comment or message was to say: its run's job wrote that down before, or the one that goes on in its place.
pub(crate) async fn words_of(errand: &Errand, open: &Reservation) -> Result<Option<String>, Fault> {
    let (name, repository) = (words_step(open.action_id), errand.bus.repository());
    let (mut job, mut after) = (open.run_id.uuid().to_string(), 0);
    loop {
        let page = repository.raw_stream(Job::TYPE, &job, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        after = last.sequence;
        let is_told = |raw: &&RawEvent| matches!(&*raw.event_type, "StepCompleted" | "JobContinuedAsNew");
        for raw in page.iter().filter(is_told) {
            match Decoder::<Job>::default().decode(raw)? {
                JobEvent::StepCompleted { name: found, result, .. } if found == name => {
                    return Ok(result.as_str().map(str::to_owned));
                }
                JobEvent::JobContinuedAsNew { next, .. } => (job, after) = (next.to_string(), 0),
                _ => {}
            }
        }
    }
}

/// The name of the step that writes down an action's words.
pub(crate) fn words_step(action: ActionId) -> String {
    format!("words:{action}")
}
