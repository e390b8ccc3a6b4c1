//! What a process asks for when it takes bots over: a proof of the session of each that runs, and an answer for each action
//! that is open. The read models are only a hint of where to look; whoever is asked looks at the bot itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::bot::BotState;
use domain::ids::{ActionId, BotId, derive, partition_of};
use domain::metadata::Actor;
use projections::page::{Order, PageRequest};
use projections::reactor::work::Work;
use projections::{actions, bot_status};
use store::command_queue::{NewCommand, QueueError};
use uuid::Uuid;

use crate::engine::Engine;

/// Bots and actions that are looked at at a time.
const PAGE: u32 = 500;
/// Failures that count.
const MAX_ATTEMPTS: i32 = 10;

/// Asks for the proof of the session of every running bot of `partitions`, once for each hold.
pub(crate) async fn check_sessions(engine: &Arc<Engine>, partitions: &[i32], epoch: i64) -> Result<(), QueueError> {
    let mut request = PageRequest::first(PAGE, Order::OldestFirst);
    loop {
        let page = bot_status::list(&engine.pool, Some(BotState::Running), &request).await?;
        let ours = page.items.iter().filter(|bot| partitions.contains(&partition_of(bot.bot_id)));
        let commands: Vec<NewCommand> = ours
            .map(|bot| {
                let key = format!("check:{}:{epoch}", bot.bot_id);
                command(engine, bot.bot_id, &Work::TestConnection {}, key, engine.hands.now())
            })
            .collect();
        engine.queue.enqueue(&commands).await?;
        match page.items.last().filter(|_| page.has_more) {
            Some(last) => request = PageRequest::after(last.bot_id, PAGE, Order::OldestFirst),
            None => return Ok(()),
        }
    }
}

/// Asks what became of the actions of `partitions` that have been open since before `before`.
pub(crate) async fn settle_open_actions(
    engine: &Arc<Engine>,
    partitions: &[i32],
    before: DateTime<Utc>,
) -> Result<(), QueueError> {
    let mut after = None;
    loop {
        let open = actions::open(&engine.pool, before, after, i64::from(PAGE)).await?;
        let ours = open.iter().filter(|(bot_id, _)| partitions.contains(&partition_of(*bot_id)));
        let commands: Vec<NewCommand> = ours.map(|(bot_id, action)| settle(engine, *bot_id, *action)).collect();
        engine.queue.enqueue(&commands).await?;
        if open.len() < PAGE as usize {
            return Ok(());
        }
        after = open.last().map(|(bot_id, _)| *bot_id);
    }
}

/// One for each hour of the engine: an action can be open for longer than one command looks after it.
fn settle(engine: &Engine, bot_id: BotId, action_id: ActionId) -> NewCommand {
    let now = engine.hands.now();
    let key = format!("sweep:{action_id}:{}", now.timestamp() / 3_600);
    command(engine, bot_id, &Work::SettleAction { action_id }, key, now)
}

fn command(engine: &Engine, bot_id: BotId, work: &Work, key: String, not_before: DateTime<Utc>) -> NewCommand {
    let id: Uuid = derive(&["command", &key]);
    NewCommand {
        id,
        bot_id,
        kind: work.kind().to_owned(),
        payload: work.payload(),
        dedupe_key: Some(key),
        group_key: None,
        priority: work.priority(),
        not_before,
        max_attempts: MAX_ATTEMPTS,
        correlation_id: id,
        causation_id: id,
        actor: Actor::Worker(engine.hands.config.name.clone()).to_string(),
    }
}
