//! The gateway's routes that we call. A read may be repeated, a write never.

use reqwest::Method;

/// Whether a request changes something on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Method and path, named once.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Method and path as one text: for errors and logs.
    pub(super) name: &'static str,
}

macro_rules! routes {
    ($($id:ident: $kind:ident $method:ident $path:literal;)*) => {
        $(pub(super) const $id: Route = Route {
            method: Method::$method,
            path: $path,
            kind: Kind::$kind,
            name: concat!(stringify!($method), " ", $path),
        };)*
    };
}

routes! {
    BUILD: Read GET "/build";
    HEALTH: Read GET "/health";
    LOGIN: Write POST "/auth/login";
    EXPORT: Read GET "/auth/settings";
    IMPORT: Write PATCH "/auth/settings";
    ACCOUNT: Read GET "/account";
    USER: Read GET "/user";
    FRIENDSHIP: Read GET "/user/friendship";
    FRIENDSHIPS: Read GET "/user/friendships";
    FOLLOWERS: Read GET "/user/followers";
    FOLLOWING: Read GET "/user/following";
    USER_POSTS: Read GET "/user/posts";
    USER_STORIES: Read GET "/user/stories";
    SEARCH_USERS: Read GET "/search/users";
    SEARCH_PLACES: Read GET "/search/places";
    HASHTAG: Read GET "/hashtag";
    HASHTAG_TOP: Read GET "/hashtag/media/top";
    HASHTAG_RECENT: Read GET "/hashtag/media/recent";
    LOCATION: Read GET "/location";
    LOCATION_TOP: Read GET "/location/media/top";
    LOCATION_RECENT: Read GET "/location/media/recent";
    MEDIA: Read GET "/media";
    LIKERS: Read GET "/media/likers";
    COMMENTS: Read GET "/media/comments";
    STORY: Read GET "/story";
    THREAD_BY_PARTICIPANTS: Read GET "/direct/thread/by/participants";
    DIRECT_MESSAGES: Read GET "/direct/messages";
    INBOX: Read GET "/direct/inbox";
    LIKE: Write POST "/media/like";
    UNLIKE: Write DELETE "/media/like";
    FOLLOW: Write POST "/user/follow";
    UNFOLLOW: Write DELETE "/user/follow";
    COMMENT: Write POST "/media/comment";
    DELETE_COMMENT: Write DELETE "/media/comment";
    SEND_MESSAGE: Write POST "/direct/message";
    STORY_SEEN: Write PATCH "/story/seen";
    LIKE_STORY: Write POST "/story/like";
    UNLIKE_STORY: Write DELETE "/story/like";
}
