//! When campaigns run: schedules as they are given and shown, their next due times and their last decisions.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, Result, SimpleObject, Union};
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::campaign::schedule::{self as schedules, DraftTiming, DueTime as Due, Schedule, ScheduleDraft, SkipReason};
use domain::campaign::{CampaignEvent, OpenRun as Open, Withdrawal};
use domain::ids::{CampaignId, RunId};
use projections::{audit_trail, campaign_runs, campaign_schedules};

use super::campaign::{CampaignRun, NO_CAMPAIGN, campaign_id};
use super::error::{UserError, coded, fault, services};
use super::loader::{self, ScheduleOf};
use super::names::{Overlap, RunStage};
use super::scalars::Long;
use crate::code::Code;

/// Most due times that are shown at once.
const MOST_SHOWN: i32 = 100;

/// When a campaign is to run.
#[derive(Debug, Clone, InputObject)]
pub struct ScheduleInput {
    /// When runs are due.
    timing: TimingInput,
    /// A run starts up to this much after its due time, and always before the next one; 0 to 43,200.
    #[graphql(default)]
    jitter_seconds: u32,
    /// What becomes of a run that is due while another is not over.
    #[graphql(default_with = "Overlap::Skip")]
    overlap: Overlap,
    /// A run that could not be decided within this time of its start is missed; 1 to 10,080.
    #[graphql(default_with = "schedules::DEFAULT_CATCH_UP_MINUTES")]
    catch_up_minutes: u32,
}

/// When runs are due: exactly one of these.
#[derive(Debug, Clone, OneofObject)]
pub enum TimingInput {
    /// By the clock on the wall.
    Cron(CronTimingInput),
    /// Every so many minutes.
    Interval(IntervalTimingInput),
    /// A single run.
    Once(OnceTimingInput),
}

/// By the clock on the wall.
#[derive(Debug, Clone, InputObject)]
pub struct CronTimingInput {
    /// Five fields (minute, hour, day, month, day of the week) or an alias such as `@daily`.
    expression: String,
    /// The IANA name of the zone whose clock it is, such as `Europe/Istanbul`.
    time_zone: String,
}

/// Every so many minutes, whatever clocks do.
#[derive(Debug, Clone, InputObject)]
pub struct IntervalTimingInput {
    /// 1 to 527,040.
    every_minutes: u32,
    /// Counted from then; from now if it is not given.
    anchored_at: Option<DateTime<Utc>>,
}

/// A single run.
#[derive(Debug, Clone, InputObject)]
pub struct OnceTimingInput {
    /// When it is due.
    due_at: DateTime<Utc>,
}

impl ScheduleInput {
    /// The schedule as it was given at `at`, not yet checked.
    pub fn draft(self, at: DateTime<Utc>) -> ScheduleDraft {
        let Self { timing, jitter_seconds, overlap, catch_up_minutes } = self;
        let timing = match timing {
            TimingInput::Cron(CronTimingInput { expression, time_zone }) => {
                DraftTiming::Cron { expression, zone: time_zone }
            }
            TimingInput::Interval(IntervalTimingInput { every_minutes, anchored_at }) => {
                DraftTiming::Interval { minutes: every_minutes, anchored_at: anchored_at.unwrap_or(at) }
            }
            TimingInput::Once(OnceTimingInput { due_at }) => DraftTiming::Once { due_at },
        };
        ScheduleDraft { timing, jitter_seconds, overlap: overlap.into(), catch_up_minutes }
    }
}

/// When a schedule would run a campaign.
#[derive(SimpleObject)]
pub struct SchedulePreview {
    /// Its next due times; empty when it was refused.
    next_due: Vec<DueTime>,
    /// Why it would be refused; empty when it would be taken.
    user_errors: Vec<UserError>,
}

impl SchedulePreview {
    /// The preview of a schedule that is given now.
    pub fn of(ctx: &Context<'_>, input: ScheduleInput, campaign: Option<&ID>, first: i32) -> Result<Self> {
        let count = shown(first)?;
        let now = services(ctx)?.deps.clock.now();
        let campaign_id = campaign.and_then(campaign_id).unwrap_or(NO_CAMPAIGN);
        Ok(match Schedule::try_new(input.draft(now), now) {
            Ok(schedule) => Self { next_due: next_due(&schedule, campaign_id, now, count), user_errors: Vec::new() },
            Err(error) => Self { next_due: Vec::new(), user_errors: vec![UserError::of_argument(&error)] },
        })
    }
}

fn shown(first: i32) -> Result<usize> {
    usize::try_from(first)
        .ok()
        .filter(|_| (1..=MOST_SHOWN).contains(&first))
        .ok_or_else(|| coded(Code::InvalidPage, format!("`first` is 1 to {MOST_SHOWN}")))
}

fn next_due(schedule: &Schedule, campaign_id: CampaignId, now: DateTime<Utc>, count: usize) -> Vec<DueTime> {
    schedule.next_due(campaign_id, now, count).into_iter().map(DueTime::from).collect()
}

/// When a run is due, and when it starts.
#[derive(SimpleObject)]
pub struct DueTime {
    /// When it is due.
    due_at: DateTime<Utc>,
    /// When it starts: the jitter later.
    start_at: DateTime<Utc>,
}

impl From<Due> for DueTime {
    fn from(Due { due_at, start_at }: Due) -> Self {
        Self { due_at, start_at }
    }
}

/// When runs are due.
#[derive(Union)]
pub enum Timing {
    Cron(CronTiming),
    Interval(IntervalTiming),
    Once(OnceTiming),
}

/// By the clock on the wall.
#[derive(SimpleObject)]
pub struct CronTiming {
    /// As it was given.
    expression: String,
    /// The zone whose clock it is.
    time_zone: String,
}

/// Every so many minutes, whatever clocks do.
#[derive(SimpleObject)]
pub struct IntervalTiming {
    /// How many.
    every_minutes: u32,
    /// Counted from then.
    anchored_at: DateTime<Utc>,
}

/// A single run.
#[derive(SimpleObject)]
pub struct OnceTiming {
    /// When it is due.
    due_at: DateTime<Utc>,
}

impl From<&schedules::Timing> for Timing {
    fn from(timing: &schedules::Timing) -> Self {
        match timing {
            schedules::Timing::Cron { expression, zone } => {
                let (expression, time_zone) = (expression.as_str().to_owned(), zone.name().to_owned());
                Self::Cron(CronTiming { expression, time_zone })
            }
            schedules::Timing::Interval { minutes, anchored_at } => {
                Self::Interval(IntervalTiming { every_minutes: minutes.get(), anchored_at: *anchored_at })
            }
            schedules::Timing::Once { due_at } => Self::Once(OnceTiming { due_at: *due_at }),
        }
    }
}

/// Why a schedule starts nothing.
#[derive(SimpleObject)]
pub struct SchedulePause {
    /// As the person said.
    reason: String,
    /// Since when.
    at: DateTime<Utc>,
    /// Who paused it, such as `user:<uuid>`.
    by: Option<String>,
}

/// When a campaign runs.
pub struct CampaignSchedule {
    row: campaign_schedules::CampaignSchedule,
    schedule: Schedule,
}

impl CampaignSchedule {
    /// The schedule of a campaign, if it has one.
    pub async fn load(ctx: &Context<'_>, campaign_id: CampaignId) -> Result<Option<Self>> {
        let row = loader::rows(ctx)?.load_one(ScheduleOf(campaign_id)).await?;
        Ok(row.and_then(|mut row| row.schedule.take().map(|schedule| Self { row, schedule })))
    }
}

/// When a campaign runs by itself. Only a bot in `RUNNING` starts runs; what is due otherwise is skipped.
#[Object]
impl CampaignSchedule {
    /// When runs are due.
    async fn timing(&self) -> Timing {
        Timing::from(&self.schedule.timing)
    }

    /// A run starts up to this much after its due time, and always before the next one.
    async fn jitter_seconds(&self) -> u32 {
        self.schedule.jitter_seconds
    }

    /// What becomes of a run that is due while another is not over.
    async fn overlap(&self) -> Overlap {
        self.schedule.overlap.into()
    }

    /// A run that could not be decided within this time of its start is missed.
    async fn catch_up_minutes(&self) -> u32 {
        self.schedule.catch_up_minutes
    }

    /// When it was set or last changed; only due times after that are its own.
    async fn since(&self) -> DateTime<Utc> {
        self.schedule.since
    }

    /// Why it starts nothing, while it is paused.
    async fn pause(&self) -> Option<SchedulePause> {
        let pause = self.schedule.pause.as_ref()?;
        Some(SchedulePause { reason: pause.reason.clone(), at: pause.paused_at, by: self.row.paused_by.clone() })
    }

    /// Its next due times, also those that a pause or the bot's state will skip; none when it has ended.
    #[graphql(complexity = "first.clamp(1, 100) as usize * child_complexity")]
    async fn next_due(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100", default = 10)] first: i32,
    ) -> Result<Vec<DueTime>> {
        let count = shown(first)?;
        let now = services(ctx)?.deps.clock.now();
        Ok(next_due(&self.schedule, self.row.campaign_id, now, count))
    }

    /// Due times of the campaign that had a run.
    async fn planned_runs(&self) -> Long {
        Long(self.row.planned)
    }

    /// Due times of the campaign that were skipped for a reason.
    async fn skipped_runs(&self) -> Long {
        Long(self.row.skipped)
    }

    /// Due times of the campaign that nobody decided in time, as the workers were down or too slow.
    async fn missed_runs(&self) -> Long {
        Long(self.row.missed)
    }

    /// The last decisions about due times, newest first, at most 20.
    #[graphql(complexity = "20 * child_complexity")]
    async fn last_decisions(&self) -> Vec<ScheduleDecision> {
        let decided = |event: &CampaignEvent| ScheduleDecision::of(self.row.campaign_id, event);
        self.row.decisions.iter().filter_map(decided).collect()
    }

    /// Its runs that are not over, oldest first.
    #[graphql(complexity = "10 * child_complexity")]
    async fn open_runs(&self) -> Vec<OpenRun> {
        self.row.open_runs.iter().map(|open| OpenRun(*open)).collect()
    }
}

/// What becomes of due times.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleDecisionKind {
    /// A run starts.
    Started,
    /// A run starts when those before it are over.
    Queued,
    /// A person asked for the run of a due time that had none.
    Backfilled,
    /// No run, for a reason.
    Skipped,
    /// Nobody decided in time.
    Missed,
    /// A run was taken back before it began.
    Withdrawn,
}

/// What became of a due time, or of many in a row.
#[derive(SimpleObject)]
pub struct ScheduleDecision {
    /// What.
    kind: ScheduleDecisionKind,
    /// The first of them.
    first_due_at: DateTime<Utc>,
    /// The last of them.
    last_due_at: DateTime<Utc>,
    /// How many they are.
    count: Long,
    /// Why there is no run, such as `PAUSED` or `STILL_RUNNING`.
    reason: Option<&'static str>,
    /// The decision in a sentence.
    summary: String,
    /// When it was decided.
    decided_at: DateTime<Utc>,
}

impl ScheduleDecision {
    fn of(campaign_id: CampaignId, event: &CampaignEvent) -> Option<Self> {
        let one = |due_at: DateTime<Utc>| (due_at, due_at, 1);
        let (kind, (first_due_at, last_due_at, count), reason, decided_at) = match event {
            CampaignEvent::RunPlanned { run, backfill, waits, at, .. } => {
                let kind = match (backfill, waits) {
                    (true, _) => ScheduleDecisionKind::Backfilled,
                    (false, true) => ScheduleDecisionKind::Queued,
                    (false, false) => ScheduleDecisionKind::Started,
                };
                (kind, one(run.due_at), None, *at)
            }
            CampaignEvent::RunsSkipped { span, reason, at } => {
                let span = (span.first_due_at, span.last_due_at, span.count);
                (ScheduleDecisionKind::Skipped, span, Some(why_skipped(reason)), *at)
            }
            CampaignEvent::RunsMissed { span, at } => {
                (ScheduleDecisionKind::Missed, (span.first_due_at, span.last_due_at, span.count), None, *at)
            }
            CampaignEvent::RunWithdrawn { due_at, reason, at, .. } => {
                (ScheduleDecisionKind::Withdrawn, one(*due_at), Some(why_withdrawn(*reason)), *at)
            }
            _ => return None,
        };
        let count = Long(i64::try_from(count).unwrap_or(i64::MAX));
        let summary = audit_trail::summary(&AnyEvent::Campaign(campaign_id, event.clone()));
        Some(Self { kind, first_due_at, last_due_at, count, reason, summary, decided_at })
    }
}

const fn why_skipped(reason: &SkipReason) -> &'static str {
    match reason {
        SkipReason::Paused { .. } => "PAUSED",
        SkipReason::BotNotRunning { .. } => "BOT_NOT_RUNNING",
        SkipReason::NotInPlan => "NOT_IN_PLAN",
        SkipReason::StillRunning { .. } => "STILL_RUNNING",
        SkipReason::QueueFull { .. } => "QUEUE_FULL",
        SkipReason::Superseded { .. } => "SUPERSEDED",
    }
}

const fn why_withdrawn(reason: Withdrawal) -> &'static str {
    match reason {
        Withdrawal::Superseded { .. } => "SUPERSEDED",
        Withdrawal::BotNotRunning { .. } => "BOT_NOT_RUNNING",
        Withdrawal::ScheduleCleared => "SCHEDULE_CLEARED",
        Withdrawal::CampaignArchived => "CAMPAIGN_ARCHIVED",
        Withdrawal::NotStarted => "NOT_STARTED",
    }
}

/// A run that is not over.
pub struct OpenRun(Open);

/// A run of a schedule that is not over.
#[Object]
impl OpenRun {
    /// When it was due.
    async fn due_at(&self) -> DateTime<Utc> {
        self.0.run.due_at
    }

    /// When it starts at the earliest.
    async fn start_at(&self) -> DateTime<Utc> {
        self.0.run.start_at
    }

    /// Whether a person asked for it.
    async fn backfill(&self) -> bool {
        self.0.backfill
    }

    /// Where it stands.
    async fn stage(&self) -> RunStage {
        self.0.stage.into()
    }

    /// The run, once it has begun.
    async fn run(&self, ctx: &Context<'_>) -> Result<Option<CampaignRun>> {
        let run_id = RunId::from_uuid(self.0.run.job_id.uuid());
        let run = campaign_runs::by_id(&services(ctx)?.deps.pool, run_id).await.map_err(fault)?;
        Ok(run.map(CampaignRun))
    }
}
