//! People, and how they stand to each other.

use serde_json::Value;

use super::{Answer, page, page_start};
use crate::platform::sandbox::{
    params::Params,
    reply::{Refusal, Reply},
    shapes,
    state::{Asking, State},
    world::{Effect, Person},
};

/// As many people come with each upstream page.
const UPSTREAM_PAGE: usize = 10;
const MOST_FOUND: usize = 30;

fn person<'a>(state: &'a State, pk: &str) -> Result<&'a Person, Refusal> {
    pk.trim().parse().ok().and_then(|pk| state.world.person(pk)).ok_or_else(|| Refusal::named("UserNotFound"))
}

pub(super) fn user(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let (name, value) = params.exactly_one(&["user_id", "username"])?;
    let person = match name {
        "username" => state
            .world
            .person_named(value.trim().trim_start_matches('@'))
            .ok_or_else(|| Refusal::named("UserNotFound"))?,
        _ => person(state, value)?,
    };
    Ok(Reply::ok(&shapes::user(&state.world, person, asking.now)))
}

pub(super) fn followers(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let whom = person(state, params.required("user_id")?)?.pk;
    let people = state.world.followers_of(whom);
    people_page(state, asking, params, whom, &people)
}

pub(super) fn following(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let who = person(state, params.required("user_id")?)?.pk;
    let people = state.world.following_of(who);
    people_page(state, asking, params, who, &people)
}

/// The library asks for whole pages until it has enough, so more than asked for can come.
fn people_page(state: &State, asking: &Asking, params: &Params, owner: u64, people: &[u64]) -> Answer {
    let amount = params.amount(50)?.next_multiple_of(UPSTREAM_PAGE);
    let start = page_start(params)?;
    if !state.world.can_see(asking.account()?, owner) {
        return Err(Refusal::named("PrivateAccount"));
    }
    Ok(page(people, start, amount, |pk| shapes::user_short(&state.world, *pk)))
}

pub(super) fn friendship(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let person = person(state, params.required("user_id")?)?;
    Ok(Reply::ok(&shapes::relationship(&state.world, asking.account()?, person)))
}

pub(super) fn friendships(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let account = asking.account()?;
    params.required("user_ids")?;
    let answers: Vec<Value> = params
        .texts("user_ids")
        .iter()
        .filter_map(|pk| person(state, pk).ok())
        .map(|person| shapes::relationship_short(&state.world, account, person))
        .collect();
    Ok(Reply::ok(&answers))
}

pub(super) fn search(state: &mut State, _: &Asking, params: &Params) -> Answer {
    let query = params.required("query")?.to_lowercase();
    let found: Vec<Value> = state
        .world
        .people
        .values()
        .filter(|person| person.username.contains(&query) || person.full_name.to_lowercase().contains(&query))
        .take(MOST_FOUND)
        .map(|person| shapes::user_short(&state.world, person.pk))
        .collect();
    Ok(Reply::ok(&found))
}

/// Says whether the account follows now: `false` for a private person, who was only asked.
pub(super) fn follow(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let user = params.required_integer("user_id")?;
    state.write(asking, Effect::Follow { user })?;
    Ok(Reply::ok(&state.world.follows(asking.account()?, user)))
}

pub(super) fn unfollow(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let user = params.required_integer("user_id")?;
    state.write(asking, Effect::Unfollow { user })?;
    Ok(Reply::ok(&true))
}

pub(super) fn remove_follower(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let user = params.required_integer("user_id")?;
    state.write(asking, Effect::RemoveFollower { user })?;
    Ok(Reply::ok(&true))
}
