//! What is told as it happens: the events of a bot or of a job, without gap or double, and the bot and the job themselves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Error, ID, Result, SimpleObject, Subscription as GraphqlSubscription};
use domain::ids::{BotId, JobId};
use futures_util::stream::{self, Stream, StreamExt};
use store::event::StoredEvent;
use store::repository::DEFAULT_SHARD;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::bot::Bot;
use super::connection::Cursor;
use super::error::{caller, coded, fault};
use super::event::{BotEvent, EventKey};
use super::job::{self, Job, job_id};
use super::job_history::JobEvent;
use crate::code::Code;
use crate::deps::Services;
use crate::http::{Caller, Problem};

const BOT_STREAM: &str = "Bot";
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

/// An event of a job with its cursor.
#[derive(SimpleObject)]
pub struct JobEventMessage {
    /// Names the place after this event; a later subscription goes on there.
    cursor: String,
    /// What happened.
    node: JobEvent,
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
        let follower = Follower::new(services, BOT_STREAM, bot_id.to_string(), sequence);
        Ok(told(follower).map(|event| event.map(message)))
    }

    /// The caller's bot: as it is now, and again after each change. Changes in quick succession are told as one.
    async fn bot(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Result<Bot>> + use<>> {
        let (services, bot_id) = own(ctx)?;
        Ok(told(Watcher::new(services, bot_id)))
    }

    /// What happens to a job, in order, each event once: those after `after`, then new ones as they happen. Whoever was
    /// cut off goes on with the last cursor that they saw. A job that is over may be retried, so it goes on after an end.
    async fn job_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global id of the job")] job_id: ID,
        #[graphql(desc = "A cursor of `Job.history` or of this subscription; only new events when it is left out")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = Result<JobEventMessage>> + use<>> {
        let watcher = JobWatcher::of(ctx, &job_id)?;
        let job = watcher.load().await?;
        let (is_own, last) = (job.is_own(), job.view.last_sequence);
        let sequence = match after {
            Some(after) => Cursor::key::<i64>(&after)?,
            None => last,
        };
        if !(0..=last).contains(&sequence) {
            return Err(coded(Code::InvalidCursor, "this cursor is none of this job's history"));
        }
        let follower = Follower::new(watcher.services, job::STREAM, watcher.id.to_string(), sequence);
        let message = move |event: StoredEvent| JobEventMessage {
            cursor: cursor(&event.sequence),
            node: JobEvent { event, is_own },
        };
        Ok(told(follower).map(move |event| event.map(message)))
    }

    /// A job: as it is now, and again after each change. Changes in quick succession are told as one.
    async fn job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global id of the job")] id: ID,
    ) -> Result<impl Stream<Item = Result<Job>> + use<>> {
        let watcher = JobWatcher::of(ctx, &id)?;
        watcher.load().await?;
        Ok(told(watcher))
    }
}

/// Says one thing after the other, as it happens.
trait Teller: Send {
    type News: Send;

    /// Waits for the next.
    fn next(&mut self) -> impl Future<Output = Result<Self::News>> + Send;
}

/// What a teller says, until it says an error: that is the last word, and whoever listens comes back.
fn told<T: Teller>(teller: T) -> impl Stream<Item = Result<T::News>> {
    stream::unfold(Some(teller), |teller| async {
        let mut teller = teller?;
        match teller.next().await {
            Ok(news) => Some((Ok(news), Some(teller))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

fn cursor<Key: serde::Serialize>(key: &Key) -> String {
    async_graphql::connection::CursorType::encode_cursor(&Cursor::of(key))
}

fn own(ctx: &Context<'_>) -> Result<(Arc<Services>, BotId)> {
    let services = ctx.data::<Arc<Services>>().map_err(|_| fault(Problem::internal()))?;
    Ok((Arc::clone(services), BotId::of(caller(ctx)?.session.user_id)))
}

fn message(event: StoredEvent) -> BotEventMessage {
    BotEventMessage { cursor: cursor(&EventKey::of(&event)), node: BotEvent(event) }
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

/// Reads a stream, event by event.
struct Follower {
    services: Arc<Services>,
    stream: &'static str,
    id: String,
    sequence: i64,
    read: VecDeque<StoredEvent>,
    commits: Commits,
}

impl Follower {
    fn new(services: Arc<Services>, stream: &'static str, id: String, sequence: i64) -> Self {
        let commits = Commits::new(&services);
        Self { services, stream, id, sequence, read: VecDeque::new(), commits }
    }
}

impl Teller for Follower {
    type News = StoredEvent;

    async fn next(&mut self) -> Result<StoredEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                if event.sequence != self.sequence + 1 {
                    tracing::error!(
                        stream = self.stream,
                        id = self.id,
                        sequence = self.sequence + 1,
                        "an event is missing"
                    );
                    return Err(fault(Problem::internal()));
                }
                self.sequence = event.sequence;
                return Ok(event);
            }
            let repository = self.services.deps.bus.repository();
            self.read = repository.stream(self.stream, &self.id, self.sequence, PAGE).await.map_err(fault)?.into();
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
}

impl Teller for Watcher {
    type News = Bot;

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

/// Loads a job whenever it has changed, for as long as whoever listens may see it.
struct JobWatcher {
    services: Arc<Services>,
    caller: Caller,
    id: JobId,
    shown: Option<i64>,
    commits: Commits,
}

impl JobWatcher {
    fn of(ctx: &Context<'_>, id: &ID) -> Result<Self> {
        let (services, _) = own(ctx)?;
        let commits = Commits::new(&services);
        let id = job_id(id).ok_or_else(no_job)?;
        Ok(Self { services, caller: caller(ctx)?.clone(), id, shown: None, commits })
    }

    async fn load(&self) -> Result<Job> {
        Job::load(&self.services, &self.caller, self.id).await?.ok_or_else(no_job)
    }
}

impl Teller for JobWatcher {
    type News = Job;

    async fn next(&mut self) -> Result<Job> {
        loop {
            let job = self.load().await?;
            if self.shown != Some(job.view.last_sequence) {
                self.shown = Some(job.view.last_sequence);
                return Ok(job);
            }
            self.commits.wait().await;
        }
    }
}

fn no_job() -> Error {
    coded(Code::NotFound, "there is no such job")
}
