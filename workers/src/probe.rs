//! Looks at the platform again for an action in doubt, because a person asked. What cannot be told stays in doubt: the
//! person decides. Nothing here writes to the platform.

use domain::bot::{Bot, BotCommand, FailureClass, Reservation, Settlement};
use domain::ids::ActionId;
use serde_json::json;
use tokio::time::Instant;

use crate::disposition::{Disposition, Ending};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::{Link, NoLink};
use crate::look::{self, Finding};
use crate::platform::PlatformError;
use crate::reconcile::words_of;

/// Looks, and settles what the look tells.
pub(crate) async fn probe_action(errand: &Errand, action: ActionId) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    let Some(doubt) = bot.in_doubt().find(|doubt| doubt.action_id == action).cloned() else {
        return Ok(Disposition::done("SETTLED_BEFORE"));
    };
    if bot.slowed_down_until(errand.now()).is_some() {
        return Ok(Disposition::done("SLOWED_DOWN"));
    }
    look(errand, &bot, &doubt).await
}

async fn look(errand: &Errand, bot: &Bot, doubt: &Reservation) -> Result<Disposition, Fault> {
    let link = match Link::open(errand, bot).await? {
        Ok(link) => link,
        Err(NoLink::NoSession | NoLink::Unreadable) => return Ok(Disposition::done("NO_SESSION")),
    };
    let (purpose, count) = ("probe_action".to_owned(), look::requests_of(doubt.kind));
    let requests = BotCommand::ReserveRequests { purpose, count, automated: false, at: errand.now() };
    if let Told::Refused(_) = errand.tell(errand.in_this_claim("probe.requests"), requests).await? {
        return Ok(Disposition::done("NO_SESSION"));
    }
    let text = words_of(errand, doubt).await?;
    match look::look(&link, doubt, text.as_deref()).await {
        Ok(Finding::Done(seen)) => settle(errand, doubt.action_id, Settlement::Performed, seen).await,
        Ok(Finding::NotDone(seen)) => not_done(errand, doubt.action_id, seen).await,
        Ok(Finding::Untold(seen) | Finding::Unclear(seen)) => Ok(still_in_doubt(seen)),
        Err(error) => failed(errand, &error).await,
    }
}

/// A late success looks exactly like none until it is there, so "not done" is believed only after a while.
async fn not_done(errand: &Errand, action: ActionId, seen: &'static str) -> Result<Disposition, Fault> {
    let hands = &errand.hands;
    let left = hands.doubts.remaining(action, hands.config.settle_time, Instant::now());
    if !left.is_zero() {
        return Ok(Disposition::snooze(hands.after(left), "LOOKS_AGAIN"));
    }
    settle(errand, action, Settlement::NotPerformed, seen).await
}

async fn settle(
    errand: &Errand,
    action_id: ActionId,
    settlement: Settlement,
    seen: &'static str,
) -> Result<Disposition, Fault> {
    let command =
        BotCommand::ReconcileAction { action_id, settlement, evidence: format!("a probe: {seen}"), at: errand.now() };
    errand.tell_if_allowed(Errand::of_action(action_id, "probe"), command).await?;
    errand.hands.doubts.forget(action_id);
    Ok(Disposition::of(Ending::Done(json!({ "outcome": settlement, "finding": seen }))))
}

fn still_in_doubt(seen: &str) -> Disposition {
    Disposition::of(Ending::Done(json!({ "outcome": "IN_DOUBT", "finding": seen })))
}

async fn failed(errand: &Errand, error: &PlatformError) -> Result<Disposition, Fault> {
    let code = error.kind.code();
    match error.class {
        // Nothing is known of the account from these.
        FailureClass::SkipTarget
        | FailureClass::Transport
        | FailureClass::SessionLost
        | FailureClass::ContractBroken => {}
        class => {
            let trouble = BotCommand::ReportTrouble { class, code: code.to_owned(), kind: None, at: errand.now() };
            errand.tell_if_allowed(errand.in_this_claim("probe.trouble"), trouble).await?;
        }
    }
    Ok(still_in_doubt(code))
}
