//! Whom a bot has met and followed, by its own books. Reads only; what may be done is decided elsewhere.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{ActionId, BotId};
use projections::actions::people::{self, Follows, Since};
use sqlx::PgPool;
use store::StoreError;

use crate::fault::Fault;

/// What is known of people from earlier actions of a bot.
#[async_trait]
pub(crate) trait Acquaintances: Send + Sync {
    /// When anything was last done to each of `people`.
    async fn met(&self, bot: BotId, people: &[String]) -> Result<HashMap<String, DateTime<Utc>>, Fault>;

    /// Which of `actions` were begun before, by whatever run.
    async fn begun(&self, actions: &[ActionId]) -> Result<HashSet<ActionId>, Fault>;

    /// Whom the bot followed and has not unfollowed, the longest ago first.
    async fn followed(&self, bot: BotId, asked: Follows<'_>) -> Result<Vec<Since>, Fault>;
}

/// By the read model of actions.
pub(crate) struct Recorded(pub(crate) PgPool);

fn broken(error: sqlx::Error) -> Fault {
    StoreError::from(error).into()
}

#[async_trait]
impl Acquaintances for Recorded {
    async fn met(&self, bot: BotId, people: &[String]) -> Result<HashMap<String, DateTime<Utc>>, Fault> {
        let met = people::met(&self.0, bot, people).await.map_err(broken)?;
        Ok(met.into_iter().map(|since| (since.person, since.at)).collect())
    }

    async fn begun(&self, actions: &[ActionId]) -> Result<HashSet<ActionId>, Fault> {
        Ok(people::reserved(&self.0, actions).await.map_err(broken)?.into_iter().collect())
    }

    async fn followed(&self, bot: BotId, asked: Follows<'_>) -> Result<Vec<Since>, Fault> {
        people::followed(&self.0, bot, &asked).await.map_err(broken)
    }
}

/// Nobody is known: where there is no read model, the bot alone says what was done.
pub(crate) struct Strangers;

#[async_trait]
impl Acquaintances for Strangers {
    async fn met(&self, _: BotId, _: &[String]) -> Result<HashMap<String, DateTime<Utc>>, Fault> {
        Ok(HashMap::new())
    }

    async fn begun(&self, _: &[ActionId]) -> Result<HashSet<ActionId>, Fault> {
        Ok(HashSet::new())
    }

    async fn followed(&self, _: BotId, _: Follows<'_>) -> Result<Vec<Since>, Fault> {
        Ok(Vec::new())
    }
}
