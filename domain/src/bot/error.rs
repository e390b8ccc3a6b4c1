//! Why a bot refuses a command.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::limits::Counter;
use super::state::BotState;
use crate::ids::{ActionId, CampaignId};
use crate::variants::codes;

/// Why a bot refuses a command. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BotError {
    #[error("{command} is not allowed while the bot is {state}")]
    NotAllowed { command: &'static str, state: BotState },
    #[error("the bot has no linked account; link one first")]
    NoAccount,
    #[error("account {username} is linked already; unlink it before linking another")]
    AccountAlreadyLinked { username: String },
    #[error("{username:?} is not an Instagram user name: 1 to 30 letters, digits, dots and underscores")]
    InvalidUsername { username: String },
    #[error("linking needs the word yes: automation is against Instagram's terms and can cost the account")]
    ConsentMissing,
    #[error("login is locked by a challenge ({kind}); settle it in Instagram's own app, then confirm it here")]
    LoginLocked { kind: String },
    #[error("the last login failed; the next may be tried from {retry_not_before}")]
    LoginBackoff { retry_not_before: DateTime<Utc> },
    #[error("Instagram rejected the password; link the account again with the right one")]
    PasswordRejected,
    #[error("Instagram asks for a two-factor code; log in again with it")]
    TwoFactorCodeRequired,
    #[error("login attempt {attempt} is not the current one ({current})")]
    StaleLoginAttempt { attempt: u32, current: u32 },
    #[error("there is no challenge to resolve")]
    NoChallenge,
    #[error("the connection was not verified in the last 10 minutes; test it first")]
    ConnectionNotVerified,
    #[error("the plan has no campaign; define one first")]
    PlanEmpty,
    #[error("going live needs a finished dry run of the same plan; enable a dry run first")]
    DryRunRequired,
    #[error("automation was not authorized in the last 10 minutes; authorize it first")]
    NotAuthorized,
    #[error("the plan changed since it was authorized; look at it and authorize it again")]
    PlanChanged,
    #[error("automation was switched off or on again since this was planned")]
    StaleEnablement,
    #[error("campaign {campaign_id} is not part of the plan that was enabled")]
    NotPlanned { campaign_id: CampaignId },
    #[error("a plan has at most {most} campaigns; this one has {given}")]
    TooManyCampaigns { given: usize, most: usize },
    #[error("the limit of {counter} is {asked}, above the ceiling of {ceiling}")]
    LimitAboveCeiling { counter: Counter, asked: u32, ceiling: u32 },
    #[error("working hours from {from} until {until} are not within a day")]
    InvalidHours { from: u8, until: u8 },
    #[error("action {action_id} is still open; settle it before another is reserved")]
    ReservationOpen { action_id: ActionId },
    #[error("action {action_id} was reserved before")]
    AlreadyReserved { action_id: ActionId },
    #[error("action {action_id} has no open reservation")]
    NoReservation { action_id: ActionId },
    #[error("action {action_id} is not in doubt")]
    NotInDoubt { action_id: ActionId },
    #[error("the outcome does not fit the mode that action {action_id} was reserved in")]
    WrongMode { action_id: ActionId },
    #[error("the person asked for no more contact")]
    ContactStopped,
    #[error("too many people were told the same this week; give the text more variants, or a name")]
    TextRepeated,
    #[error("{field} is {length} characters long; at most {most} are allowed")]
    TooLong { field: &'static str, length: usize, most: usize },
}

codes!(BotError {
    NotAllowed = "BOT_COMMAND_NOT_ALLOWED",
    NoAccount = "BOT_NO_ACCOUNT",
    AccountAlreadyLinked = "BOT_ACCOUNT_ALREADY_LINKED",
    InvalidUsername = "BOT_INVALID_USERNAME",
    ConsentMissing = "BOT_CONSENT_MISSING",
    LoginLocked = "BOT_LOGIN_LOCKED",
    LoginBackoff = "BOT_LOGIN_BACKOFF",
    PasswordRejected = "BOT_PASSWORD_REJECTED",
    TwoFactorCodeRequired = "BOT_TWO_FACTOR_CODE_REQUIRED",
    StaleLoginAttempt = "BOT_STALE_LOGIN_ATTEMPT",
    NoChallenge = "BOT_NO_CHALLENGE",
    ConnectionNotVerified = "BOT_CONNECTION_NOT_VERIFIED",
    PlanEmpty = "BOT_PLAN_EMPTY",
    DryRunRequired = "BOT_DRY_RUN_REQUIRED",
    NotAuthorized = "BOT_NOT_AUTHORIZED",
    PlanChanged = "BOT_PLAN_CHANGED",
    StaleEnablement = "BOT_STALE_ENABLEMENT",
    NotPlanned = "BOT_CAMPAIGN_NOT_PLANNED",
    TooManyCampaigns = "BOT_TOO_MANY_CAMPAIGNS",
    LimitAboveCeiling = "BOT_LIMIT_ABOVE_CEILING",
    InvalidHours = "BOT_INVALID_HOURS",
    ReservationOpen = "BOT_RESERVATION_OPEN",
    AlreadyReserved = "BOT_ALREADY_RESERVED",
    NoReservation = "BOT_NO_RESERVATION",
    NotInDoubt = "BOT_NOT_IN_DOUBT",
    WrongMode = "BOT_WRONG_MODE",
    ContactStopped = "BOT_CONTACT_STOPPED",
    TextRepeated = "BOT_TEXT_REPEATED",
    TooLong = "BOT_TEXT_TOO_LONG",
});
