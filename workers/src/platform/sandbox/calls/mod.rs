//! Every route of the gateway that the sandbox serves, and what answers it.

mod auth;
mod direct;
mod discovery;
mod media;
mod people;
mod service;
mod story;

use serde::Serialize;

use super::{
    params::Params,
    reply::{Refusal, Reply},
    state::{Asking, State},
};

pub(super) type Answer = Result<Reply, Refusal>;

/// Whether a route names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    None,
    Optional,
    Required,
}

/// A route and its handler.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Method and path as one text.
    pub(super) name: &'static str,
    pub(super) session: Session,
    pub(super) writes: bool,
    pub(super) run: fn(&mut State, &Asking, &Params) -> Answer,
}

macro_rules! routes {
    ($($session:ident $effect:ident $method:literal $path:literal => $run:path;)*) => {
        pub(super) const ROUTES: &[Route] = &[$(Route {
            method: $method,
            path: $path,
            name: concat!($method, " ", $path),
            session: Session::$session,
            writes: routes!(@ $effect),
            run: $run,
        },)*];
    };
    (@ read) => { false };
    (@ write) => { true };
}

pub(super) const FRIENDSHIP: &str = "GET /user/friendship";

routes! {
    None read "GET" "/build" => service::build;
    None read "GET" "/health" => service::health;
    None read "GET" "/ready" => service::ready;
    None read "GET" "/deps" => service::deps;
    None read "GET" "/metrics" => service::metrics;

    None read "POST" "/auth/login" => auth::login;
    None read "POST" "/auth/login/by/sessionid" => auth::login_by_session;
    Required read "PATCH" "/auth/relogin" => auth::relogin;
    Required read "GET" "/auth/settings" => auth::export;
    Optional read "PATCH" "/auth/settings" => auth::import;
    Required read "POST" "/auth/challenge/resolve" => auth::resolve_challenge;
    None read "GET" "/auth/totp/code" => auth::totp_code;
    Required read "GET" "/account" => auth::account;

    Required read "GET" "/user" => people::user;
    Required read "GET" "/user/followers" => people::followers;
    Required read "GET" "/user/following" => people::following;
    Required read "GET" "/user/friendship" => people::friendship;
    Required read "GET" "/user/friendships" => people::friendships;
    Required read "GET" "/search/users" => people::search;
    Required write "POST" "/user/follow" => people::follow;
    Required write "DELETE" "/user/follow" => people::unfollow;
    Required write "DELETE" "/user/follower" => people::remove_follower;

    Required read "GET" "/search/places" => discovery::search_places;
    Required read "GET" "/hashtag" => discovery::hashtag;
    Required read "GET" "/hashtag/media/top" => discovery::hashtag_top;
    Required read "GET" "/hashtag/media/recent" => discovery::hashtag_recent;
    Required read "GET" "/location" => discovery::location;
    Required read "GET" "/location/media/top" => discovery::location_top;
    Required read "GET" "/location/media/recent" => discovery::location_recent;

    Required read "GET" "/user/posts" => media::user_posts;
    Required read "GET" "/media" => media::media;
    Required read "GET" "/media/likers" => media::likers;
    Required read "GET" "/media/comments" => media::comments;
    Required write "POST" "/media/like" => media::like;
    Required write "DELETE" "/media/like" => media::unlike;
    Required write "POST" "/media/comment" => media::comment;
    Required write "DELETE" "/media/comment" => media::delete_comment;

    Required read "GET" "/user/stories" => story::user_stories;
    Required read "GET" "/story" => story::story;
    Required write "PATCH" "/story/seen" => story::seen;
    Required write "POST" "/story/like" => story::like;
    Required write "DELETE" "/story/like" => story::unlike;

    Required read "GET" "/direct/inbox" => direct::inbox;
    Required read "GET" "/direct/threads" => direct::threads;
    Required read "GET" "/direct/thread" => direct::thread;
    Required read "GET" "/direct/messages" => direct::messages;
    Required read "GET" "/direct/thread/by/participants" => direct::by_participants;
    Required write "POST" "/direct/message" => direct::send;
    Required write "POST" "/direct/thread/message" => direct::send_to_thread;
    Required write "DELETE" "/direct/message" => direct::delete;
}

/// A page of the gateway's.
#[derive(Serialize)]
struct PageShape<T> {
    items: Vec<T>,
    next_cursor: String,
}

const CURSOR_MARK: &str = "QVFE";

/// Where a page begins; the cursor is opaque to clients, so it must be one that was given out.
fn page_start(params: &Params) -> Result<usize, Refusal> {
    match params.text("cursor") {
        None | Some("") => Ok(0),
        Some(cursor) => cursor
            .strip_prefix(CURSOR_MARK)
            .and_then(|offset| usize::from_str_radix(offset, 16).ok())
            .ok_or_else(|| Refusal::named("WrongCursorError")),
    }
}

/// The items from `start` on, and the cursor of what follows.
fn page<T, S: Serialize>(items: &[T], start: usize, amount: usize, shape: impl Fn(&T) -> S) -> Reply {
    let items_left = items.get(start..).unwrap_or_default();
    let shown: Vec<S> = items_left.iter().take(amount).map(shape).collect();
    let next_cursor = if items_left.len() > shown.len() {
        format!("{CURSOR_MARK}{:08x}", start + shown.len())
    } else {
        String::new()
    };
    Reply::ok(&PageShape { items: shown, next_cursor })
}
