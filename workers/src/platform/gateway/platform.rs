//! Every method of `Platform` as one request: its route, its parameters, its answer.

use std::borrow::Cow;

use async_trait::async_trait;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Gateway, PageAnswer, decode,
    http::{Fields, Request},
    route::{self, Route},
    write_answer,
};
use crate::platform::{
    AccountView, Build, Call, Capabilities, Comment, CommentPk, Cursor, DirectMessage, DirectThread, Hashtag, Location,
    LocationPk, LoginCredentials, Media, MediaId, MediaPk, Page, Platform, PlatformError, PlatformErrorKind,
    Relationship, RelationshipOf, SessionBlob, SessionId, Story, StoryId, StoryPk, Tab, ThreadId, UserPk, UserProfile,
    UserShort, WriteAnswer, lenient, session::check_blob,
};

/// How many pages of the inbox are looked through for a conversation.
const INBOX_PAGES: usize = 5;

/// The conversation with some people; the gateway documents no more than "an object".
#[derive(Deserialize)]
struct ThreadAnswer {
    #[serde(default, deserialize_with = "lenient::optional_thread_id")]
    thread_id: Option<ThreadId>,
    thread: Option<ThreadInAnswer>,
}

#[derive(Deserialize)]
struct ThreadInAnswer {
    #[serde(default, deserialize_with = "lenient::optional_thread_id")]
    thread_id: Option<ThreadId>,
    #[serde(default, deserialize_with = "lenient::optional_thread_id")]
    id: Option<ThreadId>,
}

fn field<'a>(name: &'static str, value: impl Into<Cow<'a, str>>) -> (&'static str, Cow<'a, str>) {
    (name, value.into())
}

fn page_fields<'a>(of: (&'static str, &'a str), amount: u32, cursor: Option<&'a Cursor>) -> Fields<'a> {
    let mut fields = vec![field(of.0, of.1), field("amount", amount.clamp(1, 200).to_string())];
    fields.extend(cursor.map(|cursor| field("cursor", cursor.as_str())));
    fields
}

impl Gateway {
    async fn get<T: DeserializeOwned>(
        &self,
        call: Call,
        session: &SessionId,
        route: &'static Route,
        fields: Fields<'_>,
    ) -> Result<T, PlatformError> {
        let request = Request { route, session: Some(session), fields };
        decode(route, &self.read(call, request).await?)
    }

    async fn get_page<T: DeserializeOwned>(
        &self,
        call: Call,
        session: &SessionId,
        route: &'static Route,
        fields: Fields<'_>,
    ) -> Result<Page<T>, PlatformError> {
        self.get::<PageAnswer<T>>(call, session, route, fields).await.map(Page::from)
    }

    async fn put<T: DeserializeOwned>(
        &self,
        call: Call,
        session: &SessionId,
        route: &'static Route,
        fields: Fields<'_>,
    ) -> Result<T, PlatformError> {
        let request = Request { route, session: Some(session), fields };
        decode(route, &self.write(call, request).await?)
    }

    async fn put_flag(
        &self,
        call: Call,
        session: &SessionId,
        route: &'static Route,
        fields: Fields<'_>,
    ) -> Result<WriteAnswer, PlatformError> {
        self.put(call, session, route, fields).await.map(write_answer)
    }
}

#[async_trait]
impl Platform for Gateway {
    fn capabilities(&self) -> Capabilities {
        let known = self.known();
        let complete = !known.is_empty() && known.values().all(|build| build.major >= 5);
        Capabilities {
            gateway_per_account: self.config.is_per_account(),
            bulk_relationships: complete,
            thread_messages: complete,
        }
    }

    async fn build(&self, call: Call) -> Result<Build, PlatformError> {
        let request = Request { route: &route::BUILD, session: None, fields: Vec::new() };
        let base = self.base(call, &request)?;
        self.retried(call, || self.check_build(&base, call)).await
    }

    async fn health(&self, call: Call) -> Result<(), PlatformError> {
        let request = Request { route: &route::HEALTH, session: None, fields: Vec::new() };
        let base = self.base(call, &request)?;
        self.http.send(&base, &request, call.deadline).await.map(|_| ())
    }

    async fn login(&self, call: Call, credentials: &LoginCredentials) -> Result<SessionId, PlatformError> {
        let mut fields = vec![field("username", credentials.username()), field("password", credentials.password())];
        fields.extend(credentials.verification_code().map(|code| field("verification_code", code)));
        fields.extend(credentials.locale().map(|locale| field("locale", locale)));
        fields.extend(credentials.timezone_offset_s().map(|offset| field("timezone", offset.to_string())));
        let request = Request { route: &route::LOGIN, session: None, fields };
        let body = self.write(call, request).await?;
        decode::<String>(&route::LOGIN, &body).map(SessionId::new)
    }

    async fn export_session(&self, call: Call, session: &SessionId) -> Result<SessionBlob, PlatformError> {
        let route = &route::EXPORT;
        let request = Request { route, session: Some(session), fields: Vec::new() };
        let body = self.read(call, request).await?;
        decode::<serde_json::Map<String, serde_json::Value>>(route, &body)?;
        String::from_utf8(body)
            .map(SessionBlob::new)
            .map_err(|_| PlatformError::new(PlatformErrorKind::AnswerUnreadable, route.name))
    }

    async fn import_session(&self, call: Call, blob: &SessionBlob) -> Result<SessionId, PlatformError> {
        let route = &route::IMPORT;
        check_blob(blob, route.name)?;
        let fields = vec![field("settings", blob.expose())];
        let body = self.write(call, Request { route, session: None, fields }).await?;
        decode::<String>(route, &body).map(SessionId::new)
    }

    async fn account(&self, call: Call, session: &SessionId) -> Result<AccountView, PlatformError> {
        self.get(call, session, &route::ACCOUNT, Vec::new()).await
    }

    async fn user_by_name(
        &self,
        call: Call,
        session: &SessionId,
        username: &str,
    ) -> Result<UserProfile, PlatformError> {
        self.get(call, session, &route::USER, vec![field("username", username)]).await
    }

    async fn user(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<UserProfile, PlatformError> {
        self.get(call, session, &route::USER, vec![field("user_id", user.as_str())]).await
    }

    async fn friendship(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<Relationship, PlatformError> {
        self.get(call, session, &route::FRIENDSHIP, vec![field("user_id", user.as_str())]).await
    }

    async fn friendships(
        &self,
        call: Call,
        session: &SessionId,
        users: &[UserPk],
    ) -> Result<Vec<RelationshipOf>, PlatformError> {
        let fields = users.iter().map(|user| field("user_ids", user.as_str())).collect();
        self.get(call, session, &route::FRIENDSHIPS, fields).await
    }

    async fn followers(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<UserShort>, PlatformError> {
        let fields = page_fields(("user_id", user.as_str()), amount, cursor);
        self.get_page(call, session, &route::FOLLOWERS, fields).await
    }

    async fn following(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<UserShort>, PlatformError> {
        let fields = page_fields(("user_id", user.as_str()), amount, cursor);
        self.get_page(call, session, &route::FOLLOWING, fields).await
    }

    async fn user_medias(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError> {
        let fields = page_fields(("user_id", user.as_str()), amount, cursor);
        self.get_page(call, session, &route::USER_POSTS, fields).await
    }

    async fn user_stories(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<Vec<Story>, PlatformError> {
        self.get(call, session, &route::USER_STORIES, vec![field("user_id", user.as_str())]).await
    }

    async fn search_users(
        &self,
        call: Call,
        session: &SessionId,
        query: &str,
    ) -> Result<Vec<UserShort>, PlatformError> {
        self.get(call, session, &route::SEARCH_USERS, vec![field("query", query)]).await
    }

    async fn search_places(
        &self,
        call: Call,
        session: &SessionId,
        query: &str,
        at: Option<(f64, f64)>,
    ) -> Result<Vec<Location>, PlatformError> {
        let mut fields = vec![field("query", query)];
        if let Some((lat, lng)) = at {
            fields.push(field("lat", lat.to_string()));
            fields.push(field("lng", lng.to_string()));
        }
        self.get(call, session, &route::SEARCH_PLACES, fields).await
    }

    async fn hashtag(&self, call: Call, session: &SessionId, name: &str) -> Result<Hashtag, PlatformError> {
        self.get(call, session, &route::HASHTAG, vec![field("name", name)]).await
    }

    async fn hashtag_medias(
        &self,
        call: Call,
        session: &SessionId,
        name: &str,
        tab: Tab,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError> {
        let route = match tab {
            Tab::Top => &route::HASHTAG_TOP,
            Tab::Recent => &route::HASHTAG_RECENT,
        };
        self.get_page(call, session, route, page_fields(("name", name), amount, cursor)).await
    }

    async fn location(
        &self,
        call: Call,
        session: &SessionId,
        location: &LocationPk,
    ) -> Result<Location, PlatformError> {
        let fields = vec![field("location_pk", location.as_str())];
        self.get(call, session, &route::LOCATION, fields).await
    }

    async fn location_medias(
        &self,
        call: Call,
        session: &SessionId,
        location: &LocationPk,
        tab: Tab,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Media>, PlatformError> {
        let route = match tab {
            Tab::Top => &route::LOCATION_TOP,
            Tab::Recent => &route::LOCATION_RECENT,
        };
        let fields = page_fields(("location_pk", location.as_str()), amount, cursor);
        self.get_page(call, session, route, fields).await
    }

    async fn media(&self, call: Call, session: &SessionId, media: &MediaPk) -> Result<Media, PlatformError> {
        let fields = vec![field("pk", media.as_str()), field("use_cache", "false")];
        self.get(call, session, &route::MEDIA, fields).await
    }

    async fn media_likers(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
    ) -> Result<Vec<UserShort>, PlatformError> {
        self.get(call, session, &route::LIKERS, vec![field("media_id", media.as_str())]).await
    }

    async fn media_comments(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        amount: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Comment>, PlatformError> {
        let fields = page_fields(("media_id", media.as_str()), amount, cursor);
        self.get_page(call, session, &route::COMMENTS, fields).await
    }

    async fn story(&self, call: Call, session: &SessionId, story: &StoryPk) -> Result<Story, PlatformError> {
        let fields = vec![field("story_pk", story.as_str()), field("use_cache", "false")];
        self.get(call, session, &route::STORY, fields).await
    }

    async fn thread_with(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
    ) -> Result<Option<ThreadId>, PlatformError> {
        let route = &route::THREAD_BY_PARTICIPANTS;
        let fields = vec![field("user_ids", user.as_str())];
        let answer: ThreadAnswer = match self.get(call, session, route, fields).await {
            Err(error) if error.kind == PlatformErrorKind::DirectThreadNotFound => return Ok(None),
            other => other?,
        };
        let nested = answer.thread.and_then(|thread| thread.thread_id.or(thread.id));
        if let Some(id) = answer.thread_id.or(nested) {
            return Ok(Some(id));
        }
        // Newer libraries answer with the people only; then the inbox has to tell.
        let mut cursor = None;
        for _ in 0..INBOX_PAGES {
            let page = self.inbox(call, session, cursor.as_ref()).await?;
            if let Some(thread) = page.items.iter().find(|thread| thread.is_with(user)) {
                return Ok(Some(thread.id));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn direct_messages(
        &self,
        call: Call,
        session: &SessionId,
        thread: ThreadId,
        amount: u32,
    ) -> Result<Vec<DirectMessage>, PlatformError> {
        let fields = vec![field("thread_id", thread.to_string()), field("amount", amount.clamp(1, 200).to_string())];
        self.get(call, session, &route::DIRECT_MESSAGES, fields).await
    }

    async fn inbox(
        &self,
        call: Call,
        session: &SessionId,
        cursor: Option<&Cursor>,
    ) -> Result<Page<DirectThread>, PlatformError> {
        let fields = cursor.map(|cursor| field("cursor", cursor.as_str())).into_iter().collect();
        self.get_page(call, session, &route::INBOX, fields).await
    }

    async fn like(&self, call: Call, session: &SessionId, media: &MediaId) -> Result<WriteAnswer, PlatformError> {
        self.put_flag(call, session, &route::LIKE, vec![field("media_id", media.as_str())]).await
    }

    async fn unlike(&self, call: Call, session: &SessionId, media: &MediaId) -> Result<WriteAnswer, PlatformError> {
        self.put_flag(call, session, &route::UNLIKE, vec![field("media_id", media.as_str())]).await
    }

    async fn follow(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<WriteAnswer, PlatformError> {
        self.put_flag(call, session, &route::FOLLOW, vec![field("user_id", user.as_str())]).await
    }

    async fn unfollow(&self, call: Call, session: &SessionId, user: &UserPk) -> Result<WriteAnswer, PlatformError> {
        self.put_flag(call, session, &route::UNFOLLOW, vec![field("user_id", user.as_str())]).await
    }

    async fn comment(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        text: &str,
    ) -> Result<Comment, PlatformError> {
        let fields = vec![field("media_id", media.as_str()), field("text", text)];
        self.put(call, session, &route::COMMENT, fields).await
    }

    async fn delete_comment(
        &self,
        call: Call,
        session: &SessionId,
        media: &MediaId,
        comment: &CommentPk,
    ) -> Result<WriteAnswer, PlatformError> {
        let fields = vec![field("media_id", media.as_str()), field("comment_pk", comment.as_str())];
        self.put_flag(call, session, &route::DELETE_COMMENT, fields).await
    }

    async fn send_direct_message(
        &self,
        call: Call,
        session: &SessionId,
        user: &UserPk,
        text: &str,
    ) -> Result<DirectMessage, PlatformError> {
        let fields = vec![field("text", text), field("user_ids", user.as_str())];
        self.put(call, session, &route::SEND_MESSAGE, fields).await
    }

    async fn see_stories(
        &self,
        call: Call,
        session: &SessionId,
        stories: &[StoryPk],
    ) -> Result<WriteAnswer, PlatformError> {
        let fields = stories.iter().map(|story| field("story_pks", story.as_str())).collect();
        self.put_flag(call, session, &route::STORY_SEEN, fields).await
    }

    async fn like_story(&self, call: Call, session: &SessionId, story: &StoryId) -> Result<WriteAnswer, PlatformError> {
        let fields = vec![field("story_id", story.as_str())];
        self.put_flag(call, session, &route::LIKE_STORY, fields).await
    }

    async fn unlike_story(
        &self,
        call: Call,
        session: &SessionId,
        story: &StoryId,
    ) -> Result<WriteAnswer, PlatformError> {
        let fields = vec![field("story_id", story.as_str())];
        self.put_flag(call, session, &route::UNLIKE_STORY, fields).await
    }
}
