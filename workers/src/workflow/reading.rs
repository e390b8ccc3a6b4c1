//! Reads of the platform for a run: inside the limits of the account, with what follows from their failures.

use chrono::TimeDelta;
use domain::bot::{Bot, BotCommand, BotEvent, FailureClass, Verdict};

use super::campaign_run::{Run, Scheme, waits};
use crate::action::not_now;
use crate::answer::{Answer, NotNow};
use crate::connection_test::{self, Gatekeeping};
use crate::errand::{Errand, Told};
use crate::fault::Fault;
use crate::link::Link;
use crate::platform::PlatformError;

/// How long a read waits that no passing of time frees by itself.
const LONG_WAIT: TimeDelta = TimeDelta::hours(1);

/// Why a read does not come to its end.
pub(crate) enum Broken {
    NotNow(NotNow),
    Failed(PlatformError),
    Fault(Fault),
}

impl Broken {
    /// The run is over.
    pub(crate) fn ended(reason: &str) -> Self {
        Self::NotNow(NotNow::ended(reason))
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<PlatformError> for Broken {
    fn from(error: PlatformError) -> Self {
        Self::Failed(error)
    }
}

/// What a read of a run works with.
pub(crate) struct Reading<'a> {
    pub(crate) errand: &'a Errand,
    pub(crate) link: &'a Link<'a>,
    pub(crate) bot: &'a Bot,
    pub(crate) run: Run,
    pub(crate) scheme: &'a Scheme,
}

/// Reads with a session, if the bot may read now.
pub(crate) async fn read<T>(
    errand: &Errand,
    run: Run,
    scheme: &Scheme,
    what: impl AsyncFnOnce(&Reading<'_>) -> Result<T, Broken>,
) -> Result<Answer<T>, Fault> {
    let bot = errand.load().await?;
    if let Some(not_now) = not_now(&bot, run.enablement) {
        return Ok(not_now.into());
    }
    if let Some(not_now) = waits(&bot, scheme.definition.module.action(), scheme.mode, errand.now()) {
        return Ok(not_now.into());
    }
    let link = match connection_test::gate(errand, &bot).await? {
        Gatekeeping::Open(link) => link,
        Gatekeeping::Closed(not_now) => return Ok(not_now.into()),
    };
    // What is read differs by source and module; on the heap it does not make every run's future larger.
    match Box::pin(what(&Reading { errand, link: &link, bot: &bot, run, scheme })).await {
        Ok(done) => Ok(Answer::Done(done)),
        Err(Broken::NotNow(not_now)) => Ok(not_now.into()),
        Err(Broken::Failed(error)) => failed(errand, scheme, error).await,
        Err(Broken::Fault(fault)) => Err(fault),
    }
}

/// The platform could not be read.
async fn failed<T>(errand: &Errand, scheme: &Scheme, error: PlatformError) -> Result<Answer<T>, Fault> {
    let (class, code) = (error.class, error.kind.code());
    tracing::warn!(class = class.as_str(), code, "the platform could not be read for a run");
    let kind = match class {
        FailureClass::ContractBroken | FailureClass::Unknown => Some(scheme.definition.module.action()),
        _ => None,
    };
    if !matches!(class, FailureClass::Transport | FailureClass::SessionLost | FailureClass::SkipTarget) {
        let trouble = BotCommand::ReportTrouble { class, code: code.to_owned(), kind, at: errand.now() };
        errand.tell_if_allowed(errand.in_this_claim("list.trouble"), trouble).await?;
    }
    match class {
        FailureClass::Transport | FailureClass::SessionLost => match error.retry_after {
            Some(pause) => Ok(NotNow::wait(errand.hands.after(pause), code).into()),
            None => Err(Fault::Platform(error)),
        },
        FailureClass::SlowDown | FailureClass::ActionBlocked => {
            let bot = errand.load().await?;
            let until = bot.slowed_down_until(errand.now()).unwrap_or(errand.now() + LONG_WAIT);
            Ok(NotNow::wait(until, "SLOW_DOWN").into())
        }
        FailureClass::PersonNeeded | FailureClass::LoginEnded => Ok(NotNow::ended("NOT_RUNNING").into()),
        FailureClass::SkipTarget | FailureClass::ContractBroken | FailureClass::Unknown => {
            Ok(NotNow::ended(code).into())
        }
    }
}

impl Reading<'_> {
    /// Reserves calls inside the limits; a wait is recorded once.
    pub(crate) async fn reserve(&self, step: &str, count: u32) -> Result<(), Broken> {
        let errand = self.errand;
        let now = errand.now();
        let bot = errand.load().await?;
        let request = match bot.request_verdict(count, now) {
            Verdict::Free => errand.in_this_claim(step),
            Verdict::Wait(wait) => {
                let until = wait.frees_at.map_or(0, |at| at.timestamp_micros());
                errand.once(&format!("wait:{}:{until}", wait.reason))
            }
        };
        let purpose = "list_targets".to_owned();
        let reserve = BotCommand::ReserveRequests { purpose, count, automated: true, at: now };
        match errand.tell(request, reserve).await? {
            Told::Done(executed) => match executed.events.first() {
                Some(BotEvent::RequestsSuppressed { frees_at, window, .. }) => Err(Broken::NotNow(NotNow::Wait {
                    until: frees_at.unwrap_or(now + LONG_WAIT),
                    reason: "REQUESTS_SUPPRESSED".to_owned(),
                    counter: Some("REQUEST".to_owned()),
                    window: window.map(|window| window.as_str().to_owned()),
                })),
                _ => Ok(()),
            },
            // The next look at the state says what becomes of the run.
            Told::Refused(_) => Err(Broken::NotNow(NotNow::wait(now, "BOT_MOVED_ON"))),
        }
    }
}
