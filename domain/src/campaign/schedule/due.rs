//! Which runs are due, and what becomes of each: the scheduler's decisions.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Schedule;
use super::error::ScheduleError;
use super::policy::{LONGEST_QUEUE, MOST_BACKFILLED, Overlap, jitter, job_id};
use super::timing::EARLIEST;
use crate::bot::{Activity, Bot, BotState};
use crate::ids::{CampaignId, JobId};

/// How long what surely does not run may stay undecided: one decision a day is enough for it.
const IDLE_LOOK: TimeDelta = TimeDelta::days(1);

/// Due times that are passed over in a search for the next that is not planned already.
const LONGEST_SEARCH: usize = 1_000;

/// When a run is due, and when it starts: the jitter later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTime {
    pub due_at: DateTime<Utc>,
    pub start_at: DateTime<Utc>,
}

/// A run that is to be enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// The same for every decision about this due time.
    pub job_id: JobId,
    pub due_at: DateTime<Utc>,
    pub start_at: DateTime<Utc>,
}

/// Due times that follow each other and share a fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueSpan {
    pub first_due_at: DateTime<Utc>,
    pub last_due_at: DateTime<Utc>,
    pub count: u64,
}

/// Why a run that was due in time does not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SkipReason {
    Paused {
        reason: String,
    },
    BotNotRunning {
        state: BotState,
    },
    /// The bot runs a plan that the campaign is not part of.
    NotInPlan,
    StillRunning {
        job_id: JobId,
    },
    QueueFull {
        waiting: usize,
    },
    /// A later run of the same decision takes its place.
    Superseded {
        by_due_at: DateTime<Utc>,
    },
}

/// What becomes of due times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DueDecision {
    Start {
        run: PlannedRun,
    },
    /// Those before it are cancelled, and it starts when they are over.
    CancelPreviousAndStart {
        previous: Vec<JobId>,
        run: PlannedRun,
    },
    Queue {
        behind: JobId,
        run: PlannedRun,
    },
    Skip {
        span: DueSpan,
        reason: SkipReason,
    },
    /// Nobody decided in time.
    Missed {
        span: DueSpan,
    },
}

/// What is known at the time of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub bot: BotState,
    /// While the bot is not RUNNING: since when.
    pub bot_since: DateTime<Utc>,
    /// Whether the campaign is part of what the bot runs.
    pub in_plan: bool,
    /// The campaign's jobs that are not over, oldest first: the one that runs, then those that wait.
    pub open_jobs: Vec<JobId>,
}

/// What a campaign has to know of its bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BotStanding {
    pub activity: Activity,
    /// Whether the campaign is part of what the bot runs.
    pub in_plan: bool,
}

impl BotStanding {
    /// How `bot` stands to a campaign.
    #[must_use]
    pub fn of(bot: &Bot, campaign_id: CampaignId) -> Self {
        let in_plan = bot.enablement().is_some_and(|enablement| enablement.campaigns.contains(&campaign_id));
        Self { activity: bot.activity(), in_plan }
    }

    /// Whether runs may start.
    #[must_use]
    pub fn lets_run(&self) -> bool {
        self.activity.is_running() && self.in_plan
    }

    /// What is known now, for a campaign with these open jobs.
    #[must_use]
    pub fn now(&self, open_jobs: Vec<JobId>) -> Standing {
        self.with(self.activity.state, open_jobs)
    }

    fn with(&self, bot: BotState, open_jobs: Vec<JobId>) -> Standing {
        let bot_since = self.activity.ran_until.unwrap_or(EARLIEST);
        Standing { bot, bot_since, in_plan: self.in_plan, open_jobs }
    }
}

impl Schedule {
    /// Due times that start after `after`, in order; starts are in the same order.
    pub fn due_times(&self, campaign_id: CampaignId, after: DateTime<Utc>) -> impl Iterator<Item = DueTime> + use<'_> {
        let bound = self.jitter();
        let from = after.checked_sub_signed(bound).unwrap_or(EARLIEST).max(self.since);
        let mut times = self.timing.times_after(from).peekable();
        std::iter::from_fn(move || {
            let due_at = times.next()?;
            let start_at = due_at + jitter(campaign_id, due_at, times.peek().copied(), bound);
            Some(DueTime { due_at, start_at })
        })
        .skip_while(move |time| time.start_at <= after)
    }
}

/// Decides every due time that starts after `decided_until` and not after `now`, each exactly once and in order.
///
/// The caller keeps `now` as the next `decided_until`, in the same append as the decisions. Deciding again after a
/// crash between the two is harmless: a run has the same id, and the decision about one that is open already is repeated.
///
/// The work grows with the number of due times in between, the answer does not: due times that share a fate are one
/// decision. Nothing is decided when `now` lies before `decided_until`.
#[must_use]
pub fn due(
    schedule: &Schedule,
    campaign_id: CampaignId,
    decided_until: DateTime<Utc>,
    now: DateTime<Utc>,
    standing: &Standing,
) -> Vec<DueDecision> {
    let oldest = now.checked_sub_signed(schedule.catch_up()).unwrap_or(EARLIEST);
    let mut decisions = Vec::new();
    let mut in_time = Vec::new();
    for time in schedule.due_times(campaign_id, decided_until).take_while(|time| time.start_at <= now) {
        let late = time.start_at < oldest;
        match &schedule.pause {
            Some(pause) if !late || time.start_at >= pause.paused_at => {
                skip(&mut decisions, time, SkipReason::Paused { reason: pause.reason.clone() });
            }
            _ if standing.bot != BotState::Running && (!late || time.start_at >= standing.bot_since) => {
                skip(&mut decisions, time, SkipReason::BotNotRunning { state: standing.bot });
            }
            _ if late => miss(&mut decisions, time),
            _ if !standing.in_plan => skip(&mut decisions, time, SkipReason::NotInPlan),
            _ => in_time.push(time),
        }
    }
    overlap(schedule.overlap, campaign_id, in_time, standing, &mut decisions);
    decisions
}

/// [`due`] for a bot that may have begun to run since `decided_until`: what was due before that was not its time.
#[must_use]
pub fn due_of_bot(
    schedule: &Schedule,
    campaign_id: CampaignId,
    decided_until: DateTime<Utc>,
    now: DateTime<Utc>,
    bot: &BotStanding,
    open_jobs: Vec<JobId>,
) -> Vec<DueDecision> {
    let Activity { state, before, ran_since, .. } = bot.activity;
    let began = ran_since.filter(|began| state == BotState::Running && *began >= decided_until);
    let mut decisions = Vec::new();
    let mut from = decided_until;
    if let Some(began) = began {
        from = began.min(now);
        decisions = due(schedule, campaign_id, decided_until, from, &bot.with(before, open_jobs.clone()));
    }
    decisions.extend(due(schedule, campaign_id, from, now, &bot.with(state, open_jobs)));
    decisions
}

/// When there is something to decide next; none when the schedule has ended. `is_planned` tells due times that have a
/// run already, as a backfill may have taken one before its start.
#[must_use]
pub fn next_decision_at(
    schedule: &Schedule,
    campaign_id: CampaignId,
    decided_until: DateTime<Utc>,
    bot_runs: bool,
    is_planned: impl Fn(DateTime<Utc>) -> bool,
) -> Option<DateTime<Utc>> {
    let mut times = schedule.due_times(campaign_id, decided_until).take(LONGEST_SEARCH);
    let next = times.find(|time| !is_planned(time.due_at))?;
    if schedule.pause.is_some() || !bot_runs {
        return next.start_at.checked_add_signed(IDLE_LOOK);
    }
    Some(next.start_at)
}

/// The runs that were due from `from` on and before `until`, whatever became of them: each that is not open already
/// starts, one after another. One that has run is the same job, so it does not run again.
///
/// A pause and the overlap policy do not hold for what a person asks for; the bot has to be RUNNING.
pub fn backfill(
    schedule: &Schedule,
    campaign_id: CampaignId,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
    standing: &Standing,
) -> Result<Vec<DueDecision>, ScheduleError> {
    if from >= until || until > now {
        return Err(ScheduleError::InvalidRange { from, until });
    }
    if standing.bot != BotState::Running {
        return Err(ScheduleError::BotNotRunning { state: standing.bot });
    }
    if !standing.in_plan {
        return Err(ScheduleError::NotInPlan);
    }
    let before_first = from.checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(EARLIEST);
    let times = schedule.timing.times_after(before_first).take_while(|due_at| *due_at < until);
    let times: Vec<_> = times.take(MOST_BACKFILLED + 1).collect();
    if times.len() > MOST_BACKFILLED {
        return Err(ScheduleError::BackfillTooLarge { from, until });
    }
    let runs = times.into_iter().map(|due_at| planned(campaign_id, DueTime { due_at, start_at: now }));
    let runs = runs.filter(|run| !standing.open_jobs.contains(&run.job_id));
    let mut last = standing.open_jobs.last().copied();
    Ok(runs
        .map(|run| match last.replace(run.job_id) {
            None => DueDecision::Start { run },
            Some(behind) => DueDecision::Queue { behind, run },
        })
        .collect())
}

fn overlap(
    policy: Overlap,
    campaign_id: CampaignId,
    times: Vec<DueTime>,
    standing: &Standing,
    decisions: &mut Vec<DueDecision>,
) {
    let mut open = standing.open_jobs.clone();
    let latest = times.last().copied();
    for time in times {
        let run = planned(campaign_id, time);
        match (policy, open.last().copied()) {
            (Overlap::CancelPrevious, _) if latest.is_some_and(|latest| latest != time) => {
                let by_due_at = latest.map_or(time.due_at, |latest| latest.due_at);
                skip(decisions, time, SkipReason::Superseded { by_due_at });
            }
            (Overlap::CancelPrevious, Some(_)) if open != [run.job_id] => {
                let previous = open.iter().copied().filter(|job_id| *job_id != run.job_id).collect();
                decisions.push(DueDecision::CancelPreviousAndStart { previous, run });
            }
            (_, None) => {
                open.push(run.job_id);
                decisions.push(DueDecision::Start { run });
            }
            _ if open.contains(&run.job_id) => {
                let place = open.iter().position(|job_id| *job_id == run.job_id);
                let behind = place.and_then(|place| place.checked_sub(1)).and_then(|before| open.get(before));
                decisions.push(
                    behind.map_or(DueDecision::Start { run }, |behind| DueDecision::Queue { behind: *behind, run }),
                );
            }
            (Overlap::Queue, Some(behind)) if open.len() <= LONGEST_QUEUE => {
                open.push(run.job_id);
                decisions.push(DueDecision::Queue { behind, run });
            }
            (Overlap::Queue, Some(_)) => skip(decisions, time, SkipReason::QueueFull { waiting: open.len() - 1 }),
            (_, Some(job_id)) => skip(decisions, time, SkipReason::StillRunning { job_id }),
        }
    }
}

fn planned(campaign_id: CampaignId, time: DueTime) -> PlannedRun {
    PlannedRun { job_id: job_id(campaign_id, time.due_at), due_at: time.due_at, start_at: time.start_at }
}

impl DueSpan {
    const fn one(time: DueTime) -> Self {
        Self { first_due_at: time.due_at, last_due_at: time.due_at, count: 1 }
    }

    fn grow(&mut self, time: DueTime) {
        self.last_due_at = time.due_at;
        self.count += 1;
    }
}

fn skip(decisions: &mut Vec<DueDecision>, time: DueTime, why: SkipReason) {
    match decisions.last_mut() {
        Some(DueDecision::Skip { span, reason }) if *reason == why => span.grow(time),
        _ => decisions.push(DueDecision::Skip { span: DueSpan::one(time), reason: why }),
    }
}

fn miss(decisions: &mut Vec<DueDecision>, time: DueTime) {
    match decisions.last_mut() {
        Some(DueDecision::Missed { span }) => span.grow(time),
        _ => decisions.push(DueDecision::Missed { span: DueSpan::one(time) }),
    }
}
