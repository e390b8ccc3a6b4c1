//! How much the engine does at a time: one row that every process follows, changed while jobs run.
//!
//! What a change means for what runs is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::BotId;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{Executor, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;

/// How often a process looks whether something was changed.
const POLL: Duration = Duration::from_secs(1);

/// What can be set. Stored: a field is added with a default, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineSettings {
    /// Most jobs that run at a time in a process.
    pub max_running: u32,
    /// Most jobs of a bot that run at a time.
    pub max_running_per_bot: u32,
    /// No process takes up a job; with the reason.
    pub paused: Option<String>,
    /// Most requests to the gateway in a minute of real time, for each process; `None`: no limit.
    pub requests_per_minute: Option<u32>,
    /// What differs for single bots.
    pub bots: BTreeMap<BotId, BotSettings>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_running: 512,
            max_running_per_bot: 64,
            paused: None,
            requests_per_minute: None,
            bots: BTreeMap::new(),
        }
    }
}

/// What differs for one bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BotSettings {
    pub max_running: Option<u32>,
    /// How many jobs it may begin when it is its turn; 1 by itself.
    pub weight: Option<u32>,
    /// No job of it is taken up; with the reason.
    pub paused: Option<String>,
}

impl BotSettings {
    /// Whether it says nothing that differs.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The settings as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    pub revision: i64,
    pub settings: EngineSettings,
    /// `None`: nobody has changed anything.
    pub updated_at: Option<DateTime<Utc>>,
    pub updated_by: String,
}

type Row = (i64, Json<EngineSettings>, Option<DateTime<Utc>>, String);

impl From<Row> for StoredSettings {
    fn from((revision, Json(settings), updated_at, updated_by): Row) -> Self {
        Self { revision, settings, updated_at, updated_by }
    }
}

const SELECT: &str = "
    SELECT revision, settings, CASE WHEN isfinite(updated_at) THEN updated_at END, updated_by
      FROM engine_settings";

/// The settings as they are now.
pub async fn load(pool: &PgPool) -> Result<StoredSettings, StoreError> {
    let row: Row = sqlx::query_as(SELECT).fetch_one(pool).await?;
    Ok(row.into())
}

/// Changes the settings; changes come one after the other.
pub async fn change(
    pool: &PgPool,
    by: &str,
    at: DateTime<Utc>,
    change: impl FnOnce(&mut EngineSettings) + Send,
) -> Result<StoredSettings, StoreError> {
    let mut tx = pool.begin().await?;
    let row: Row = sqlx::query_as(&format!("{SELECT} FOR UPDATE")).fetch_one(&mut *tx).await?;
    let mut stored = StoredSettings::from(row);
    change(&mut stored.settings);
    stored.settings.bots.retain(|_, bot| !bot.is_usual());
    stored.revision += 1;
    stored.updated_at = Some(at);
    by.clone_into(&mut stored.updated_by);
    let update = sqlx::query(
        "UPDATE engine_settings
            SET revision = $1,
                settings = $2,
                updated_at = $3,
                updated_by = $4",
    );
    let update = update.bind(stored.revision).bind(Json(&stored.settings)).bind(at).bind(by);
    (&mut *tx).execute(update).await?;
    tx.commit().await?;
    Ok(stored)
}

/// The settings, followed from now on until `stop`: the future has to run. While the database is away the last ones stand.
pub fn follow(
    pool: PgPool,
    stop: CancellationToken,
) -> (watch::Receiver<Arc<EngineSettings>>, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(Arc::new(EngineSettings::default()));
    let following = async move {
        let mut known = None;
        loop {
            match load(&pool).await {
                Ok(stored) if known != Some(stored.revision) => {
                    known = Some(stored.revision);
                    tracing::info!(revision = stored.revision, by = stored.updated_by, "the engine's settings");
                    sender.send_replace(Arc::new(stored.settings));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(code = error.code(), %error, "the engine's settings cannot be read; the last stand");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    };
    (receiver, following)
}
