//! Sources of targets: hashtags and places.

use serde_json::Value;

use super::{Answer, page, page_start};
use crate::platform::sandbox::{
    params::Params,
    reply::{Refusal, Reply},
    shapes,
    state::{Asking, State},
    world::{Place, Post, World},
};

/// The platform's own page of a place, whatever was asked for.
const LOCATION_PAGE: usize = 21;

fn known_hashtag(name: &str) -> Result<&'static str, Refusal> {
    World::hashtags()
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(name.trim()))
        .ok_or_else(|| Refusal::named("HashtagNotFound"))
}

fn known_place<'a>(state: &'a State, params: &Params) -> Result<&'a Place, Refusal> {
    let pk = params.required_integer("location_pk")?;
    state.world.places.get(&pk).ok_or_else(|| Refusal::named("LocationNotFound"))
}

pub(super) fn hashtag(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let name = known_hashtag(params.required("name")?)?;
    let count = state.world.posts_where(asking.account()?, asking.now, |post| post.hashtags.contains(name)).len();
    Ok(Reply::ok(&shapes::hashtag(name, count)))
}

pub(super) fn hashtag_top(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    hashtag_medias(state, asking, params, 9, true)
}

pub(super) fn hashtag_recent(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    hashtag_medias(state, asking, params, 27, false)
}

fn hashtag_medias(state: &State, asking: &Asking, params: &Params, amount: usize, top: bool) -> Answer {
    let name = params.required("name")?;
    let amount = params.amount(amount)?;
    let start = page_start(params)?;
    let name = known_hashtag(name)?;
    let account = asking.account()?;
    let posts = state.world.posts_where(account, asking.now, |post| post.hashtags.contains(name));
    Ok(page(&ordered(posts, top), start, amount, |post| shapes::media(&state.world, post, account)))
}

pub(super) fn location(state: &mut State, _: &Asking, params: &Params) -> Answer {
    Ok(Reply::ok(&shapes::location(known_place(state, params)?)))
}

pub(super) fn location_top(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    location_medias(state, asking, params, true)
}

pub(super) fn location_recent(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    location_medias(state, asking, params, false)
}

/// `amount` is checked, and ignored.
fn location_medias(state: &State, asking: &Asking, params: &Params, top: bool) -> Answer {
    params.amount(LOCATION_PAGE)?;
    let start = page_start(params)?;
    let place = known_place(state, params)?.pk;
    let account = asking.account()?;
    let posts = state.world.posts_where(account, asking.now, |post| post.place == Some(place));
    Ok(page(&ordered(posts, top), start, LOCATION_PAGE, |post| shapes::media(&state.world, post, account)))
}

fn ordered(mut posts: Vec<&Post>, top: bool) -> Vec<&Post> {
    if top {
        // Not by likes of the world's own people, which change while a client turns pages.
        posts.sort_by_key(|post| (std::cmp::Reverse(post.distant_likes), post.pk));
    }
    posts
}

pub(super) fn search_places(state: &mut State, _: &Asking, params: &Params) -> Answer {
    let query = params.required("query")?.to_lowercase();
    let lat = params.float("lat", 40.74)?;
    let lng = params.float("lng", -73.94)?;
    let mut found: Vec<&Place> = state
        .world
        .places
        .values()
        .filter(|place| place.name.to_lowercase().contains(&query) || place.city.to_lowercase().contains(&query))
        .collect();
    let distance = |place: &Place| (place.lat - lat).hypot(place.lng - lng);
    found.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
    let found: Vec<Value> = found.into_iter().map(shapes::location).collect();
    Ok(Reply::ok(&found))
}
