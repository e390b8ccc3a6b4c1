//! Where actions happen: one trait over whatever speaks the gateway's contract. Engine code knows
//! only this trait; which URL stands behind it, a gateway or our sandbox, it cannot tell.
//!
//! Reads may be repeated, and the client does so on transport failures. A write is sent once,
//! ever: after a failure with `Sent::MaybeSent` the caller reads the target before it decides.

mod error;
mod failure;
mod gateway;
mod ids;
mod lenient;
pub mod sandbox;
mod secret;
mod session;
mod types;

use std::time::Duration;

use async_trait::async_trait;
use domain::ids::AccountId;
use tokio::time::Instant;

pub use error::{ExcType, PlatformError, Sent};
pub use failure::PlatformErrorKind;
pub use gateway::{Broken, Gateway, GatewayConfig, GatewayConfigError, Wire};
pub use ids::{CommentPk, InvalidId, LocationPk, MediaId, MediaPk, MessageId, StoryId, StoryPk, ThreadId, UserPk};
pub use secret::{LoginCredentials, SessionBlob, SessionId};
pub use session::with_session;
pub use types::{
    AccountView, Build, Comment, Cursor, DirectMessage, DirectThread, FollowState, Hashtag, Location, Media, Page,
    Relationship, RelationshipOf, Story, Tab, UserProfile, UserShort, WriteAnswer,
};

/// When a call must be over, retries included. Real time, never the engine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Only the client's own limits apply.
    pub const NONE: Self = Self(None);

    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// `None` when there is no deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|instant| instant.saturating_duration_since(Instant::now()))
    }
}

/// On whose behalf a call is made, and until when it may run.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub account: Option<AccountId>,
    pub deadline: Deadline,
}

impl Call {
    #[must_use]
    pub fn of(account: AccountId, deadline: Deadline) -> Self {
        Self { account: Some(account), deadline }
    }

    /// For calls that concern no account: build and health.
    #[must_use]
    pub fn service(deadline: Deadline) -> Self {
        Self { account: None, deadline }
    }
}

/// What this platform can do. Anything that is false must not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// One gateway an account: build and health then need a call that names one.
    pub gateway_per_account: bool,
    /// Relationships with several people in one call.
    pub bulk_relationships: bool,
    /// A message into a thread that is known already.
    pub thread_messages: bool,
}

/// The platform, as the engine sees it. Every failure is typed; nothing here is retried but reads.
#[async_trait]
pub trait Platform: Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// Asks which gateway answers, and refuses one that we do not know.
    async fn build(&self, call: Call) -> Result<Build, PlatformError>;
    async fn health(&self, call: Call) -> Result<(), PlatformError>;

    /// A password login: once a person's attempt, never by itself. It makes a new device.
    async fn login(&self, call: Call, credentials: &LoginCredentials) -> Result<SessionId, PlatformError>;
    async fn export_session(&self, call: Call, session: &SessionId) -> Result<SessionBlob, PlatformError>;
    async fn import_session(&self, call: Call, blob: &SessionBlob) -> Result<SessionId, PlatformError>;
    /// The cheapest proof of a session.
    async fn account(&self, call: Call, session: &SessionId) -> Result<AccountView, PlatformError>;

    /// Costly: look a name up once, then keep the pk.
    async fn user_by_name(&self, call: Call, session: &SessionId, username: &str)
    -> Result<UserProfile, PlatformError>;
    async fn user(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<UserProfile, PlatformError>;
    /// Settles a follow or an unfollow. Every failure of it reads as "slow down".
    async fn friendship(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<Relationship, PlatformError>;
    async fn friendships(
        &self,
        call: Call,
        session: &SessionId,
        users: &[UserPk],
    ) -> Result<Vec<RelationshipOf>, PlatformError>;
    /// More than `amount` can come.
    async fn followers(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<UserShort>, PlatformError>;
    async fn following(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<UserShort>, PlatformError>;
    async fn user_medias(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError>;
    async fn user_stories(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<Vec<Story>, PlatformError>;
    async fn search_users(&self, call: Call, session: &SessionId, query: &str)
    -> Result<Vec<UserShort>, PlatformError>;
    async fn search_places(
        &self,
        call: Call,
        session: &SessionId,
        query: &str,
        at: Option<(f64, f64)>,
    ) -> Result<Vec<Location>, PlatformError>;

    async fn hashtag(&self, call: Call, session: &SessionId, name: &str) -> Result<Hashtag, PlatformError>;
    async fn hashtag_medias(
        &self,
        call: Call,
        session: &SessionId,
        name: &str,
        tab: Tab,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError>;
    async fn location(&self, call: Call, session: &SessionId, location: &LocationPk)
    -> Result<Location, PlatformError>;
    /// The platform ignores `amount` here and sends its page whole.
    async fn location_medias(
        &self,
        call: Call,
        session: &SessionId,
        location: &LocationPk,
        tab: Tab,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError>;

    /// Settles a like or an unlike; never from the gateway's cache.
    async fn media(&self, call: Call, session: &SessionId, media: &MediaPk) -> Result<Media, PlatformError>;
    async fn media_likers(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
    ) -> Result<Vec<UserShort>, PlatformError>;
    /// Settles a comment.
    async fn media_comments(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Comment>, PlatformError>;
    /// Never from the gateway's cache.
    async fn story(&self, call: Call, session: &SessionId, story: &StoryPk) -> Result<Story, PlatformError>;

    /// The conversation with exactly this person, if there is one.
    async fn thread_with(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
    ) -> Result<Option<ThreadId>, PlatformError>;
    /// The newest messages first; settles a direct message.
    async fn direct_messages(
        &self,
        call: Call,
        session: &SessionId,
        thread: ThreadId,
        amount: u32,
    ) -> Result<Vec<DirectMessage>, PlatformError>;
    async fn inbox(
        &self,
        call: Call,
        session: &SessionId,
        cursor: Option<&Cursor>,
    ) -> Result<Page<DirectThread>, PlatformError>;

    async fn like(&self, call: Call, session: &SessionId, media: &MediaId) -> Result<WriteAnswer, PlatformError>;
    async fn unlike(&self, call: Call, session: &SessionId, media: &MediaId) -> Result<WriteAnswer, PlatformError>;
    /// A private account answers `Unconfirmed` although the request is out.
    async fn follow(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<WriteAnswer, PlatformError>;
    async fn unfollow(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<WriteAnswer, PlatformError>;
    async fn comment(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        text: &str,
    ) -> Result<Comment, PlatformError>;
    async fn delete_comment(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        comment: &CommentPk,
    ) -> Result<WriteAnswer, PlatformError>;
    /// To one person: several recipients in one message would make a group of them.
    async fn send_direct_message(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        text: &str,
    ) -> Result<DirectMessage, PlatformError>;
    /// Repeating it is harmless.
    async fn see_stories(
        &self,
        call: Call,
        session: &SessionId,
        stories: &[StoryPk],
    ) -> Result<WriteAnswer, PlatformError>;
    /// Repeating it is harmless.
    async fn like_story(&self, call: Call, session: &SessionId, story: &StoryId) -> Result<WriteAnswer, PlatformError>;
    async fn unlike_story(
        &self,
        call: Call,
        session: &SessionId,
        story: &StoryId,
    ) -> Result<WriteAnswer, PlatformError>;
}
