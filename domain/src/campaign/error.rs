//! Why a campaign refuses a command.

use thiserror::Error;

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
    #[error("a run acts on 1 to 200 targets; {given} is outside")]
    InvalidMaxTargets { given: u32 },
}

codes!(CampaignError {
    NotAllowed = "CAMPAIGN_COMMAND_NOT_ALLOWED",
    InvalidName = "CAMPAIGN_INVALID_NAME",
    InvalidHashtag = "CAMPAIGN_INVALID_HASHTAG",
    InvalidLocation = "CAMPAIGN_INVALID_LOCATION",
    InvalidMaxTargets = "CAMPAIGN_INVALID_MAX_TARGETS",
});
