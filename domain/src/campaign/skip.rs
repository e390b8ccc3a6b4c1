//! Why somebody or something is left alone. The names are stored in the results of runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bot::UnknownName;
use crate::bot::named;

named!(
    /// Why a target is left alone.
    SkipReason {
        /// It is the account itself.
        OwnAccount = "OWN_ACCOUNT",
        /// This campaign has acted on it before.
        ActedBefore = "ACTED_BEFORE",
        /// The person asked for no more messages.
        ContactStopped = "CONTACT_STOPPED",
        BlackListed = "BLACK_LISTED",
        /// On the white list, so not to be unfollowed.
        WhiteListed = "WHITE_LISTED",
        /// Another run acted on the person, and the time to meet again has not come.
        AlreadyMet = "ALREADY_MET",
        Private = "PRIVATE",
        NotPrivate = "NOT_PRIVATE",
        Verified = "VERIFIED",
        NotVerified = "NOT_VERIFIED",
        Business = "BUSINESS",
        NotBusiness = "NOT_BUSINESS",
        TooFewFollowers = "TOO_FEW_FOLLOWERS",
        TooManyFollowers = "TOO_MANY_FOLLOWERS",
        TooFewFollowing = "TOO_FEW_FOLLOWING",
        TooManyFollowing = "TOO_MANY_FOLLOWING",
        RatioTooLow = "RATIO_TOO_LOW",
        RatioTooHigh = "RATIO_TOO_HIGH",
        TooFewPosts = "TOO_FEW_POSTS",
        HasPicture = "HAS_PICTURE",
        NoPicture = "NO_PICTURE",
        /// None of the words is in the biography.
        NoWord = "NO_WORD",
        /// The platform does not tell what a filter asks for.
        NotKnown = "NOT_KNOWN",
        /// Nothing to do: followed already.
        AlreadyFollowing = "ALREADY_FOLLOWING",
        /// Nothing to do: not followed.
        NotFollowing = "NOT_FOLLOWING",
        /// The product did not follow this person.
        NotFollowedByUs = "NOT_FOLLOWED_BY_US",
        FollowedTooRecently = "FOLLOWED_TOO_RECENTLY",
        FollowsBack = "FOLLOWS_BACK",
        /// Nothing to do: liked already.
        AlreadyLiked = "ALREADY_LIKED",
        /// The person has no post that can be acted on.
        NoPost = "NO_POST",
        /// The person has no story now.
        NoStory = "NO_STORY",
        CommentsDisabled = "COMMENTS_DISABLED",
        /// The person neither follows the account nor ever wrote to it.
        NotOpenToMessages = "NOT_OPEN_TO_MESSAGES",
        /// The person wrote a stop word.
        SaidStop = "SAID_STOP",
        /// Nothing is left of the text for this person.
        TextEmpty = "TEXT_EMPTY",
        TextTooLong = "TEXT_TOO_LONG",
        /// The same text went to too many people lately.
        TextRepeated = "TEXT_REPEATED",
        /// The platform knows no such person or post.
        NotFound = "NOT_FOUND",
    }
);

/// What has to be read of the platform before a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The person's own page.
    Profile,
    /// How the account and the person stand to each other.
    Relationship,
    /// What the two have written to each other.
    Conversation,
}

/// What becomes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Pass,
    Skip(SkipReason),
    /// More has to be known; reads cost requests.
    Needs(Read),
}

impl Judgement {
    /// `self`, unless it passes: then what `next` says.
    #[must_use]
    pub fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Pass => next(),
            other => other,
        }
    }

    /// Skips for `reason` if `bad`.
    #[must_use]
    pub const fn skip_if(bad: bool, reason: SkipReason) -> Self {
        if bad { Self::Skip(reason) } else { Self::Pass }
    }
}
