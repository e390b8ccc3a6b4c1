//! Whom the bots of a play have met and followed, by its log: what the read model of actions answers, without a database.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::bot::{ActionKind, Bot, BotEvent, Mode, Settlement, person_of};
use domain::ids::{ActionId, BotId};
use projections::actions::people::{Follows, Since};
use store::event::RawEvent;
use store::repository::{DEFAULT_SHARD, EventRepository};

use super::repository::FaultyRepository;
use crate::acquaintances::Acquaintances;
use crate::fault::Fault;

/// By the log of one simulation.
pub(super) struct Remembered {
    repository: Arc<FaultyRepository>,
    memory: Mutex<Memory>,
}

/// Every action so far.
#[derive(Default)]
struct Memory {
    position: i64,
    actions: BTreeMap<ActionId, Deed>,
}

/// One action.
struct Deed {
    bot: String,
    kind: ActionKind,
    target: String,
    mode: Mode,
    at: DateTime<Utc>,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Done,
    NotDone,
    /// Open or in doubt.
    Unknown,
}

impl Remembered {
    pub(super) fn new(repository: Arc<FaultyRepository>) -> Self {
        Self { repository, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on to the end of the log.
    async fn catch_up(&self) -> Result<MutexGuard<'_, Memory>, Fault> {
        let after = self.memory().position;
        let news = self.repository.raw_read(DEFAULT_SHARD, after, i64::MAX).await?;
        let mut memory = self.memory();
        for raw in news {
            memory.take(&raw);
        }
        Ok(memory)
    }
}

impl Memory {
    fn take(&mut self, raw: &RawEvent) {
        if raw.position <= self.position {
            return;
        }
        self.position = raw.position;
        if raw.aggregate_type != Bot::TYPE {
            return;
        }
        match serde_json::from_str(&raw.payload) {
            Ok(BotEvent::ActionReserved { action_id, kind, target, mode, at, .. }) => {
                let bot = raw.aggregate_id.clone();
                self.actions.insert(action_id, Deed { bot, kind, target, mode, at, status: Status::Unknown });
            }
            Ok(BotEvent::ActionPerformed { action_id, .. }) => self.settle(action_id, Status::Done),
            Ok(
                BotEvent::ActionSimulated { action_id, .. }
                | BotEvent::ActionRefused { action_id, .. }
                | BotEvent::ActionFailed { action_id, .. },
            ) => self.settle(action_id, Status::NotDone),
            Ok(BotEvent::ActionReconciled { action_id, settlement, .. }) => {
                let is_done = settlement == Settlement::Performed;
                self.settle(action_id, if is_done { Status::Done } else { Status::NotDone });
            }
            _ => {}
        }
    }

    fn settle(&mut self, action: ActionId, status: Status) {
        if let Some(deed) = self.actions.get_mut(&action) {
            deed.status = status;
        }
    }

    /// What a bot did in earnest.
    fn of(&self, bot: BotId) -> impl Iterator<Item = &Deed> {
        let bot = bot.to_string();
        self.actions.values().filter(move |deed| deed.bot == bot && deed.mode == Mode::Live)
    }
}

impl Deed {
    fn person(&self) -> &str {
        person_of(self.kind, &self.target).unwrap_or_default()
    }
}

#[async_trait]
impl Acquaintances for Remembered {
    async fn met(&self, bot: BotId, people: &[String]) -> Result<HashMap<String, DateTime<Utc>>, Fault> {
        let memory = self.catch_up().await?;
        let mut met: HashMap<String, DateTime<Utc>> = HashMap::new();
        for deed in memory.of(bot).filter(|deed| deed.status != Status::NotDone) {
            if people.iter().any(|person| person == deed.person()) {
                let last = met.entry(deed.person().to_owned()).or_insert(deed.at);
                *last = deed.at.max(*last);
            }
        }
        Ok(met)
    }

    async fn begun(&self, actions: &[ActionId]) -> Result<HashSet<ActionId>, Fault> {
        let memory = self.catch_up().await?;
        Ok(actions.iter().copied().filter(|action| memory.actions.contains_key(action)).collect())
    }

    async fn followed(&self, bot: BotId, asked: Follows<'_>) -> Result<Vec<Since>, Fault> {
        let memory = self.catch_up().await?;
        let mut last: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for follow in memory.of(bot).filter(|deed| deed.kind == ActionKind::Follow && deed.status == Status::Done) {
            let is_undone = memory.of(bot).any(|deed| {
                let undoes = deed.kind == ActionKind::Unfollow && deed.status != Status::NotDone;
                undoes && deed.target == follow.target && deed.at >= follow.at
            });
            let is_asked = asked.people.is_none_or(|people| people.contains(&follow.target));
            if !is_undone && is_asked {
                let at = last.entry(&follow.target).or_insert(follow.at);
                *at = follow.at.max(*at);
            }
        }
        let mut follows: Vec<Since> =
            last.into_iter().map(|(person, at)| Since { person: person.to_owned(), at }).collect();
        follows.sort_by(|one, other| (one.at, &one.person).cmp(&(other.at, &other.person)));
        follows.retain(|since| asked.until.is_none_or(|until| since.at <= until));
        if let Some(after) = &asked.after {
            follows.retain(|since| (since.at, &since.person) > (after.at, &after.person));
        }
        follows.truncate(usize::try_from(asked.limit).unwrap_or_default());
        Ok(follows)
    }
}
