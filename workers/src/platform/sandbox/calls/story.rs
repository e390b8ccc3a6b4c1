//! Stories: looking at them, and liking them. Both can be repeated without harm.

use serde_json::Value;

use super::Answer;
use crate::platform::sandbox::{
    params::Params,
    reply::{Refusal, Reply},
    shapes,
    state::{Asking, State},
    world::Effect,
};

pub(super) fn user_stories(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let owner = state.account_named(params.required("user_id")?).ok_or_else(|| Refusal::named("UserNotFound"))?;
    if !state.world.can_see(asking.account()?, owner) {
        return Err(Refusal::named("PrivateAccount"));
    }
    let limit = params.integer::<usize>("amount")?.filter(|amount| *amount > 0).unwrap_or(usize::MAX);
    let stories: Vec<Value> = state
        .world
        .stories_of(owner, asking.now)
        .into_iter()
        .take(limit)
        .map(|story| shapes::story(&state.world, story))
        .collect();
    Ok(Reply::ok(&stories))
}

/// Unless told otherwise it answers from the cache of all accounts.
pub(super) fn story(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let (name, value) = params.exactly_one(&["story_pk", "url"])?;
    let pk: u64 = match name {
        "story_pk" => params.parsed("story_pk", value)?,
        _ => value
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .and_then(|pk| pk.parse().ok())
            .ok_or_else(|| Refusal::named("StoryNotFound"))?,
    };
    let key = format!("story {pk}");
    if params.flag("use_cache", true)?
        && let Some(cached) = state.cache.get(&key)
    {
        return Ok(cached.clone());
    }
    let account = asking.account()?;
    let story = state
        .world
        .stories
        .get(&pk)
        .filter(|story| story.taken_at <= asking.now && state.world.can_see(account, story.owner))
        .ok_or_else(|| Refusal::named("StoryNotFound"))?;
    let reply = Reply::ok(&shapes::story(&state.world, story));
    state.cache.insert(key, reply.clone());
    Ok(reply)
}

/// One entry of the ledger for each story.
pub(super) fn seen(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    params.required("story_pks")?;
    for story in params.integers("story_pks")? {
        state.write(asking, Effect::SeeStory { story })?;
    }
    Ok(Reply::ok(&true))
}

fn story_pk(params: &Params) -> Result<u64, Refusal> {
    let id = params.required("story_id")?;
    id.split('_').next().and_then(|pk| pk.parse().ok()).ok_or_else(|| Refusal::named("InvalidMediaId"))
}

pub(super) fn like(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let story = story_pk(params)?;
    state.write(asking, Effect::LikeStory { story })?;
    Ok(Reply::ok(&true))
}

pub(super) fn unlike(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let story = story_pk(params)?;
    state.write(asking, Effect::UnlikeStory { story })?;
    Ok(Reply::ok(&true))
}
