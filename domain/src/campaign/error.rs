//! Why a campaign refuses a command.

use thiserror::Error;

use super::definition::Module;
use super::schedule::ScheduleError;
use super::template::TemplateError;
use crate::variants::codes;

/// Why a campaign refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CampaignError {
    #[error("{command} is not allowed: the campaign is {state}")]
    NotAllowed { command: &'static str, state: &'static str },
    #[error("a campaign's name is 1 to 80 characters long; this one has {length}")]
    InvalidName { length: usize },
    #[error("a hashtag is 1 to 100 letters, digits or underscores, without spaces; this one {problem}")]
    InvalidHashtag { problem: String },
    #[error("a location is the platform's number of a place, such as 212988663; {given:?} is not a number")]
    InvalidLocation { given: String },
    #[error("a place is searched by 1 to 100 characters; these are {length}")]
    InvalidPlace { length: usize },
    #[error("a run acts on 1 to 200 targets; {given} is outside")]
    InvalidMaxTargets { given: u32 },
    #[error("{given:?} is neither a number of the platform nor an account's name")]
    InvalidPerson { path: String, given: String },
    #[error("{given:?} is neither a post's number nor its address, such as https://www.instagram.com/p/CODE/")]
    InvalidPost { given: String },
    #[error("the list names nobody")]
    ListEmpty { path: String },
    #[error("the list has {given} entries; at most {most} are allowed")]
    ListTooLong { path: String, given: usize, most: usize },
    #[error("the list takes {given} bytes; at most {most} are allowed")]
    ListTooLarge { path: String, given: usize, most: usize },
    #[error("this filter makes no sense: {problem}")]
    InvalidFilter { path: String, problem: String },
    #[error("words make no sense: {problem}")]
    InvalidWords { path: String, problem: String },
    #[error("targets of {module} do not come from {kind}")]
    SourceNotForModule { module: Module, kind: &'static str },
    #[error("{module} needs a text")]
    TextMissing { module: Module },
    #[error("{module} says nothing, so it takes no text")]
    TextNotForModule { module: Module },
    #[error("{module} writes to nobody, so it takes no stop words")]
    StopWordsNotForModule { module: Module },
    #[error(transparent)]
    InvalidText(#[from] TemplateError),
    #[error("the campaign has no schedule; set one first")]
    NoSchedule,
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

codes!(CampaignError {
    NotAllowed = "CAMPAIGN_COMMAND_NOT_ALLOWED",
    InvalidName = "CAMPAIGN_INVALID_NAME",
    InvalidHashtag = "CAMPAIGN_INVALID_HASHTAG",
    InvalidLocation = "CAMPAIGN_INVALID_LOCATION",
    InvalidPlace = "CAMPAIGN_INVALID_PLACE",
    InvalidMaxTargets = "CAMPAIGN_INVALID_MAX_TARGETS",
    InvalidPerson = "CAMPAIGN_INVALID_PERSON",
    InvalidPost = "CAMPAIGN_INVALID_POST",
    ListEmpty = "CAMPAIGN_LIST_EMPTY",
    ListTooLong = "CAMPAIGN_LIST_TOO_LONG",
    ListTooLarge = "CAMPAIGN_LIST_TOO_LARGE",
    InvalidFilter = "CAMPAIGN_INVALID_FILTER",
    InvalidWords = "CAMPAIGN_INVALID_WORDS",
    SourceNotForModule = "CAMPAIGN_SOURCE_NOT_FOR_MODULE",
    TextMissing = "CAMPAIGN_TEXT_MISSING",
    TextNotForModule = "CAMPAIGN_TEXT_NOT_FOR_MODULE",
    StopWordsNotForModule = "CAMPAIGN_STOP_WORDS_NOT_FOR_MODULE",
    NoSchedule = "CAMPAIGN_NO_SCHEDULE",
} and of { InvalidText, Schedule });

impl CampaignError {
    /// Which field of a draft it is about, from the outermost in; empty when it is about none.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        let path = match self {
            Self::NotAllowed { .. } => "",
            Self::NoSchedule => "campaign_id",
            Self::Schedule(error) => error.path(),
            Self::InvalidName { .. } => "name",
            Self::InvalidHashtag { .. } => "source.hashtag.name",
            Self::InvalidLocation { .. } => "source.location.location_pk",
            Self::InvalidPlace { .. } => "source.place.query",
            Self::InvalidMaxTargets { .. } => "max_targets",
            Self::InvalidPost { .. } => "source.likers.of",
            Self::InvalidPerson { path, .. }
            | Self::ListEmpty { path }
            | Self::ListTooLong { path, .. }
            | Self::ListTooLarge { path, .. }
            | Self::InvalidFilter { path, .. }
            | Self::InvalidWords { path, .. } => path,
            Self::SourceNotForModule { .. } => "source",
            Self::TextMissing { .. } | Self::TextNotForModule { .. } | Self::InvalidText(_) => "text",
            Self::StopWordsNotForModule { .. } => "stop_words",
        };
        path.split('.').filter(|part| !part.is_empty()).collect()
    }
}
