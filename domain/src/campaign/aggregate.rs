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
use super::upcast;
use crate::decide::Decide;
use crate::ids::{BotId, CampaignId};

/// What a bot should do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    defined: Option<Defined>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Defined {
    campaign_id: CampaignId,
    bot_id: BotId,
    definition: Definition,
    revision: u32,
    archived: bool,
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

    fn active(&self, command: &'static str) -> Result<&Defined, CampaignError> {
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

    fn archive(&self, at: DateTime<Utc>) -> Decision {
        self.active("Archive")?;
        Ok(vec![CampaignEvent::CampaignArchived { at }])
    }
}

impl Decide for Campaign {
    const SHAPE: u32 = 2;

    fn decide(&self, command: CampaignCommand) -> Decision {
        match command {
            CampaignCommand::Define { campaign_id, bot_id, draft, at } => self.define(campaign_id, bot_id, draft, at),
            CampaignCommand::Revise { draft, at } => self.revise(draft, at),
            CampaignCommand::Archive { at } => self.archive(at),
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
        match event {
            CampaignEvent::CampaignDefined { campaign_id, bot_id, definition, .. } => {
                self.defined = Some(Defined { campaign_id, bot_id, definition, revision: 1, archived: false });
            }
            CampaignEvent::CampaignRevised { revision, definition, .. } => {
                if let Some(defined) = &mut self.defined {
                    defined.revision = revision;
                    defined.definition = definition;
                }
            }
            CampaignEvent::CampaignArchived { .. } => {
                if let Some(defined) = &mut self.defined {
                    defined.archived = true;
                }
            }
        }
    }
}
