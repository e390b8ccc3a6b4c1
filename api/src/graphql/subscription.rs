//! What is told as it happens: a bot's events, without gap or double, and the bot itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Result, SimpleObject, Subscription as GraphqlSubscription};
use domain::ids::BotId;
use futures_util::stream::{self, Stream};
use store::event::StoredEvent;
use store::repository::DEFAULT_SHARD;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::bot::Bot;
use super::connection::Cursor;
use super::error::{caller, coded, fault};
use super::event::{BotEvent, EventKey};
use crate::code::Code;
use crate::deps::Services;
use crate::http::Problem;

const PAGE: i64 = 100;
/// Nothing is looked for more often than this, however many commits there are.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Without a wake-up, the log is looked at this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A bot's event with its cursor.
#[derive(SimpleObject)]
pub struct BotEventMessage {
    /// Names the place after this event; a later subscription goes on there.
    cursor: String,
    /// What happened.
    node: BotEvent,
}

/// Everything that is told as it happens.
#[derive(Default)]
pub struct Subscription;

/// Everything that is told as it happens, over a WebSocket with the protocol `graphql-transport-ws`.
#[GraphqlSubscription]
impl Subscription {
    /// The events of the caller's bot, in order, each once: those after `after`, then new ones as they happen. Whoever
    /// was cut off goes on with the last cursor that they saw.
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A cursor of `bot.events` or of this subscription; only new events when it is left out")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = Result<BotEventMessage>> + use<>> {
        let (services, bot_id) = own(ctx)?;
        let bot = Bot::load(&services, bot_id).await?;
        let sequence = match after {
            Some(after) => Cursor::key::<EventKey>(&after)?.sequence,
            None => bot.sequence,
        };
        if !(0..=bot.sequence).contains(&sequence) {
            return Err(coded(Code::InvalidCursor, "this cursor is none of this bot's events"));
        }
        Ok(stream::unfold(Some(Follower::new(services, bot_id, sequence)), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(event) => Some((Ok(message(event)), Some(follower))),
                // The last word: whoever listens comes back with the cursor.
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// The caller's bot: as it is now, and again after each change. Changes in quick succession are told as one.
    async fn bot(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Result<Bot>> + use<>> {
        let (services, bot_id) = own(ctx)?;
        Ok(stream::unfold(Some(Watcher::new(services, bot_id)), |watcher| async {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(bot) => Some((Ok(bot), Some(watcher))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

fn own(ctx: &Context<'_>) -> Result<(Arc<Services>, BotId)> {
    let services = ctx.data::<Arc<Services>>().map_err(|_| fault(Problem::internal()))?;
    Ok((Arc::clone(services), BotId::of(caller(ctx)?.session.user_id)))
}

fn message(event: StoredEvent) -> BotEventMessage {
    let cursor = async_graphql::connection::CursorType::encode_cursor(&Cursor::of(&EventKey::of(&event)));
    BotEventMessage { cursor, node: BotEvent(event) }
}

/// Waits for commits, but never long and never without a pause.
struct Commits(watch::Receiver<i64>);

impl Commits {
    fn new(services: &Services) -> Self {
        Self(services.deps.wakeup.subscribe(DEFAULT_SHARD))
    }

    async fn wait(&mut self) {
        // A lost wake-up, or one that cannot come any more, only costs time.
        let ended = matches!(timeout(LONGEST_PAUSE, self.0.changed()).await, Ok(Err(_)));
        sleep(if ended { LONGEST_PAUSE } else { SHORTEST_PAUSE }).await;
    }
}

/// Reads a bot's stream, event by event.
struct Follower {
    services: Arc<Services>,
    bot_id: String,
    sequence: i64,
    read: VecDeque<StoredEvent>,
    commits: Commits,
}

impl Follower {
    fn new(services: Arc<Services>, bot_id: BotId, sequence: i64) -> Self {
        let commits = Commits::new(&services);
        Self { services, bot_id: bot_id.to_string(), sequence, read: VecDeque::new(), commits }
    }

    async fn next(&mut self) -> Result<StoredEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                if event.sequence != self.sequence + 1 {
                    tracing::error!(bot.id = self.bot_id, sequence = self.sequence + 1, "an event is missing");
                    return Err(fault(Problem::internal()));
                }
                self.sequence = event.sequence;
                return Ok(event);
            }
            let repository = self.services.deps.bus.repository();
            self.read = repository.stream("Bot", &self.bot_id, self.sequence, PAGE).await.map_err(fault)?.into();
            if self.read.is_empty() {
                self.commits.wait().await;
            }
        }
    }
}

/// Loads a bot whenever it has changed.
struct Watcher {
    services: Arc<Services>,
    bot_id: BotId,
    shown: Option<i64>,
    commits: Commits,
}

impl Watcher {
    fn new(services: Arc<Services>, bot_id: BotId) -> Self {
        let commits = Commits::new(&services);
        Self { services, bot_id, shown: None, commits }
    }

    async fn next(&mut self) -> Result<Bot> {
        loop {
            let bot = Bot::load(&self.services, self.bot_id).await?;
            if self.shown != Some(bot.sequence) {
                self.shown = Some(bot.sequence);
                return Ok(bot);
            }
            self.commits.wait().await;
        }
    }
}
