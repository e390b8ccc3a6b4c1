//! Conversations. Several people in one message are one group, not several messages.

use serde_json::{Value, json};

use super::{Answer, page, page_start};
use crate::platform::{
    ThreadId,
    sandbox::{
        params::Params,
        reply::{Refusal, Reply},
        shapes,
        state::{Asking, State},
        world::{Applied, Conversation, Effect},
    },
};

const INBOX_PAGE: usize = 10;

fn conversation<'a>(state: &'a State, asking: &Asking, thread: ThreadId) -> Result<&'a Conversation, Refusal> {
    let account = asking.account()?;
    state
        .world
        .conversations
        .get(&thread)
        .filter(|conversation| conversation.members.contains(&account))
        .ok_or_else(|| Refusal::named("DirectThreadNotFound"))
}

/// `amount` of a list is not limited here.
fn amount(params: &Params) -> Result<usize, Refusal> {
    Ok(params.integer::<usize>("amount")?.filter(|amount| *amount > 0).unwrap_or(20))
}

fn check_filters(params: &Params) -> Result<usize, Refusal> {
    let allowed: [(&str, &[&str]); 2] =
        [("selected_filter", &["", "flagged", "unread"]), ("box", &["", "general", "primary"])];
    for (name, values) in allowed {
        if let Some(value) = params.text(name).filter(|value| !values.contains(value)) {
            return Err(Refusal::field(
                "query",
                name,
                "literal_error",
                "Input should be one of the names",
                Some(value),
            ));
        }
    }
    Ok(params.integer("thread_message_limit")?.unwrap_or(10))
}

pub(super) fn inbox(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let messages = check_filters(params)?;
    let start = page_start(params)?;
    let account = asking.account()?;
    let conversations = state.world.conversations_of(account);
    Ok(page(&conversations, start, INBOX_PAGE, |conversation| {
        shapes::thread(&state.world, conversation, account, messages)
    }))
}

pub(super) fn threads(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let messages = check_filters(params)?;
    let amount = amount(params)?;
    let account = asking.account()?;
    let threads: Vec<_> = state
        .world
        .conversations_of(account)
        .into_iter()
        .take(amount)
        .map(|conversation| shapes::thread(&state.world, conversation, account, messages))
        .collect();
    Ok(Reply::ok(&threads))
}

pub(super) fn thread(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let id = params.required_integer("thread_id")?;
    let amount = amount(params)?;
    let conversation = conversation(state, asking, id)?;
    Ok(Reply::ok(&shapes::thread(&state.world, conversation, asking.account()?, amount)))
}

pub(super) fn messages(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let id = params.required_integer("thread_id")?;
    let amount = amount(params)?;
    Ok(Reply::ok(&shapes::newest(conversation(state, asking, id)?, asking.account()?, amount)))
}

/// Tells about the people only; the library behind the gateway leaves the thread out.
pub(super) fn by_participants(state: &mut State, _: &Asking, params: &Params) -> Answer {
    params.required("user_ids")?;
    let users: Vec<Value> =
        params.integers("user_ids")?.iter().map(|user| shapes::user_short(&state.world, *user)).collect();
    Ok(Reply::ok(&json!({ "users": users })))
}

pub(super) fn send(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let text = params.required("text")?.to_owned();
    let users = params.integers("user_ids")?;
    let threads: Vec<ThreadId> = params
        .texts("thread_ids")
        .iter()
        .map(|thread| params.parsed("thread_ids", thread))
        .collect::<Result<_, _>>()?;
    if users.is_empty() == threads.is_empty() {
        return Err(Refusal::invalid("Provide exactly one of user_ids or thread_ids"));
    }
    if !users.is_empty() {
        let applied = state.write(asking, Effect::MessagePeople { users, text })?;
        return sent(state, asking, &applied);
    }
    let mut answer = Err(Refusal::named("DirectThreadNotFound"));
    for thread in threads {
        let applied = state.write(asking, Effect::MessageThread { thread, text: text.clone() })?;
        answer = sent(state, asking, &applied);
    }
    answer
}

pub(super) fn send_to_thread(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let thread = params.required_integer("thread_id")?;
    let text = params.required("text")?.to_owned();
    let applied = state.write(asking, Effect::MessageThread { thread, text })?;
    sent(state, asking, &applied)
}

fn sent(state: &State, asking: &Asking, applied: &Applied) -> Answer {
    let (thread, id) = applied.message.as_ref().ok_or_else(|| Refusal::named("KeyError"))?;
    let conversation = conversation(state, asking, *thread)?;
    let letter =
        conversation.letters.iter().find(|letter| letter.id == *id).ok_or_else(|| Refusal::named("KeyError"))?;
    Ok(Reply::ok(&shapes::sent_message(*thread, letter, asking.account()?)))
}

pub(super) fn delete(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let thread = params.required_integer("thread_id")?;
    let message = params.required("message_id")?.to_owned();
    state.write(asking, Effect::DeleteMessage { thread, message })?;
    Ok(Reply::ok(&true))
}
