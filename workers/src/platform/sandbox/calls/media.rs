//! Media: looking at them, liking them, commenting on them.

use serde_json::Value;

use super::{Answer, page, page_start};
use crate::platform::sandbox::{
    params::Params,
    reply::{Refusal, Reply},
    shapes,
    state::{Asking, State},
    world::{Effect, Post},
};

/// The pk in `{pk}_{owner}` or `{pk}`.
fn media_pk(text: &str) -> Result<u64, Refusal> {
    text.split('_').next().and_then(|pk| pk.parse().ok()).ok_or_else(|| Refusal::named("InvalidMediaId"))
}

fn visible<'a>(state: &'a State, asking: &Asking, pk: u64) -> Result<&'a Post, Refusal> {
    let post = state.world.post(pk, asking.now).ok_or_else(|| Refusal::named("MediaNotFound"))?;
    if state.world.can_see(asking.account()?, post.owner) { Ok(post) } else { Err(Refusal::named("MediaUnavailable")) }
}

pub(super) fn user_posts(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let (_, value) = params.exactly_one(&["user_id", "username"])?;
    let amount = params.amount(50)?;
    let start = page_start(params)?;
    let owner = state.account_named(value.trim().trim_start_matches('@'));
    let owner = owner.ok_or_else(|| Refusal::named("UserNotFound"))?;
    let account = asking.account()?;
    if !state.world.can_see(account, owner) {
        return Err(Refusal::named("PrivateAccount"));
    }
    let posts = state.world.posts_where(account, asking.now, |post| post.owner == owner);
    Ok(page(&posts, start, amount, |post| shapes::media(&state.world, post, account)))
}

/// Unless told otherwise it answers from the cache of all accounts, `has_liked` included.
pub(super) fn media(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let (name, value) = params.exactly_one(&["pk", "id", "code", "url"])?;
    let pk = match name {
        "pk" => params.parsed("pk", value)?,
        "id" => media_pk(value)?,
        _ => {
            let code = value.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            shapes::pk_of_code(code).ok_or_else(|| Refusal::named("MediaNotFound"))?
        }
    };
    let key = format!("media {pk}");
    if params.flag("use_cache", true)?
        && let Some(cached) = state.cache.get(&key)
    {
        return Ok(cached.clone());
    }
    let post = visible(state, asking, pk)?;
    let reply = Reply::ok(&shapes::media(&state.world, post, asking.account()?));
    state.cache.insert(key, reply.clone());
    Ok(reply)
}

pub(super) fn likers(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let post = visible(state, asking, media_pk(params.required("media_id")?)?)?;
    let people: Vec<Value> = post.likers.iter().map(|pk| shapes::user_short(&state.world, *pk)).collect();
    Ok(Reply::ok(&people))
}

pub(super) fn comments(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let media = params.required("media_id")?;
    let amount = params.amount(20)?;
    let start = page_start(params)?;
    let post = visible(state, asking, media_pk(media)?)?;
    let newest: Vec<_> = post.comments.iter().rev().collect();
    Ok(page(&newest, start, amount, |remark| shapes::comment(&state.world, remark)))
}

pub(super) fn like(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let media = media_pk(params.required("media_id")?)?;
    let effect = if params.flag("revert", false)? { Effect::Unlike { media } } else { Effect::Like { media } };
    state.write(asking, effect)?;
    Ok(Reply::ok(&true))
}

pub(super) fn unlike(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let media = media_pk(params.required("media_id")?)?;
    state.write(asking, Effect::Unlike { media })?;
    Ok(Reply::ok(&true))
}

pub(super) fn comment(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let media = media_pk(params.required("media_id")?)?;
    let text = params.required("text")?.to_owned();
    let reply_to = params.integer("replied_to_comment_id")?;
    let applied = state.write(asking, Effect::Comment { media, text, reply_to })?;
    let made = state
        .world
        .posts
        .get(&media)
        .and_then(|post| post.comments.iter().find(|remark| Some(remark.pk) == applied.comment))
        .ok_or_else(|| Refusal::named("KeyError"))?;
    Ok(Reply::ok(&shapes::comment(&state.world, made)))
}

pub(super) fn delete_comment(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let media = media_pk(params.required("media_id")?)?;
    let comment = params.required_integer("comment_pk")?;
    state.write(asking, Effect::DeleteComment { media, comment })?;
    Ok(Reply::ok(&true))
}
