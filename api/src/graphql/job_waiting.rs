//! Why a job does nothing now: what it waits for itself, and for the run of a campaign what holds its bot back.

use async_graphql::{Enum, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::bot as bots;
use domain::job::JobState;
use projections::campaigns;
use projections::jobs::JobView;
use serde::Deserialize;

use super::bot::Bot;
use super::error::fault;
use super::job::STREAM;
use super::names::{Counter, Window};
use super::verdict::{Verdict, explained};
use crate::deps::Services;

/// Among so many events before its sleep is what a step was told: signals and changes of priority may stand between.
const NEWEST_EVENTS: i64 = 8;

/// Why a job does nothing now. The names of limits are those of `SuppressReason`.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum JobWaitReason {
    /// Today's code does not fit its history.
    NeedsAttention,
    /// A person paused it.
    Paused,
    /// A step failed and is tried again later.
    Retry,
    /// Its bot is not RUNNING.
    BotNotRunning,
    /// Instagram asked to slow down.
    SlowDown,
    /// Instagram blocked this kind of action.
    KindBlocked,
    /// This kind stopped after an answer that nobody understands.
    ModuleStopped,
    /// Outside the working hours.
    OutsideHours,
    /// Too soon after the last write.
    Pacing,
    /// The hour's limit is reached.
    HourLimit,
    /// The day's limit is reached.
    DayLimit,
    /// The limit of this kind is zero.
    LimitZero,
    /// A step was told to come back later; the code says why.
    NotNow,
    /// It sleeps.
    Timer,
    /// It waits for a signal.
    Signal,
    /// It waits for a job that it started.
    Child,
    /// It has not begun: a worker takes it up next.
    Queued,
    /// It waits for nothing: a worker is at it, or takes it up next.
    Working,
}

impl From<bots::SuppressReason> for JobWaitReason {
    fn from(reason: bots::SuppressReason) -> Self {
        match reason {
            bots::SuppressReason::SlowDown => Self::SlowDown,
            bots::SuppressReason::KindBlocked => Self::KindBlocked,
            bots::SuppressReason::ModuleStopped => Self::ModuleStopped,
            bots::SuppressReason::OutsideHours => Self::OutsideHours,
            bots::SuppressReason::Pacing => Self::Pacing,
            bots::SuppressReason::HourLimit => Self::HourLimit,
            bots::SuppressReason::DayLimit => Self::DayLimit,
            bots::SuppressReason::LimitZero => Self::LimitZero,
        }
    }
}

/// The answer to "why not yet".
#[derive(SimpleObject)]
pub struct JobWaiting {
    /// The reason that ends last, as far as one can tell.
    reason: JobWaitReason,
    /// The code of the failure, of the reason to come back later, or the bot's state.
    code: Option<String>,
    /// The counter whose limit is reached.
    counter: Option<Counter>,
    /// The window in which it is.
    window: Option<Window>,
    /// How much of the counter is used in the window.
    used: Option<u32>,
    /// The counter's limit in the window.
    limit: Option<u32>,
    /// When it goes on by itself; null when something else has to happen first.
    frees_at: Option<DateTime<Utc>>,
    /// The signal that it waits for.
    signal: Option<String>,
    /// The same in words.
    explanation: String,
    /// Whether its bot may do what it is about, and if not why; null for jobs that are no run of a campaign.
    bot: Option<Verdict>,
}

impl JobWaiting {
    fn new(reason: JobWaitReason, explanation: impl Into<String>) -> Self {
        Self {
            reason,
            code: None,
            counter: None,
            window: None,
            used: None,
            limit: None,
            frees_at: None,
            signal: None,
            explanation: explanation.into(),
            bot: None,
        }
    }
}

/// What a run of a campaign is about to ask its bot for.
struct Intent {
    bot: Bot,
    kind: bots::ActionKind,
    mode: bots::Mode,
}

/// What `job` waits for; `None` once it is over.
pub async fn of(services: &Services, job: &JobView) -> Result<Option<JobWaiting>> {
    if job.state.is_over() || job.state == JobState::NotCreated {
        return Ok(None);
    }
    let intent = intent(services, job).await?;
    let held = own(job).or_else(|| intent.as_ref().and_then(|intent| of_bot(job, intent)));
    let mut waiting = match held {
        Some(waiting) => waiting,
        None => told_later(services, job).await?.unwrap_or_else(|| of_journal(job, services.deps.clock.now())),
    };
    waiting.bot = intent.map(|intent| Verdict::of(&intent.bot, intent.kind, intent.mode));
    Ok(Some(waiting))
}

async fn intent(services: &Services, job: &JobView) -> Result<Option<Intent>> {
    let Some(campaign_id) = job.campaign_id else { return Ok(None) };
    let campaign = campaigns::by_id(&services.deps.pool, campaign_id).await.map_err(fault)?;
    let Some(campaign) = campaign.filter(|campaign| campaign.bot_id == job.bot_id) else { return Ok(None) };
    let bot = Bot::load(services, job.bot_id).await?;
    let mode = bot.state.enablement().map_or(bots::Mode::Live, |enablement| enablement.mode);
    Ok(Some(Intent { bot, kind: campaign.definition.module.action(), mode }))
}

/// What holds the job itself, whatever its bot may do.
fn own(job: &JobView) -> Option<JobWaiting> {
    match job.state {
        JobState::NeedsAttention => {
            let text = job.divergence.as_ref().map_or_else(
                || "today's code does not fit its history".to_owned(),
                |parted| {
                    format!(
                        "at {} its history has \"{}\" and today's code asks for \"{}\"; run the code that wrote it, or \
                         retry from a step",
                        parted.index, parted.recorded, parted.attempted
                    )
                },
            );
            Some(JobWaiting {
                code: Some("JOB_DIVERGED".to_owned()),
                ..JobWaiting::new(JobWaitReason::NeedsAttention, text)
            })
        }
        JobState::Paused => {
            let why = job.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("no reason given");
            Some(JobWaiting::new(JobWaitReason::Paused, format!("a person paused it: {why}; resume it")))
        }
        _ if job.retrying => {
            let failure = job.failure.as_ref();
            let step = job.step_name.as_deref().unwrap_or("a step");
            let said = failure.map_or_else(String::new, |failure| format!(": {} {}", failure.code, failure.message));
            let text = format!("step {step} failed {} times{said}; it is tried again", job.attempts);
            Some(JobWaiting {
                code: failure.map(|failure| failure.code.clone()),
                frees_at: job.wake_at,
                ..JobWaiting::new(JobWaitReason::Retry, text)
            })
        }
        _ => None,
    }
}

/// What holds the bot, for a job that is going to act.
fn of_bot(job: &JobView, intent: &Intent) -> Option<JobWaiting> {
    if job.state == JobState::Cancelling {
        return None;
    }
    let Intent { bot, kind, mode } = intent;
    let state = bot.state.state();
    if state != bots::BotState::Running {
        let why = bot.state.error_reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let text = format!("automation is not running: the bot is {state}{why}");
        return Some(JobWaiting {
            code: Some(state.as_str().to_owned()),
            signal: signal(job),
            ..JobWaiting::new(JobWaitReason::BotNotRunning, text)
        });
    }
    let bots::Verdict::Wait(wait) = bot.state.verdict(*kind, *mode, 1, bot.now) else { return None };
    let counted = wait.counter.zip(wait.window);
    // Calls of the gateway are counted live, whatever the mode.
    let counts_in = |counter| if counter == bots::Counter::Request { bots::Mode::Live } else { *mode };
    Some(JobWaiting {
        counter: wait.counter.map(Into::into),
        window: wait.window.map(Into::into),
        used: counted.map(|(counter, window)| bot.state.used(counts_in(counter), counter, window, bot.now)),
        limit: counted.map(|(counter, window)| bot.state.limit(counts_in(counter), counter, window, bot.now)),
        frees_at: wait.frees_at,
        ..JobWaiting::new(wait.reason.into(), explained(&wait))
    })
}

/// What a step answered that was told to come back later.
#[derive(Deserialize)]
struct Later {
    not_now: String,
    reason: String,
    until: DateTime<Utc>,
}

/// Why the job sleeps, if it does so because a step was told to: the step's answer stands in its history right before the
/// sleep.
async fn told_later(services: &Services, job: &JobView) -> Result<Option<JobWaiting>> {
    if job.runnable || job.waiting_for.as_deref() != Some("timer") {
        return Ok(None);
    }
    let (id, after) = (job.job_id.to_string(), job.last_sequence - NEWEST_EVENTS);
    let events = services.deps.bus.repository().stream(STREAM, &id, after, NEWEST_EVENTS).await.map_err(fault)?;
    let later = events.iter().rev().find(|event| event.event_type == "StepCompleted").and_then(|event| {
        let later: Later = serde_json::from_value(event.payload["result"].clone()).ok()?;
        // The read model has no more than microseconds.
        let wakes_then = job.wake_at.is_some_and(|at| at.timestamp_micros() == later.until.timestamp_micros());
        (later.not_now == "WAIT" && wakes_then).then_some((event, later))
    });
    Ok(later.map(|(event, Later { reason, until, .. })| {
        let step = event.payload["name"].as_str().unwrap_or("a step");
        let text = format!("step {step} was told to come back at {}: {reason}", instant(until));
        JobWaiting { code: Some(reason), frees_at: job.wake_at, ..JobWaiting::new(JobWaitReason::NotNow, text) }
    }))
}

/// What the job's own history says.
fn of_journal(job: &JobView, now: DateTime<Utc>) -> JobWaiting {
    let Some(waiting_for) = job.waiting_for.as_deref().filter(|_| !job.runnable) else {
        return match job.state {
            JobState::Pending => JobWaiting::new(JobWaitReason::Queued, "it has not begun; a worker takes it up next"),
            _ => JobWaiting::new(JobWaitReason::Working, "it waits for nothing; a worker is at it or takes it up next"),
        };
    };
    let reason = match waiting_for.split(' ').next() {
        Some("signal") => JobWaitReason::Signal,
        Some("child") => JobWaitReason::Child,
        _ => JobWaitReason::Timer,
    };
    let text = match (reason, job.wake_at) {
        (JobWaitReason::Timer, Some(at)) if at <= now => "its sleep is over; a worker takes it up next".to_owned(),
        (JobWaitReason::Timer, Some(at)) => format!("it sleeps until {}", instant(at)),
        (_, Some(at)) => format!("it waits for the {waiting_for}, at most until {}", instant(at)),
        (_, None) => format!("it waits for the {waiting_for}"),
    };
    JobWaiting { frees_at: job.wake_at, signal: signal(job), ..JobWaiting::new(reason, text) }
}

fn signal(job: &JobView) -> Option<String> {
    job.waiting_for.as_deref()?.strip_prefix("signal ").map(str::to_owned)
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
