//! The campaign's state, decisions and fold.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::command::CampaignCommand;
use super::definition::Definition;
use super::draft::Draft;
use super::error::CampaignError;
use super::event::CampaignEvent;
use super::runs::Runs;
use super::schedule::Pause;
use super::scheduling::Scheduled;
use super::upcast;
use crate::decide::Decide;
use crate::ids::{BotId, CampaignId};

/// What a bot should do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    pub(super) defined: Option<Defined>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Defined {
    pub(super) campaign_id: CampaignId,
    pub(super) bot_id: BotId,
    definition: Definition,
    pub(super) revision: u32,
    archived: bool,
    pub(super) scheduled: Option<Scheduled>,
    pub(super) runs: Runs,
}

type Decision = Result<Vec<CampaignEvent>, CampaignError>;

impl Campaign {
    /// The id, once it is defined.
    #[must_use]
    pub fn id(&self) -> Option<CampaignId> {
        self.defined.as_ref().map(|defined| defined.campaign_id)
    }

    /// Whose campaign it is.
    #[must_use]
    pub fn bot_id(&self) -> Option<BotId> {
        self.defined.as_ref().map(|defined| defined.bot_id)
    }

    /// What it does.
    #[must_use]
    pub fn definition(&self) -> Option<&Definition> {
        self.defined.as_ref().map(|defined| &defined.definition)
    }

    /// 1 when defined, one more with each revision; 0 before.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.defined.as_ref().map_or(0, |defined| defined.revision)
    }

    /// Whether it is defined and not archived.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.defined.as_ref().is_some_and(|defined| !defined.archived)
    }

    /// Its schedule, and how far that is decided. A campaign that has one runs by it alone.
    #[must_use]
    pub fn schedule(&self) -> Option<&Scheduled> {
        self.defined.as_ref().and_then(|defined| defined.scheduled.as_ref())
    }

    /// Whether it runs by a schedule, and so not by automation being enabled.
    #[must_use]
    pub fn has_schedule(&self) -> bool {
        self.schedule().is_some()
    }

    /// Its runs, once it is defined.
    #[must_use]
    pub fn runs(&self) -> Option<&Runs> {
        self.defined.as_ref().map(|defined| &defined.runs)
    }

    pub(super) fn active(&self, command: &'static str) -> Result<&Defined, CampaignError> {
        match &self.defined {
            None => Err(CampaignError::NotAllowed { command, state: "not defined" }),
            Some(defined) if defined.archived => Err(CampaignError::NotAllowed { command, state: "archived" }),
            Some(defined) => Ok(defined),
        }
    }

    fn define(&self, campaign_id: CampaignId, bot_id: BotId, draft: Draft, at: DateTime<Utc>) -> Decision {
        if self.defined.is_some() {
            return Err(CampaignError::NotAllowed { command: "Define", state: "defined already" });
        }
        Ok(vec![CampaignEvent::CampaignDefined { campaign_id, bot_id, definition: draft.check()?, at }])
    }

    fn revise(&self, draft: Draft, at: DateTime<Utc>) -> Decision {
        let defined = self.active("Revise")?;
        let definition = draft.check()?;
        if definition == defined.definition {
            return Ok(Vec::new());
        }
        Ok(vec![CampaignEvent::CampaignRevised { revision: defined.revision + 1, definition, at }])
    }
}

impl Decide for Campaign {
    const SHAPE: u32 = 3;

    fn decide(&self, command: CampaignCommand) -> Decision {
        match command {
            CampaignCommand::Define { campaign_id, bot_id, draft, at } => self.define(campaign_id, bot_id, draft, at),
            CampaignCommand::Revise { draft, at } => self.revise(draft, at),
            CampaignCommand::Archive { at } => self.archive(at),
            CampaignCommand::SetSchedule { draft, bot, at } => self.set_schedule(draft, &bot, at),
            CampaignCommand::ClearSchedule { bot, at } => self.clear_schedule(&bot, at),
            CampaignCommand::PauseSchedule { reason, bot, at } => self.pause_schedule(&reason, &bot, at),
            CampaignCommand::ResumeSchedule { bot, at } => self.resume_schedule(&bot, at),
            CampaignCommand::DecideDue { bot, at } => Ok(self.decide_due(&bot, at)),
            CampaignCommand::Backfill { from, until, bot, at } => self.backfill((from, until), &bot, at),
            CampaignCommand::RecordRunEnded { job_id, ending, bot, at } => {
                Ok(self.record_run_ended(job_id, ending, bot, at))
            }
            CampaignCommand::RecordRunNotStarted { job_id, bot, at } => {
                Ok(self.record_run_not_started(job_id, bot, at))
            }
            CampaignCommand::RecordRunContinued { job_id, next, at } => Ok(self.record_run_continued(job_id, next, at)),
            CampaignCommand::RecordRunReopened { job_id, due_at, at } => {
                Ok(self.record_run_reopened(job_id, due_at, at))
            }
        }
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        upcast::upcasters()
    }
}

impl Aggregate for Campaign {
    const TYPE: &'static str = "Campaign";
    type Command = CampaignCommand;
    type Event = CampaignEvent;
    type Error = CampaignError;
    type Services = ();

    async fn handle(&mut self, command: CampaignCommand, (): &(), sink: &EventSink<Self>) -> Result<(), CampaignError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: CampaignEvent) {
        if let CampaignEvent::CampaignDefined { campaign_id, bot_id, definition, .. } = event {
            let runs = Runs::default();
            self.defined =
                Some(Defined { campaign_id, bot_id, definition, revision: 1, archived: false, scheduled: None, runs });
        } else if let Some(defined) = &mut self.defined {
            defined.runs.fold(&event);
            defined.fold(event);
        }
    }
}

impl Defined {
    fn fold(&mut self, event: CampaignEvent) {
        match event {
            CampaignEvent::CampaignRevised { revision, definition, .. } => {
                self.revision = revision;
                self.definition = definition;
            }
            CampaignEvent::CampaignArchived { .. } => self.archived = true,
            CampaignEvent::ScheduleSet { schedule, at } => {
                self.scheduled = Some(Scheduled { schedule, decided_until: at });
            }
            CampaignEvent::ScheduleCleared { .. } => self.scheduled = None,
            CampaignEvent::SchedulePaused { reason, at } => self.pause(Some(Pause { reason, paused_at: at }), at),
            CampaignEvent::ScheduleResumed { at } => self.pause(None, at),
            CampaignEvent::RunPlanned { backfill: false, at, .. }
            | CampaignEvent::RunsSkipped { at, .. }
            | CampaignEvent::RunsMissed { at, .. } => {
                if let Some(scheduled) = &mut self.scheduled {
                    scheduled.decided_until = at;
                }
            }
            CampaignEvent::CampaignDefined { .. }
            | CampaignEvent::RunPlanned { .. }
            | CampaignEvent::RunReleased { .. }
            | CampaignEvent::RunCancelRequested { .. }
            | CampaignEvent::RunWithdrawn { .. }
            | CampaignEvent::RunEnded { .. }
            | CampaignEvent::RunContinued { .. }
            | CampaignEvent::RunReopened { .. } => {}
        }
    }

    fn pause(&mut self, pause: Option<Pause>, at: DateTime<Utc>) {
        if let Some(scheduled) = &mut self.scheduled {
            scheduled.schedule.pause = pause;
            scheduled.decided_until = at;
        }
    }
}
