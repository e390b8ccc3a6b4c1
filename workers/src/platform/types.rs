//! What the platform tells: people, media, places, conversations. Only the fields that we use;
//! all but the key of each may be missing. Times are UTC.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    ids::{CommentPk, LocationPk, MediaId, MediaPk, MessageId, StoryId, StoryPk, ThreadId, UserPk},
    lenient,
};

/// A person as lists show them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserShort {
    pub pk: UserPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub username: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub full_name: String,
    /// Absent in some lists: then it is not known.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_private: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub profile_pic_url: Option<String>,
}

/// A person's own page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserProfile {
    pub pk: UserPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub username: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub full_name: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_private: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_verified: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_business: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub media_count: u64,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub follower_count: u64,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub following_count: u64,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub biography: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub profile_pic_url: Option<String>,
}

/// The account that is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccountView {
    pub pk: UserPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub username: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub full_name: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_private: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_business: bool,
}

/// How the account and another person stand to each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Relationship {
    /// A key field: a missing one must not read as "does not follow".
    pub following: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub outgoing_request: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub followed_by: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub incoming_request: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub blocking: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_private: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub muting: Option<bool>,
}

/// What a relationship says about a follow of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowState {
    Following,
    /// Asked for; the person has not answered yet.
    Requested,
    NotFollowing,
    /// The answer does not tell whether a request is out.
    Unclear,
}

impl Relationship {
    #[must_use]
    pub fn follow_state(&self) -> FollowState {
        match (self.following, self.outgoing_request) {
            (true, _) => FollowState::Following,
            (false, Some(true)) => FollowState::Requested,
            (false, Some(false)) => FollowState::NotFollowing,
            (false, None) => FollowState::Unclear,
        }
    }
}

/// One answer of the call for several people at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RelationshipOf {
    pub user_id: UserPk,
    #[serde(flatten)]
    pub relationship: Relationship,
}

/// A post: photo (1), video (2) or album (8).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Media {
    pub pk: MediaPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    id: Option<MediaId>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub code: String,
    #[serde(default, deserialize_with = "lenient::time")]
    pub taken_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub media_type: u8,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user: Option<UserShort>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub caption_text: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub like_count: u64,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub comment_count: Option<u64>,
    /// Whether the asking account likes it. Absent is not "no".
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub has_liked: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub comments_disabled: Option<bool>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub location: Option<Location>,
}

impl Media {
    /// The form that writes want, with the owner wherever the answer names one.
    #[must_use]
    pub fn id(&self) -> MediaId {
        if let Some(id) = self.id.as_ref().filter(|id| id.owner().is_some()) {
            return id.clone();
        }
        match &self.user {
            Some(user) => MediaId::new(&self.pk, &user.pk),
            None => self.pk.clone().into(),
        }
    }
}

/// A story of a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Story {
    pub pk: StoryPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    id: Option<StoryId>,
    #[serde(default, deserialize_with = "lenient::time")]
    pub taken_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub media_type: u8,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user: Option<UserShort>,
}

impl Story {
    /// The form that writes want; absent when the answer does not name the owner.
    #[must_use]
    pub fn id(&self) -> Option<StoryId> {
        self.id
            .clone()
            .filter(|id| id.owner().is_some())
            .or_else(|| self.user.as_ref().map(|user| StoryId::new(&self.pk, &user.pk)))
    }
}

/// A place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Location {
    /// Absent on some media that name a place without a page.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub pk: Option<LocationPk>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub city: Option<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub lat: Option<f64>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub lng: Option<f64>,
}

/// A hashtag, without the `#`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hashtag {
    pub name: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub media_count: Option<u64>,
}

/// A comment on a media.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    pub pk: CommentPk,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub text: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user: Option<UserShort>,
    #[serde(default, deserialize_with = "lenient::time")]
    pub created_at_utc: Option<DateTime<Utc>>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DirectThread {
    #[serde(deserialize_with = "lenient::thread_id")]
    pub id: ThreadId,
    #[serde(default, deserialize_with = "lenient::list")]
    pub users: Vec<UserShort>,
    #[serde(default, deserialize_with = "lenient::list")]
    pub messages: Vec<DirectMessage>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_group: Option<bool>,
    #[serde(default, deserialize_with = "lenient::time")]
    pub last_activity_at: Option<DateTime<Utc>>,
}

impl DirectThread {
    /// Whether this is the conversation with exactly this person.
    #[must_use]
    pub fn is_with(&self, user: &UserPk) -> bool {
        self.is_group != Some(true) && self.users.len() == 1 && self.users[0].pk == *user
    }
}

/// A message. The answer to a sent one has no text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DirectMessage {
    pub id: MessageId,
    #[serde(default, deserialize_with = "lenient::optional_thread_id")]
    pub thread_id: Option<ThreadId>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_id: Option<UserPk>,
    #[serde(default, deserialize_with = "lenient::time")]
    pub timestamp: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub item_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub text: Option<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_sent_by_viewer: Option<bool>,
}

/// Where the next page begins; opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// `None` for the empty text, which the gateway sends when there is no more.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

/// Which media of a hashtag or a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Top,
    Recent,
}

/// What the gateway answered to a write that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteAnswer {
    /// The platform said that it is done.
    Confirmed,
    /// Taken, but not said to be done: read the target before believing either. A follow of a
    /// private account always ends here.
    Unconfirmed,
}

/// Which gateway answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub version: String,
    pub major: u32,
    pub minor: u32,
}
