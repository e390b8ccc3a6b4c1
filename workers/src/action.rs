//! One action: reserved durably before the platform is called, called once, recorded after.
//!
//! A worker that dies in between leaves an open reservation, and whoever has the bot next finds out what became of it.
//! Nothing here is called twice for one reservation, and no reservation is made twice for one action.

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{
    ActionKind, Bot, BotCommand, BotError, BotEvent, BotState, FailureClass, Mode, NewReservation, Outcome,
    SuppressReason, Verdict, Wait, WordsId,
};
use domain::campaign::SkipReason;
use domain::ids::{ActionId, CampaignId, EnablementId, RunId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::answer::{Answer, NotNow};
use crate::connection_test::{self, Gatekeeping};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::Link;
#[cfg(feature = "failpoints")]
use crate::mutation::Mutation;
use crate::perform::{perform, requests_of};
use crate::platform::{PlatformError, Sent, WriteAnswer};
use crate::reconcile::{self, Reconciled, outcome_name};

/// How long an action waits for a session.
const NEXT_SESSION: TimeDelta = TimeDelta::minutes(5);
/// Why an action waits whose call may have had an effect.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// How long an action waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);
/// Reservations of one action that a change of mind may answer with "wait" before one is made.
const MOST_ASKS: u32 = 16;

/// One action of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) action_id: ActionId,
    pub(crate) run_id: RunId,
    pub(crate) campaign_id: CampaignId,
    pub(crate) enablement_id: EnablementId,
    pub(crate) kind: ActionKind,
    /// The platform's key of what is acted on.
    pub(crate) target: String,
    /// The words of a comment or a message.
    pub(crate) text: Option<String>,
    /// A story is liked, and not only seen.
    pub(crate) likes_story: bool,
}

/// How an action ended, as its job's history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// `PERFORMED`, `SIMULATED`, `REFUSED`, `FAILED` or `IN_DOUBT`.
    pub(crate) outcome: String,
    /// The class of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// The code of a failure, or what showed that it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// No other action of the account before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_at: Option<DateTime<Utc>>,
}

/// Performs the action, or says when to come again.
pub(crate) async fn perform_action(errand: &Errand, action: &Planned) -> Result<Answer<Settled>, Fault> {
    errand.reach("action.claimed").await;
    let mut bot = errand.load().await?;
    if let Some(open) = bot.open_reservation().cloned() {
        match reconcile::reconcile(errand, &bot, &open).await? {
            Reconciled::Settled(outcome) if open.action_id == action.action_id => {
                return after(errand, action, &outcome).await;
            }
            Reconciled::Settled(_) => bot = errand.load().await?,
            Reconciled::Later(at) => return Ok(NotNow::wait(at, OUTCOME_UNKNOWN).into()),
            // Then the bot does not run either; the next login asks.
            Reconciled::NoSession => {}
        }
    }
    if bot.knows_action(action.action_id) {
        return known(errand, action).await;
    }
    if let Some(not_now) = not_now(&bot, action.enablement_id) {
        return Ok(not_now.into());
    }
    let requests = requests_of(action.kind);
    let mode = bot.enablement().map_or(Mode::DryRun, |enablement| enablement.mode);
    if let Verdict::Wait(wait) = bot.verdict(action.kind, mode, requests, errand.now()) {
        return wait_for(errand, action, &wait).await;
    }
    let link = match connection_test::gate(errand, &bot).await? {
        Gatekeeping::Open(link) => link,
        Gatekeeping::Closed(not_now) => return Ok(not_now.into()),
    };
    #[cfg(feature = "failpoints")]
    if mode == Mode::Live && errand.hands.config.has_bug(Mutation::CallBeforeReserve) {
        return call_before_reserve(errand, &link, action).await;
    }
    match reserve(errand, action).await? {
        Reserved::Now(Mode::DryRun) => simulate(errand, action).await,
        Reserved::Now(Mode::Live) => call(errand, &link, action).await,
        Reserved::Instead(answer) => Ok(answer),
    }
}

/// Why what belongs to `enablement` is not for now, as far as the bot's state says.
pub(crate) fn not_now(bot: &Bot, enablement: EnablementId) -> Option<NotNow> {
    let is_current = bot.enablement().is_some_and(|current| current.enablement_id == enablement);
    match bot.state() {
        BotState::Running if is_current => None,
        BotState::Paused if is_current => Some(NotNow::Held),
        _ => Some(NotNow::ended("NOT_RUNNING")),
    }
}

enum Reserved {
    /// By this very request: nothing was called for it yet.
    Now(Mode),
    Instead(Answer<Settled>),
}

/// Reserves the action. Only a reservation that this call itself made leads to a call of the platform.
async fn reserve(errand: &Errand, action: &Planned) -> Result<Reserved, Fault> {
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
                return Ok(Reserved::Instead(NotNow::wait(errand.now(), "RESERVED_BEFORE").into()));
            }
            Some(BotEvent::ActionReserved { .. }) => return Ok(Reserved::Instead(known(errand, action).await?)),
            // This answer is an old one: ask under the next id.
            Some(BotEvent::ActionSuppressed { .. }) if executed.repeated => {}
            Some(BotEvent::ActionSuppressed { reason, counter, window, frees_at, .. }) => {
                let wait = Wait { reason: *reason, counter: *counter, window: *window, frees_at: *frees_at };
                return Ok(Reserved::Instead(NotNow::of_wait(&wait, errand.now() + LONG_WAIT).into()));
            }
            _ => break,
        }
    }
    Ok(Reserved::Instead(NotNow::wait(errand.now() + LONG_WAIT, "SUPPRESSED").into()))
}

fn reservation(errand: &Errand, action: &Planned) -> NewReservation {
    NewReservation {
        action_id: action.action_id,
        run_id: action.run_id,
        campaign_id: action.campaign_id,
        enablement_id: action.enablement_id,
        kind: action.kind,
        target: action.target.clone(),
        requests: requests_of(action.kind),
        words: action.text.as_deref().map(WordsId::of),
        roll: errand.hands.entropy.unit(),
        at: errand.now(),
    }
}

fn skipped(reason: SkipReason) -> Answer<Settled> {
    let (outcome, code) = ("SKIPPED".to_owned(), Some(reason.as_str().to_owned()));
    Answer::Done(Settled { outcome, class: None, code, next_at: None })
}

/// The bot changed its mind between the look and the request, or knows the action.
async fn refused(errand: &Errand, action: &Planned, refusal: BotError) -> Result<Reserved, Fault> {
    let answer = match refusal {
        BotError::AlreadyReserved { .. } => known(errand, action).await?,
        BotError::ContactStopped => skipped(SkipReason::ContactStopped),
        BotError::TextRepeated => skipped(SkipReason::TextRepeated),
        BotError::ReservationOpen { .. } => NotNow::wait(errand.now(), "RESERVATION_OPEN").into(),
        BotError::NotAllowed { .. } | BotError::StaleEnablement | BotError::NotPlanned { .. } => {
            let bot = errand.load().await?;
            not_now(&bot, action.enablement_id).unwrap_or_else(|| NotNow::ended("NOT_PLANNED")).into()
        }
        source => return Err(Fault::Refused { command: "ReserveAction", source }),
    };
    Ok(Reserved::Instead(answer))
}

/// Waits as the bot's verdict says. A wait for more than the pace is recorded, once.
async fn wait_for(errand: &Errand, action: &Planned, wait: &Wait) -> Result<Answer<Settled>, Fault> {
    let not_now = NotNow::of_wait(wait, errand.now() + LONG_WAIT);
    if wait.reason == SuppressReason::Pacing {
        return Ok(not_now.into());
    }
    let step = format!("wait:{}:{}", wait.reason, wait.frees_at.map_or(0, |at| at.timestamp_micros()));
    let request = Errand::of_action(action.action_id, &step);
    let told = errand.tell(request, BotCommand::ReserveAction(reservation(errand, action))).await?;
    let told = match told {
        Told::Done(executed) => executed,
        Told::Refused(refusal) => {
            return Ok(match refused(errand, action, refusal).await? {
                Reserved::Instead(answer) => answer,
                Reserved::Now(_) => NotNow::wait(errand.now(), "RESERVATION_OPEN").into(),
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
        return Ok(NotNow::ended("MODULE_STOPPED").into());
    }
    Ok(not_now.into())
}

async fn simulate(errand: &Errand, action: &Planned) -> Result<Answer<Settled>, Fault> {
    errand.reach("action.before_record").await;
    reconcile::settle(errand, action.action_id, Outcome::Simulated).await?;
    errand.reach("action.recorded").await;
    after(errand, action, &Outcome::Simulated).await
}

async fn call(errand: &Errand, link: &Link<'_>, action: &Planned) -> Result<Answer<Settled>, Fault> {
    errand.reach("action.before_call").await;
    #[cfg(feature = "failpoints")]
    if errand.hands.config.has_bug(Mutation::RecordBeforeCall) {
        let outcome = Outcome::Performed { evidence: "ASSUMED".to_owned() };
        reconcile::settle(errand, action.action_id, outcome).await?;
    }
    let answer = perform(link, action).await;
    errand.reach("action.called").await;
    let outcome = match answer {
        Ok(WriteAnswer::Confirmed) => Outcome::Performed { evidence: "ANSWERED".to_owned() },
        Ok(WriteAnswer::Unconfirmed) => return unknown(errand, action).await,
        #[cfg(feature = "failpoints")]
        Err(error) if errand.hands.config.has_bug(Mutation::BelieveSilence) => without_effect(&error),
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

/// The bug of this name.
#[cfg(feature = "failpoints")]
async fn call_before_reserve(errand: &Errand, link: &Link<'_>, action: &Planned) -> Result<Answer<Settled>, Fault> {
    let _ = perform(link, action).await;
    match reserve(errand, action).await? {
        Reserved::Now(_) => {
            let outcome = Outcome::Performed { evidence: "ANSWERED".to_owned() };
            reconcile::settle(errand, action.action_id, outcome.clone()).await?;
            after(errand, action, &outcome).await
        }
        Reserved::Instead(answer) => Ok(answer),
    }
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
async fn report(errand: &Errand, action: &Planned, error: &PlatformError) -> Result<(), Fault> {
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
async fn unknown(errand: &Errand, action: &Planned) -> Result<Answer<Settled>, Fault> {
    errand.hands.doubts.begin(action.action_id, Instant::now());
    let bot = errand.load().await?;
    let Some(open) = bot.open_reservation().filter(|open| open.action_id == action.action_id) else {
        return known(errand, action).await;
    };
    match reconcile::reconcile(errand, &bot, open).await? {
        Reconciled::Settled(outcome) => after(errand, action, &outcome).await,
        Reconciled::Later(at) => Ok(NotNow::wait(at, OUTCOME_UNKNOWN).into()),
        Reconciled::NoSession => Ok(NotNow::wait(errand.now() + NEXT_SESSION, OUTCOME_UNKNOWN).into()),
    }
}

/// The action was settled before: by another run, or by this step or whoever had the bot in between. Then what follows
/// from it still has to.
async fn known(errand: &Errand, action: &Planned) -> Result<Answer<Settled>, Fault> {
    if reserved_by(errand, action.action_id).await?.is_some_and(|run| run != action.run_id) {
        let outcome = "DONE_BY_ANOTHER_RUN".to_owned();
        return Ok(Answer::Done(Settled { outcome, class: None, code: None, next_at: None }));
    }
    match reconcile::recorded(errand, action.action_id).await? {
        Some(outcome) => after(errand, action, &outcome).await,
        // A person's unlinking settles without a record.
        None => Ok(Answer::Done(Settled { outcome: "KNOWN".to_owned(), class: None, code: None, next_at: None })),
    }
}

/// The run that an action was reserved for.
async fn reserved_by(errand: &Errand, action: ActionId) -> Result<Option<RunId>, Fault> {
    for ask in 0..MOST_ASKS {
        match errand.first_event(Errand::of_action(action, &format!("reserve:{ask}"))).await? {
            Some(BotEvent::ActionReserved { run_id, .. }) => return Ok(Some(run_id)),
            Some(_) => {}
            None => break,
        }
    }
    Ok(None)
}

/// What follows from a settled action for its run.
async fn after(errand: &Errand, action: &Planned, outcome: &Outcome) -> Result<Answer<Settled>, Fault> {
    errand.reach("action.before_complete").await;
    let bot = errand.load().await?;
    let mode = bot.enablement().map_or(Mode::DryRun, |enablement| enablement.mode);
    let next_at = match bot.verdict(action.kind, mode, requests_of(action.kind), errand.now()) {
        Verdict::Wait(Wait { reason: SuppressReason::Pacing, frees_at, .. }) => frees_at,
        _ => None,
    };
    tracing::info!(action.id = %action.action_id, outcome = outcome_name(outcome), "the action is settled");
    let (class, code) = match outcome {
        Outcome::Performed { evidence } => (None, Some(evidence.clone())),
        Outcome::Simulated => (None, None),
        Outcome::Refused { class, code } | Outcome::Failed { class, code } => {
            (Some(class.as_str().to_owned()), Some(code.clone()))
        }
        Outcome::InDoubt { code, .. } => (None, Some(code.clone())),
    };
    Ok(Answer::Done(Settled { outcome: outcome_name(outcome).to_owned(), class, code, next_at }))
}
