//! Decisions about switching automation on and off, and about its runs.

use chrono::{DateTime, TimeDelta, Utc};

use super::aggregate::{Bot, Enablement};
use super::error::BotError;
use super::event::BotEvent;
use super::state::{BotState, Mode};
use super::text::{LONGEST_CODE, LONGEST_REASON, checked, cut};
use crate::ids::{CampaignId, EnablementId, RunId};
use crate::plan::PlanHash;

type Decision = Result<Vec<BotEvent>, BotError>;

/// How long a verified connection and an authorization stand.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// Most campaigns of one plan.
const MOST_CAMPAIGNS: usize = 100;

impl Bot {
    pub(super) fn authorize(
        &self,
        plan_hash: PlanHash,
        campaigns: Vec<CampaignId>,
        mode: Mode,
        dry_run_waived: bool,
        at: DateTime<Utc>,
    ) -> Decision {
        if self.state != BotState::LoggedIn {
            return self.refuse("AuthorizeAutomation");
        }
        if self.login.verified_at.is_none_or(|verified| at >= verified + FRESH) {
            return Err(BotError::ConnectionNotVerified);
        }
        if campaigns.is_empty() {
            return Err(BotError::PlanEmpty);
        }
        if campaigns.len() > MOST_CAMPAIGNS {
            return Err(BotError::TooManyCampaigns { given: campaigns.len(), most: MOST_CAMPAIGNS });
        }
        if mode == Mode::Live && !dry_run_waived && !self.has_dry_run(&plan_hash) {
            return Err(BotError::DryRunRequired);
        }
        let limits = self.limits_at(at).clone();
        Ok(vec![BotEvent::AutomationAuthorized { plan_hash, campaigns, limits, mode, at }])
    }

    pub(super) fn enable(
        &self,
        enablement_id: EnablementId,
        confirmed: &PlanHash,
        current: &PlanHash,
        at: DateTime<Utc>,
    ) -> Decision {
        if self.state != BotState::LoggedIn {
            return self.refuse("EnableAutomation");
        }
        let authorization = self.authorization.as_ref().ok_or(BotError::NotAuthorized)?;
        if at >= authorization.at + FRESH {
            return Err(BotError::NotAuthorized);
        }
        if *confirmed != authorization.plan_hash || *current != authorization.plan_hash {
            return Err(BotError::PlanChanged);
        }
        Ok(vec![BotEvent::AutomationEnabled {
            enablement_id,
            plan_hash: authorization.plan_hash.clone(),
            campaigns: authorization.campaigns.clone(),
            mode: authorization.mode,
            at,
        }])
    }

    pub(super) fn pause(&self, reason: String, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::Running => {
                Ok(vec![BotEvent::AutomationPaused { reason: checked("reason", reason, LONGEST_REASON)?, at }])
            }
            _ => self.refuse("PauseAutomation"),
        }
    }

    pub(super) fn resume(&self, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::Paused => Ok(vec![BotEvent::AutomationResumed { at }]),
            _ => self.refuse("ResumeAutomation"),
        }
    }

    pub(super) fn disable(&self, reason: String, at: DateTime<Utc>) -> Decision {
        match self.state {
            BotState::Running | BotState::Paused => {
                Ok(vec![BotEvent::AutomationDisabled { reason: checked("reason", reason, LONGEST_REASON)?, at }])
            }
            _ => self.refuse("DisableAutomation"),
        }
    }

    /// The enablement that `campaign` may act under.
    pub(super) fn running(
        &self,
        command: &'static str,
        enablement: EnablementId,
        campaign: CampaignId,
    ) -> Result<&Enablement, BotError> {
        if self.state != BotState::Running {
            return self.refuse(command);
        }
        let current = self
            .enablement
            .as_ref()
            .filter(|current| current.enablement_id == enablement)
            .ok_or(BotError::StaleEnablement)?;
        if !current.campaigns.contains(&campaign) {
            return Err(BotError::NotPlanned { campaign_id: campaign });
        }
        Ok(current)
    }

    pub(super) fn start_run(
        &self,
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        targets: u32,
        at: DateTime<Utc>,
    ) -> Decision {
        let mode = self.running("StartRun", enablement_id, campaign_id)?.mode;
        Ok(vec![BotEvent::RunStarted { run_id, campaign_id, enablement_id, mode, targets, at }])
    }

    pub(super) fn finish_run(
        &self,
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
        stopped_by: Option<String>,
        at: DateTime<Utc>,
    ) -> Decision {
        let enablement = self.running("FinishRun", enablement_id, campaign_id)?;
        let mode = enablement.mode;
        let stopped_by = stopped_by.map(|why| cut(why, LONGEST_CODE));
        let is_last = enablement.unfinished.iter().all(|unfinished| *unfinished == campaign_id);
        // A run that was stopped early shows too little to go live on.
        let completes_dry_run = mode == Mode::DryRun && is_last && stopped_by.is_none();
        let mut events = vec![BotEvent::RunFinished { run_id, campaign_id, enablement_id, mode, stopped_by, at }];
        if completes_dry_run {
            events.push(BotEvent::DryRunFinished { plan_hash: enablement.plan_hash.clone(), at });
        }
        Ok(events)
    }
}
