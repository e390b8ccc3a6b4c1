//! The campaign's state, decisions and fold.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::EventUpcaster;
use serde::{Deserialize, Serialize};

use super::command::{CampaignCommand, Draft, DraftSource};
use super::error::CampaignError;
use super::event::{CampaignEvent, Definition, Source};
use super::upcast;
use crate::decide::Decide;
use crate::ids::{BotId, CampaignId};

const LONGEST_NAME: usize = 80;
const LONGEST_HASHTAG: usize = 100;
const MOST_TARGETS: u32 = 200;

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
        Ok(vec![CampaignEvent::CampaignDefined { campaign_id, bot_id, definition: check(draft)?, at }])
    }

    fn revise(&self, draft: Draft, at: DateTime<Utc>) -> Decision {
        let defined = self.active("Revise")?;
        let definition = check(draft)?;
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

/// Checks a draft and brings it into its stored form.
fn check(draft: Draft) -> Result<Definition, CampaignError> {
    let name = draft.name.trim().to_owned();
    let length = name.chars().count();
    if length == 0 || length > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(CampaignError::InvalidName { length });
    }
    if !(1..=MOST_TARGETS).contains(&draft.max_targets) {
        return Err(CampaignError::InvalidMaxTargets { given: draft.max_targets });
    }
    let source = match draft.source {
        DraftSource::Hashtag { name, tab } => Source::Hashtag { name: hashtag(&name)?, tab },
        DraftSource::Location { location_pk, tab } => Source::Location { location_pk: location(&location_pk)?, tab },
    };
    Ok(Definition { name, module: draft.module, source, max_targets: draft.max_targets })
}

/// The platform's number of a place: digits, above zero and within 63 bits, as readers keep it in a signed column.
fn location(given: &str) -> Result<u64, CampaignError> {
    let digits = given.trim();
    Some(digits)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<i64>().ok())
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| CampaignError::InvalidLocation { given: digits.chars().take(40).collect() })
}

fn hashtag(given: &str) -> Result<String, CampaignError> {
    let invalid = |problem: String| Err(CampaignError::InvalidHashtag { problem });
    let trimmed = given.trim();
    let name = trimmed.strip_prefix('#').unwrap_or(trimmed).to_lowercase();
    let length = name.chars().count();
    if length == 0 {
        return invalid("is empty".to_owned());
    }
    if length > LONGEST_HASHTAG {
        return invalid(format!("has {length} characters"));
    }
    if let Some(odd) = name.chars().find(|letter| !may_be_in_hashtag(*letter)) {
        return invalid(format!("has {odd:?}"));
    }
    Ok(name)
}

/// Letters, digits and underscores, and what other scripts write words with: marks, joiners, signs.
fn may_be_in_hashtag(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    let joiner = matches!(letter, '\u{200C}' | '\u{200D}');
    let punctuation = matches!(letter, '\u{00A1}'..='\u{00BF}' | '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}');
    let is_word = letter.is_alphanumeric() || joiner || !punctuation;
    is_word && !letter.is_whitespace() && !letter.is_control()
}

impl Decide for Campaign {
    const SHAPE: u32 = 1;

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
