//! Whether the session works: asked by a person, and by every process before the first act of a bot that it took over.

use std::time::Duration;

use chrono::TimeDelta;
use domain::bot::{Bot, BotCommand, BotState, FailureClass};

use crate::answer::NotNow;
use crate::disposition::Disposition;
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::{Link, NoLink};
use crate::platform::{AccountView, PlatformError};
use crate::reconcile::{self, Reconciled};

/// How long a bot waits when its session could be neither proved nor disproved, in engine time.
const NEXT_PROOF: TimeDelta = TimeDelta::minutes(5);

/// Whether a bot may act.
pub(crate) enum Gatekeeping<'a> {
    /// This process has proved the session.
    Open(Link<'a>),
    Closed(NotNow),
}

/// What a test of the session showed.
enum Proof<'a> {
    Proved(Link<'a>),
    /// No answer that says anything about the session; not to be asked again before that much real time.
    Unknown(Duration),
    /// There is no session that could be used any more.
    Ended,
}

/// Tests the session, and looks after an action that an earlier holder of the bot left open.
pub(crate) async fn test_connection(errand: &Errand) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    if !matches!(bot.state(), BotState::LoggedIn | BotState::Running | BotState::Paused) {
        return Ok(Disposition::done("NOT_LOGGED_IN"));
    }
    match prove(errand, &bot).await? {
        Proof::Proved(_) => {}
        Proof::Unknown(_) => return Ok(Disposition::done("NOT_VERIFIED")),
        Proof::Ended => return Ok(Disposition::done("SESSION_ENDED")),
    }
    let mut disposition = Disposition::done("VERIFIED");
    let bot = errand.load().await?;
    if let Some(open) = bot.open_reservation()
        && let Reconciled::Later(at) = reconcile::reconcile(errand, &bot, open).await?
    {
        disposition = disposition.then(reconcile::look_after(errand, &bot, at));
    }
    Ok(disposition)
}

/// Lets a bot through whose session this process has proved, and proves it if it has not.
pub(crate) async fn gate<'a>(errand: &'a Errand, bot: &Bot) -> Result<Gatekeeping<'a>, Fault> {
    let is_too_old = bot.login().session_expires_at.is_some_and(|end| end <= errand.now());
    if let Some(session) = bot.login().session
        && !is_too_old
        && errand.hands.gate.is_open(errand.bot_id(), errand.epoch, session)
        && let Ok(link) = Link::open(errand, bot).await?
    {
        return Ok(Gatekeeping::Open(link));
    }
    Ok(match prove(errand, bot).await? {
        Proof::Proved(link) => Gatekeeping::Open(link),
        Proof::Unknown(at_least) => {
            let until = errand.hands.after(at_least).max(errand.now() + NEXT_PROOF);
            Gatekeeping::Closed(NotNow::wait(until, "SESSION_NOT_VERIFIED"))
        }
        Proof::Ended => Gatekeeping::Closed(NotNow::ended("NOT_RUNNING")),
    })
}

/// Asks the platform who is logged in, and records the answer.
async fn prove<'a>(errand: &'a Errand, bot: &Bot) -> Result<Proof<'a>, Fault> {
    errand.hands.gate.close(errand.bot_id());
    if bot.login().session_expires_at.is_some_and(|end| end <= errand.now()) {
        return expired(errand, "SESSION_TOO_OLD").await;
    }
    let link = match Link::open(errand, bot).await? {
        Ok(link) => link,
        Err(NoLink::NoSession) => return Ok(Proof::Ended),
        Err(NoLink::Unreadable) => return expired(errand, "SESSION_UNREADABLE").await,
    };
    let purpose = "connection_test".to_owned();
    let requests = BotCommand::ReserveRequests { purpose, count: 1, automated: false, at: errand.now() };
    if let Told::Refused(_) = errand.tell(errand.in_this_claim("test.requests"), requests).await? {
        return Ok(Proof::Ended);
    }
    let platform = link.platform();
    match link.call(|call, session| async move { platform.account(call, &session).await }).await {
        Ok(account) if is_same(bot, &account) => {
            let verified = BotCommand::RecordConnectionVerified { at: errand.now() };
            if errand.tell_if_allowed(errand.in_this_claim("test"), verified).await?.is_none() {
                return Ok(Proof::Ended);
            }
            errand.hands.gate.open(errand.bot_id(), errand.epoch, link.secret);
            Ok(Proof::Proved(link))
        }
        // The session of another account is never used.
        Ok(_) => expired(errand, "WRONG_ACCOUNT").await,
        Err(error) => failed(errand, &error).await,
    }
}

/// Whether the platform's account is the linked one.
pub(crate) fn is_same(bot: &Bot, found: &AccountView) -> bool {
    let Some(account) = bot.account() else { return false };
    let is_known = account.platform_pk.as_deref().is_none_or(|pk| pk == found.pk.as_str());
    is_known && account.username.eq_ignore_ascii_case(&found.username)
}

async fn expired<'a>(errand: &Errand, code: &'static str) -> Result<Proof<'a>, Fault> {
    tracing::warn!(code, "the session cannot be used any more; the person has to log in again");
    let expired = BotCommand::RecordSessionExpired { code: code.to_owned(), at: errand.now() };
    errand.tell_if_allowed(errand.in_this_claim("test"), expired).await?;
    Ok(Proof::Ended)
}

async fn failed<'a>(errand: &Errand, error: &PlatformError) -> Result<Proof<'a>, Fault> {
    let (class, code) = (error.class, error.kind.code());
    tracing::warn!(class = class.as_str(), code, "the session could not be proved");
    match class {
        FailureClass::LoginEnded => return expired(errand, code).await,
        FailureClass::PersonNeeded | FailureClass::ActionBlocked | FailureClass::SlowDown | FailureClass::Unknown => {
            let trouble = BotCommand::ReportTrouble { class, code: code.to_owned(), kind: None, at: errand.now() };
            errand.tell_if_allowed(errand.in_this_claim("test.trouble"), trouble).await?;
        }
        // These say nothing about the account.
        FailureClass::SkipTarget
        | FailureClass::Transport
        | FailureClass::SessionLost
        | FailureClass::ContractBroken => {}
    }
    let untold = BotCommand::RecordConnectionTestFailed { code: code.to_owned(), at: errand.now() };
    let told = errand.tell_if_allowed(errand.in_this_claim("test"), untold).await?;
    // A challenge has taken the session away.
    Ok(if told.is_some() { Proof::Unknown(error.retry_after.unwrap_or_default()) } else { Proof::Ended })
}
