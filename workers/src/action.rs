//! One action: reserved durably before the platform is called, called once, recorded after.
//!
//! A worker that dies in between leaves an open reservation, and whoever has the bot next finds out what became of it.
//! Nothing here is called twice for one reservation, and no reservation is made twice for one action.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{
    ActionKind, Bot, BotCommand, BotError, BotEvent, BotState, FailureClass, Mode, NewReservation, Outcome,
    SuppressReason, Verdict, Wait,
};
use domain::ids::{ActionId, EnablementId, RunId, derive};
use projections::reactor::work::{PlannedAction, Work};
use uuid::Uuid;

use crate::connection_test::{self, Gatekeeping};
use crate::disposition::{Disposition, Siblings};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::Link;
use crate::perform::{perform, requests_of};
use crate::platform::{PlatformError, Sent, WriteAnswer};
use crate::reconcile::{self, Reconciled, outcome_name};
use crate::source;

/// How often an action that surely had no effect is tried, as a new one each time.
const MOST_ATTEMPTS: u32 = 3;
/// How long the next attempt waits.
const NEXT_ATTEMPT: TimeDelta = TimeDelta::minutes(5);
/// How long an action waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);
/// Reservations of one action that a change of mind may answer with "wait" before one is made.
const MOST_ASKS: u32 = 16;

/// The id of the command that performs an action.
#[must_use]
pub fn command_id(action: ActionId, run: RunId) -> Uuid {
    derive(&["perform", &action.to_string(), &run.to_string()])
}

/// Performs the action, or says when to come again.
pub(crate) async fn perform_action(errand: &Errand, action: &PlannedAction) -> Result<Disposition, Fault> {
    errand.reach("action.claimed").await;
    let mut bot = errand.load().await?;
    if let Some(open) = bot.open_reservation().cloned() {
        match reconcile::reconcile(errand, &bot, &open).await? {
            Reconciled::Settled(outcome) if open.action_id == action.action_id => {
                return after(errand, action, &outcome).await;
            }
            Reconciled::Settled(_) => bot = errand.load().await?,
            Reconciled::Later(at) => return Ok(wait_for_outcome(errand, &bot, at)),
            // Then the bot does not run either; the next login asks.
            Reconciled::NoSession => {}
        }
    }
    if bot.knows_action(action.action_id) {
        return known(errand, action).await;
    }
    if let Some(disposition) = not_now(&bot, action.enablement_id) {
        return Ok(disposition);
    }
    let requests = requests_of(action.kind);
    let mode = bot.enablement().map_or(Mode::DryRun, |enablement| enablement.mode);
    if let Verdict::Wait(wait) = bot.verdict(action.kind, mode, requests, errand.now()) {
        return wait_for(errand, action, wait).await;
    }
    let link = match connection_test::gate(errand, &bot).await? {
        Gatekeeping::Open(link) => link,
        Gatekeeping::Closed(disposition) => return Ok(disposition),
    };
    match reserve(errand, action).await? {
        Reserved::Now(Mode::DryRun) => simulate(errand, action).await,
        Reserved::Now(Mode::Live) => call(errand, &link, action).await,
        Reserved::Instead(disposition) => Ok(disposition),
    }
}

/// Why what belongs to `enablement` is not for now, as far as the bot's state says.
pub(crate) fn not_now(bot: &Bot, enablement: EnablementId) -> Option<Disposition> {
    let is_current = bot.enablement().is_some_and(|current| current.enablement_id == enablement);
    match bot.state() {
        BotState::Running if is_current => None,
        BotState::Paused if is_current => Some(Disposition::hold("PAUSED")),
        _ => Some(Disposition::withdraw("NOT_RUNNING")),
    }
}

enum Reserved {
    /// By this very request: nothing was called for it yet.
    Now(Mode),
    Instead(Disposition),
}

/// Reserves the action. Only a reservation that this call itself made leads to a call of the platform.
async fn reserve(errand: &Errand, action: &PlannedAction) -> Result<Reserved, Fault> {
    errand.reach("action.before_reserve").await;
    for ask in 0..MOST_ASKS {
        let request = Errand::of_action(action.action_id, &format!("reserve:{ask}"));
        let executed = match errand.tell(request, BotCommand::ReserveAction(reservation(errand, action))).await? {
            Told::Done(executed) => executed,
            Told::Refused(refusal) => return refused(errand, action, refusal).await,
        };
        match executed.events.first() {
            Some(BotEvent::ActionReserved { mode, .. }) if !executed.repeated => {
                errand.reach("action.reserved").await;
                return Ok(Reserved::Now(*mode));
            }
            // It was reserved before. If that is still open, the next claim finds out; if not, it is settled.
            Some(BotEvent::ActionReserved { .. }) if executed.state.open_reservation().is_some() => {
                return Ok(Reserved::Instead(Disposition::snooze(errand.now(), "RESERVED_BEFORE")));
            }
            Some(BotEvent::ActionReserved { .. }) => return Ok(Reserved::Instead(known(errand, action).await?)),
            // This answer is an old one: ask under the next id.
            Some(BotEvent::ActionSuppressed { .. }) if executed.repeated => {}
            Some(BotEvent::ActionSuppressed { frees_at, .. }) => {
                let until = frees_at.unwrap_or(errand.now() + LONG_WAIT);
                return Ok(Reserved::Instead(Disposition::snooze(until, "SUPPRESSED")));
            }
            _ => break,
        }
    }
    Ok(Reserved::Instead(Disposition::snooze(errand.now() + LONG_WAIT, "SUPPRESSED")))
}

fn reservation(errand: &Errand, action: &PlannedAction) -> NewReservation {
    NewReservation {
        action_id: action.action_id,
        run_id: action.run_id,
        campaign_id: action.campaign_id,
        enablement_id: action.enablement_id,
        kind: action.kind,
        target: action.target.clone(),
        requests: requests_of(action.kind),
        roll: errand.engine.parts.entropy.unit(),
        at: errand.now(),
    }
}

/// The bot changed its mind between the look and the request, or knows the action.
async fn refused(errand: &Errand, action: &PlannedAction, refusal: BotError) -> Result<Reserved, Fault> {
    let disposition = match refusal {
        BotError::AlreadyReserved { .. } => known(errand, action).await?,
        BotError::ReservationOpen { .. } => Disposition::snooze(errand.now(), "RESERVATION_OPEN"),
        BotError::NotAllowed { .. } | BotError::StaleEnablement | BotError::NotPlanned { .. } => {
            let bot = errand.load().await?;
            not_now(&bot, action.enablement_id).unwrap_or_else(|| Disposition::withdraw("NOT_PLANNED"))
        }
        source => return Err(Fault::Refused { command: "ReserveAction", source }),
    };
    Ok(Reserved::Instead(disposition))
}

/// Waits as the bot's verdict says. A wait for more than the pace is recorded, once.
async fn wait_for(errand: &Errand, action: &PlannedAction, wait: Wait) -> Result<Disposition, Fault> {
    let until = wait.frees_at.unwrap_or(errand.now() + LONG_WAIT);
    if wait.reason == SuppressReason::Pacing {
        return Ok(Disposition::snooze(until, "PACING").siblings(Siblings::Wait(until)));
    }
    let step = format!("wait:{}:{}", wait.reason, wait.frees_at.map_or(0, |at| at.timestamp_micros()));
    let request = Errand::of_action(action.action_id, &step);
    let told = errand.tell(request, BotCommand::ReserveAction(reservation(errand, action))).await?;
    let told = match told {
        Told::Done(executed) => executed,
        Told::Refused(refusal) => {
            return Ok(match refused(errand, action, refusal).await? {
                Reserved::Instead(disposition) => disposition,
                Reserved::Now(_) => Disposition::snooze(errand.now(), "RESERVATION_OPEN"),
            });
        }
    };
    if told.state.open_reservation().is_some_and(|open| open.action_id == action.action_id) {
        // The reason fell away in between and it is reserved, but not called: that it had no effect is certain.
        let outcome = Outcome::Failed { class: FailureClass::Transport, code: "NOT_CALLED".to_owned() };
        reconcile::settle(errand, action.action_id, outcome.clone()).await?;
        return after(errand, action, &outcome).await;
    }
    if wait.reason == SuppressReason::ModuleStopped {
        return Ok(Disposition::withdraw("MODULE_STOPPED").siblings(Siblings::Stop("MODULE_STOPPED")));
    }
    Ok(Disposition::snooze(until, wait.reason.as_str()).siblings(Siblings::Wait(until)))
}

/// The outcome is unknown: all of the run waits, and somebody looks after it whatever becomes of this command.
fn wait_for_outcome(errand: &Errand, bot: &Bot, at: DateTime<Utc>) -> Disposition {
    Disposition::snooze(at, "OUTCOME_UNKNOWN").siblings(Siblings::Wait(at)).then(reconcile::look_after(errand, bot, at))
}

async fn simulate(errand: &Errand, action: &PlannedAction) -> Result<Disposition, Fault> {
    errand.reach("action.before_record").await;
    reconcile::settle(errand, action.action_id, Outcome::Simulated).await?;
    errand.reach("action.recorded").await;
    after(errand, action, &Outcome::Simulated).await
}

async fn call(errand: &Errand, link: &Link<'_>, action: &PlannedAction) -> Result<Disposition, Fault> {
    errand.reach("action.before_call").await;
    let answer = perform(link, action).await;
    errand.reach("action.called").await;
    let outcome = match answer {
        Ok(WriteAnswer::Confirmed) => Outcome::Performed { evidence: "ANSWERED".to_owned() },
        Ok(WriteAnswer::Unconfirmed) => return unknown(errand, action).await,
        Err(error) if error.sent == Sent::MaybeSent => {
            report(errand, action, &error).await?;
            return unknown(errand, action).await;
        }
        Err(error) => without_effect(&error),
    };
    errand.reach("action.before_record").await;
    reconcile::settle(errand, action.action_id, outcome.clone()).await?;
    errand.reach("action.recorded").await;
    after(errand, action, &outcome).await
}

/// A failure after which the write surely had no effect: the platform said no, or was never asked.
fn without_effect(error: &PlatformError) -> Outcome {
    let (class, code) = (error.class, error.kind.code().to_owned());
    tracing::warn!(class = class.as_str(), code, "the action had no effect");
    match class {
        FailureClass::Transport | FailureClass::SessionLost | FailureClass::ContractBroken => {
            Outcome::Failed { class, code }
        }
        _ => Outcome::Refused { class, code },
    }
}

/// What the failure says about the account or the module holds at once, whatever became of the action.
async fn report(errand: &Errand, action: &PlannedAction, error: &PlatformError) -> Result<(), Fault> {
    let (class, code) = (error.class, error.kind.code());
    tracing::warn!(class = class.as_str(), code, "whether the action had an effect is not known");
    if class != FailureClass::Transport {
        let trouble =
            BotCommand::ReportTrouble { class, code: code.to_owned(), kind: Some(action.kind), at: errand.now() };
        errand.tell_if_allowed(Errand::of_action(action.action_id, "trouble"), trouble).await?;
    }
    Ok(())
}

/// A first look at once: "done" settles it, anything else waits.
async fn unknown(errand: &Errand, action: &PlannedAction) -> Result<Disposition, Fault> {
    errand.engine.doubts.begin(action.action_id, Instant::now());
    let bot = errand.load().await?;
    let Some(open) = bot.open_reservation().filter(|open| open.action_id == action.action_id) else {
        return known(errand, action).await;
    };
    match reconcile::reconcile(errand, &bot, open).await? {
        Reconciled::Settled(outcome) => after(errand, action, &outcome).await,
        Reconciled::Later(at) => Ok(wait_for_outcome(errand, &bot, at)),
        Reconciled::NoSession => Ok(Disposition::snooze(errand.now() + NEXT_ATTEMPT, "OUTCOME_UNKNOWN")
            .then(reconcile::look_after(errand, &bot, errand.now()))),
    }
}

/// The action was settled before, by this command or by whoever had the bot in between: what follows from it still has to.
async fn known(errand: &Errand, action: &PlannedAction) -> Result<Disposition, Fault> {
    match reconcile::recorded(errand, action.action_id).await? {
        Some(outcome) => after(errand, action, &outcome).await,
        // A person's unlinking settles without a record.
        None => Ok(Disposition::done("KNOWN")),
    }
}

/// What follows from a settled action for its run.
async fn after(errand: &Errand, action: &PlannedAction, outcome: &Outcome) -> Result<Disposition, Fault> {
    errand.reach("action.before_complete").await;
    let mut disposition = Disposition::done(&source::result_of(outcome));
    if let Some(again) = next_attempt(errand, action, outcome) {
        disposition = disposition.then([again]);
    }
    if source::is_used_up(errand, action, outcome).await? {
        return Ok(disposition.siblings(Siblings::Stop(source::USED_UP)));
    }
    let bot = errand.load().await?;
    let mode = bot.enablement().map_or(Mode::DryRun, |enablement| enablement.mode);
    if let Verdict::Wait(Wait { reason: SuppressReason::Pacing, frees_at: Some(at), .. }) =
        bot.verdict(action.kind, mode, requests_of(action.kind), errand.now())
    {
        disposition = disposition.siblings(Siblings::Wait(at));
    }
    tracing::info!(outcome = outcome_name(outcome), "the action is settled");
    Ok(disposition)
}

/// What surely had no effect, for no reason of the target's, is tried again as an action of its own. Words are not: a
/// second message is worse than none.
fn next_attempt(
    errand: &Errand,
    action: &PlannedAction,
    outcome: &Outcome,
) -> Option<store::command_queue::NewCommand> {
    let had_no_effect = matches!(outcome, Outcome::Failed { class: FailureClass::Transport, .. });
    let has_words = matches!(action.kind, ActionKind::Comment | ActionKind::Dm);
    if !had_no_effect || has_words || action.attempt >= MOST_ATTEMPTS {
        return None;
    }
    let attempt = action.attempt + 1;
    let id = derive(&["again", &action.action_id.to_string(), &attempt.to_string()]);
    let again = PlannedAction { action_id: ActionId::from_uuid(id), attempt, ..action.clone() };
    Some(planned(errand, again, errand.now() + NEXT_ATTEMPT))
}

/// The command that performs an action; one for each action and run.
pub(crate) fn planned(
    errand: &Errand,
    action: PlannedAction,
    not_before: DateTime<Utc>,
) -> store::command_queue::NewCommand {
    let id = command_id(action.action_id, action.run_id);
    errand.follow_up(id, &Work::PerformAction(action), not_before)
}
