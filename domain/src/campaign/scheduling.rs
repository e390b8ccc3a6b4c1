//! Decisions about a campaign's schedule and the runs that it leads to.
//!
//! Every change of a schedule first decides what was due until then, under the schedule as it was. What is decided and
//! how far is one append: each decision carries its instant, and nothing before that is decided again. A look that finds
//! nothing due appends nothing; what it would have moved on over holds no due time.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};

use super::aggregate::{Campaign, Defined};
use super::error::CampaignError;
use super::event::{CampaignEvent, RunEnding, Withdrawal};
use super::runs::{OpenRun, Runs, Stage};
use super::schedule::{
    BotStanding, DueDecision, Pause, PlannedRun, Schedule, ScheduleDraft, backfill, due_of_bot, next_decision_at,
};
use crate::bot::BotState;
use crate::ids::JobId;

/// A schedule, and how far it is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    pub schedule: Schedule,
    pub decided_until: DateTime<Utc>,
}

type Decision = Result<Vec<CampaignEvent>, CampaignError>;

/// A decision in the making: the state after the events that it has so far.
struct Making {
    state: Campaign,
    events: Vec<CampaignEvent>,
}

impl Campaign {
    pub(super) fn set_schedule(&self, draft: ScheduleDraft, bot: &BotStanding, at: DateTime<Utc>) -> Decision {
        let defined = self.active("SetSchedule")?;
        let mut schedule = Schedule::try_new(draft, at)?;
        if let Some(Scheduled { schedule: current, .. }) = &defined.scheduled {
            // A pause is lifted by a person, not by another timing.
            schedule.pause.clone_from(&current.pause);
            if schedule == (Schedule { since: at, ..current.clone() }) {
                return Ok(Vec::new());
            }
        }
        let mut making = self.decided(bot, at);
        making.push(CampaignEvent::ScheduleSet { schedule, at });
        Ok(making.events)
    }

    pub(super) fn clear_schedule(&self, bot: &BotStanding, at: DateTime<Utc>) -> Decision {
        self.scheduled("ClearSchedule")?;
        let mut making = self.decided(bot, at);
        making.push(CampaignEvent::ScheduleCleared { at });
        making.withdraw(Withdrawal::ScheduleCleared, at, |open| !open.backfill);
        Ok(making.events)
    }

    pub(super) fn pause_schedule(&self, reason: &str, bot: &BotStanding, at: DateTime<Utc>) -> Decision {
        let scheduled = self.scheduled("PauseSchedule")?;
        let Pause { reason, .. } = Pause::try_new(reason, at)?;
        if scheduled.schedule.pause.as_ref().is_some_and(|pause| pause.reason == reason) {
            return Ok(Vec::new());
        }
        let mut making = self.decided(bot, at);
        making.push(CampaignEvent::SchedulePaused { reason, at });
        Ok(making.events)
    }

    pub(super) fn resume_schedule(&self, bot: &BotStanding, at: DateTime<Utc>) -> Decision {
        if self.scheduled("ResumeSchedule")?.schedule.pause.is_none() {
            return Ok(Vec::new());
        }
        let mut making = self.decided(bot, at);
        making.push(CampaignEvent::ScheduleResumed { at });
        making.release(bot.activity.state, at);
        Ok(making.events)
    }

    pub(super) fn decide_due(&self, bot: &BotStanding, at: DateTime<Utc>) -> Vec<CampaignEvent> {
        self.decided(bot, at).events
    }

    pub(super) fn backfill(
        &self,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        bot: &BotStanding,
        at: DateTime<Utc>,
    ) -> Decision {
        self.scheduled("Backfill")?;
        let mut making = self.decided(bot, at);
        let Some((defined, scheduled)) = making.scheduled() else { return Ok(making.events) };
        let runs = backfill(&scheduled.schedule, defined.campaign_id, (from, until), at, &bot.now(Vec::new()))?;
        for decision in runs {
            if let DueDecision::Start { run } | DueDecision::Queue { run, .. } = decision {
                making.plan(run, true, at);
            }
        }
        Ok(making.events)
    }

    /// The job of a run is over. Told again, it changes nothing.
    pub(super) fn record_run_ended(
        &self,
        job_id: JobId,
        ending: RunEnding,
        bot: BotState,
        at: DateTime<Utc>,
    ) -> Vec<CampaignEvent> {
        let mut making = self.making();
        if let Some(open) = self.runs().and_then(|runs| runs.of_job(job_id)) {
            making.push(CampaignEvent::RunEnded { job_id, due_at: open.run.due_at, ending, at });
            making.release(bot, at);
        }
        making.events
    }

    /// A run whose job was never made leaves its place, and may be backfilled.
    pub(super) fn record_run_not_started(&self, job_id: JobId, bot: BotState, at: DateTime<Utc>) -> Vec<CampaignEvent> {
        let mut making = self.making();
        let released = self.runs().and_then(|runs| runs.of_job(job_id)).filter(|open| open.stage != Stage::Waiting);
        if let Some(open) = released {
            let (due_at, reason) = (open.run.due_at, Withdrawal::NotStarted);
            making.push(CampaignEvent::RunWithdrawn { job_id, due_at, reason, at });
            making.release(bot, at);
        }
        making.events
    }

    pub(super) fn record_run_continued(&self, job_id: JobId, next: JobId, at: DateTime<Utc>) -> Vec<CampaignEvent> {
        let open = self.runs().and_then(|runs| runs.of_job(job_id));
        open.map(|open| CampaignEvent::RunContinued { job_id, due_at: open.run.due_at, next, at }).into_iter().collect()
    }

    /// A job that was over runs again from a step.
    pub(super) fn record_run_reopened(
        &self,
        job_id: JobId,
        due_at: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Vec<CampaignEvent> {
        let is_open = self.runs().is_none_or(|runs| runs.of_job(job_id).is_some());
        let run = PlannedRun { job_id, due_at, start_at: at };
        if is_open { Vec::new() } else { vec![CampaignEvent::RunReopened { run, at }] }
    }

    pub(super) fn archive(&self, at: DateTime<Utc>) -> Decision {
        self.active("Archive")?;
        let mut making = self.making();
        making.push(CampaignEvent::CampaignArchived { at });
        making.withdraw(Withdrawal::CampaignArchived, at, |_| true);
        Ok(making.events)
    }

    /// When the next look at what is due has something to decide; none without a schedule or when it has ended.
    #[must_use]
    pub fn next_decision_at(&self, bot: &BotStanding) -> Option<DateTime<Utc>> {
        let defined = self.active("DecideDue").ok()?;
        let Scheduled { schedule, decided_until } = defined.scheduled.as_ref()?;
        let planned = defined.runs.planned();
        let is_planned = |due_at| planned.contains(&due_at);
        next_decision_at(schedule, defined.campaign_id, *decided_until, bot.lets_run(), is_planned)
    }

    fn scheduled(&self, command: &'static str) -> Result<&Scheduled, CampaignError> {
        self.active(command)?.scheduled.as_ref().ok_or(CampaignError::NoSchedule)
    }

    fn making(&self) -> Making {
        Making { state: self.clone(), events: Vec::new() }
    }

    /// Everything that was due until `at` and is not decided yet.
    fn decided(&self, bot: &BotStanding, at: DateTime<Utc>) -> Making {
        let mut making = self.making();
        if !self.is_active() {
            return making;
        }
        let Some((defined, scheduled)) = making.scheduled() else { return making };
        let open = defined.runs.job_ids();
        let Scheduled { schedule, decided_until } = scheduled;
        for decision in due_of_bot(schedule, defined.campaign_id, *decided_until, at, bot, open) {
            making.carry_out(decision, at);
        }
        making
    }
}

impl Making {
    fn push(&mut self, event: CampaignEvent) {
        self.state.apply(event.clone());
        self.events.push(event);
    }

    fn scheduled(&self) -> Option<(&Defined, &Scheduled)> {
        let defined = self.state.defined.as_ref()?;
        Some((defined, defined.scheduled.as_ref()?))
    }

    fn open(&self, chosen: impl Fn(&OpenRun) -> bool) -> Vec<OpenRun> {
        let open = self.state.runs().map(Runs::open).unwrap_or_default();
        open.iter().copied().filter(chosen).collect()
    }

    fn carry_out(&mut self, decision: DueDecision, at: DateTime<Utc>) {
        match decision {
            DueDecision::Start { run } | DueDecision::Queue { run, .. } => self.plan(run, false, at),
            DueDecision::CancelPreviousAndStart { previous, run } => {
                let is_previous = |open: &OpenRun| previous.contains(&open.run.job_id);
                self.withdraw(Withdrawal::Superseded { by_due_at: run.due_at }, at, is_previous);
                self.cancel(run.due_at, at, is_previous);
                self.plan(run, false, at);
            }
            DueDecision::Skip { span, reason } => self.push(CampaignEvent::RunsSkipped { span, reason, at }),
            DueDecision::Missed { span } => self.push(CampaignEvent::RunsMissed { span, at }),
        }
    }

    /// Plans a run, unless its due time has one already.
    fn plan(&mut self, run: PlannedRun, backfill: bool, at: DateTime<Utc>) {
        let Some(defined) = &self.state.defined else { return };
        if defined.runs.planned().contains(&run.due_at) {
            return;
        }
        let (bot_id, revision) = (defined.bot_id, defined.revision);
        let waits = !defined.runs.open().is_empty();
        self.push(CampaignEvent::RunPlanned { bot_id, run, backfill, waits, revision, at });
    }

    fn cancel(&mut self, by_due_at: DateTime<Utc>, at: DateTime<Utc>, chosen: impl Fn(&OpenRun) -> bool) {
        let Some(bot_id) = self.state.bot_id() else { return };
        for open in self.open(|open| open.stage == Stage::Released && chosen(open)) {
            let PlannedRun { job_id, due_at, .. } = open.run;
            self.push(CampaignEvent::RunCancelRequested { bot_id, job_id, due_at, by_due_at, at });
        }
    }

    /// Takes back runs that wait behind another.
    fn withdraw(&mut self, reason: Withdrawal, at: DateTime<Utc>, chosen: impl Fn(&OpenRun) -> bool) {
        for open in self.open(|open| open.stage == Stage::Waiting && chosen(open)) {
            let PlannedRun { job_id, due_at, .. } = open.run;
            self.push(CampaignEvent::RunWithdrawn { job_id, due_at, reason, at });
        }
    }

    /// Lets the next run start when nothing is before it any more. Those of a bot that has left automation are taken
    /// back: they were for the time in which it ran.
    fn release(&mut self, bot: BotState, at: DateTime<Utc>) {
        let Some(defined) = &self.state.defined else { return };
        if defined.runs.is_busy() {
            return;
        }
        if !matches!(bot, BotState::Running | BotState::Paused) {
            self.withdraw(Withdrawal::BotNotRunning { state: bot }, at, |_| true);
            return;
        }
        let is_paused = defined.scheduled.as_ref().is_none_or(|scheduled| scheduled.schedule.pause.is_some());
        let next = defined.runs.waiting().find(|open| open.backfill || !is_paused).map(|open| open.run);
        let bot_id = defined.bot_id;
        if let Some(run) = next {
            self.push(CampaignEvent::RunReleased { bot_id, run, at });
        }
    }
}
