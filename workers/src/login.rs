//! One login: the person's attempt, made once. Its session is exported at once, sealed and kept; the password and the code
//! go nowhere but into the call.
//!
//! A second password login is what the platform distrusts most, so a worker that finds that an earlier one may have made
//! it records an interruption and leaves the next attempt to the person.

use chrono::{Offset, TimeZone};
use domain::bot::{Bot, BotCommand, BotState, FailureClass, LoginFailureReason};
use domain::ids::{SecretId, derive};
use store::vault::{Purpose, Vault};

use crate::connection_test::is_same;
use crate::disposition::Disposition;
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::platform::{LoginCredentials, PlatformError, PlatformErrorKind, SessionBlob, SessionId};
use crate::reconcile;
use crate::secrets;

/// Gateway calls of a login: the login, the account, the export. An import is one more.
const REQUESTS: u32 = 3;

/// The attempt, as it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) password: SecretId,
    pub(crate) verification_code: Option<SecretId>,
}

/// How the attempt ended.
enum Ended {
    LoggedIn { session: SessionId, platform_pk: String, blob: SessionBlob },
    Failed(LoginFailureReason),
    TwoFactor,
    Challenge(&'static str),
}

/// Makes the attempt, and erases the code that it used.
pub(crate) async fn login(vault: &Vault, errand: &Errand, attempt: Attempt) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    let disposition = if bot.state() == BotState::LoggingIn && bot.login().attempt == attempt.number {
        try_once(vault, errand, &bot, attempt).await?
    } else {
        Disposition::done("STALE")
    };
    if let Some(code) = attempt.verification_code {
        vault.erase(errand.bot_id().owner(), &[code]).await?;
    }
    Ok(disposition)
}

async fn try_once(vault: &Vault, errand: &Errand, bot: &Bot, attempt: Attempt) -> Result<Disposition, Fault> {
    let requests = BotCommand::ReserveRequests {
        purpose: "login".to_owned(),
        count: REQUESTS + u32::from(bot.login().interrupted_session.is_some()),
        automated: false,
        at: errand.now(),
    };
    let ended = match errand.tell(errand.once("requests"), requests).await? {
        // An earlier claim came this far and may have logged in.
        Told::Done(reserved) if reserved.repeated => Ended::Failed(LoginFailureReason::Interrupted),
        Told::Done(_) => {
            errand.reach("login.reserved").await;
            ask(vault, errand, bot, attempt).await?
        }
        Told::Refused(_) => return Ok(Disposition::done("STALE")),
    };
    errand.reach("login.called").await;
    record(vault, errand, attempt, ended).await
}

/// The calls of an attempt.
async fn ask(vault: &Vault, errand: &Errand, bot: &Bot, attempt: Attempt) -> Result<Ended, Fault> {
    let hands = &errand.hands;
    let user = errand.bot_id().owner();
    let Some(account) = bot.account() else { return Ok(Ended::Failed(LoginFailureReason::Other)) };
    if let Some(secret) = bot.login().interrupted_session
        && let Some(kept) = hands.sessions.session(user, secret).await?
    {
        // A restored session is no new login. Whatever it fails with, the password is left.
        let imported = hands.platform.import_session(hands.call(account.account_id), &kept.blob).await;
        match imported {
            Ok(session) => match prove(errand, bot, session).await {
                Ok(ended) => return Ok(ended),
                Err(error) if !is_over(&error) => return Ok(failed(&error, attempt)),
                Err(_) => {}
            },
            Err(error) if !is_over(&error) => return Ok(failed(&error, attempt)),
            Err(_) => {}
        }
    }
    let Some(password) = secrets::text(vault, user, attempt.password, Purpose::Password).await? else {
        return Ok(Ended::Failed(LoginFailureReason::SecretUnavailable));
    };
    let mut credentials = LoginCredentials::new(account.username.as_str(), password.as_str());
    if let Some(code) = attempt.verification_code {
        let Some(code) = secrets::text(vault, user, code, Purpose::VerificationCode).await? else {
            return Ok(Ended::Failed(LoginFailureReason::SecretUnavailable));
        };
        credentials = credentials.with_code(code.as_str());
    }
    let offset = bot.zone().offset_from_utc_datetime(&errand.now().naive_utc()).fix();
    let credentials = credentials.with_place(None, Some(offset.local_minus_utc()));
    match hands.platform.login(hands.call(account.account_id), &credentials).await {
        Ok(session) => Ok(prove(errand, bot, session).await.unwrap_or_else(|error| failed(&error, attempt))),
        Err(error) => Ok(failed(&error, attempt)),
    }
}

/// Whose session it is, and its export.
async fn prove(errand: &Errand, bot: &Bot, session: SessionId) -> Result<Ended, PlatformError> {
    let hands = &errand.hands;
    let Some(account) = bot.account() else { return Ok(Ended::Failed(LoginFailureReason::Other)) };
    let platform = &hands.platform;
    let found = platform.account(hands.call(account.account_id), &session).await?;
    if !is_same(bot, &found) {
        return Ok(Ended::Failed(LoginFailureReason::WrongAccount));
    }
    let blob = platform.export_session(hands.call(account.account_id), &session).await?;
    Ok(Ended::LoggedIn { session, platform_pk: found.pk.to_string(), blob })
}

/// Whether the failure says that the kept session is of no use any more, so that the password is the way.
fn is_over(error: &PlatformError) -> bool {
    matches!(error.class, FailureClass::LoginEnded | FailureClass::SessionLost | FailureClass::ContractBroken)
}

fn failed(error: &PlatformError, attempt: Attempt) -> Ended {
    let code = error.kind.code();
    tracing::warn!(class = error.class.as_str(), code, "the login did not succeed");
    match (error.kind, error.class) {
        (PlatformErrorKind::TwoFactorRequired, _) if attempt.verification_code.is_none() => Ended::TwoFactor,
        (PlatformErrorKind::TwoFactorRequired | PlatformErrorKind::CodeTurnedDown, _) => {
            Ended::Failed(LoginFailureReason::WrongTwoFactorCode)
        }
        (PlatformErrorKind::BadPassword | PlatformErrorKind::BadCredentials, _) => {
            Ended::Failed(LoginFailureReason::WrongPassword)
        }
        (_, FailureClass::PersonNeeded) => Ended::Challenge(code),
        (_, FailureClass::SlowDown | FailureClass::ActionBlocked) => Ended::Failed(LoginFailureReason::SlowDown),
        (_, FailureClass::Transport) => Ended::Failed(LoginFailureReason::GatewayUnavailable),
        _ => Ended::Failed(LoginFailureReason::Other),
    }
}

/// Records how the attempt ended; once, whoever does it.
async fn record(vault: &Vault, errand: &Errand, attempt: Attempt, ended: Ended) -> Result<Disposition, Fault> {
    let (at, number) = (errand.now(), attempt.number);
    let (outcome, command) = match ended {
        Ended::LoggedIn { session, platform_pk, blob } => {
            return succeed(vault, errand, attempt, &session, platform_pk, &blob).await;
        }
        Ended::Failed(reason) => {
            let roll = errand.hands.entropy.unit();
            (reason.as_str(), BotCommand::RecordLoginFailure { attempt: number, reason, roll, at })
        }
        Ended::TwoFactor => ("TWO_FACTOR_REQUIRED", BotCommand::RequireTwoFactor { attempt: number, at }),
        Ended::Challenge(kind) => ("CHALLENGE", BotCommand::RaiseChallenge { kind: kind.to_owned(), at }),
    };
    errand.tell_if_allowed(errand.once("record"), command).await?;
    Ok(Disposition::done(outcome))
}

async fn succeed(
    vault: &Vault,
    errand: &Errand,
    attempt: Attempt,
    session: &SessionId,
    platform_pk: String,
    blob: &SessionBlob,
) -> Result<Disposition, Fault> {
    let hands = &errand.hands;
    // Its own for each claim: what an earlier claim may have kept is another session.
    let id = derive(&["session", &errand.claim.to_string()]);
    let kept = secrets::keep_session(vault, errand.bot_id().owner(), SecretId::from_uuid(id), session, blob).await?;
    let at = errand.now();
    let success = BotCommand::RecordLoginSuccess {
        attempt: attempt.number,
        platform_pk,
        session: kept.secret,
        key_id: kept.key_id,
        session_expires_at: at + hands.config.session_lifetime,
        at,
    };
    let Some(executed) = errand.tell_if_allowed(errand.once("record"), success).await? else {
        return Ok(Disposition::done("STALE"));
    };
    if executed.state.login().session != Some(kept.secret) {
        return Ok(Disposition::done("WRONG_ACCOUNT"));
    }
    hands.gate.open(errand.bot_id(), errand.epoch, kept.secret);
    // What an earlier session left open can be found out with this one.
    let after = reconcile::look_after(errand, &executed.state, at);
    Ok(Disposition::done("LOGGED_IN").then(after))
}
