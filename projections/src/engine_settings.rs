//! `engine_settings`: how much the engine does at a time, in the one row that every process follows while jobs run.
//!
//! What a change means for what runs is not decided here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::engine::{EngineEvent, EngineSettings};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, Row};
use store::error::StoreError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::columns;
use crate::error::ProjectionError;
use crate::projection::{LogEvent, Projection};

/// How often a process looks whether something was changed.
const POLL: Duration = Duration::from_secs(1);

/// The projection of `engine_settings`.
#[derive(Debug, Clone, Copy)]
pub struct EngineSettingsRow;

/// The settings as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CurrentSettings {
    /// How often they were changed.
    pub revision: i64,
    pub settings: EngineSettings,
    /// When and by whom the last time; `None`: nobody has changed anything.
    pub updated: Option<(DateTime<Utc>, String)>,
}

#[async_trait]
impl Projection for EngineSettingsRow {
    fn name(&self) -> &'static str {
        "engine_settings"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["engine_settings"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Engine"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Engine(EngineEvent::EngineSettingsChanged { revision, changes, .. }) = &event.event else {
            return Ok(());
        };
        let mut settings = load(&mut *db).await?.settings;
        for change in changes {
            settings.apply(change.clone());
        }
        sqlx::query(
            "INSERT INTO engine_settings (revision, settings, updated_at, updated_by)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (only_one) DO UPDATE
                SET revision = excluded.revision,
                    settings = excluded.settings,
                    updated_at = excluded.updated_at,
                    updated_by = excluded.updated_by",
        )
        .bind(revision)
        .bind(columns::clean(columns::to_json(&settings)?))
        .bind(event.stored.recorded_at)
        .bind(columns::text(&event.metadata()?.actor.to_string()).into_owned())
        .execute(db)
        .await?;
        Ok(())
    }
}

impl FromRow<'_, PgRow> for CurrentSettings {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            revision: row.try_get("revision")?,
            settings: columns::json(row, "settings")?,
            updated: Some((row.try_get("updated_at")?, row.try_get("updated_by")?)),
        })
    }
}

/// The settings as they are now.
pub async fn load(db: impl PgExecutor<'_>) -> Result<CurrentSettings, sqlx::Error> {
    let row = sqlx::query_as("SELECT revision, settings, updated_at, updated_by FROM engine_settings");
    Ok(row.fetch_optional(db).await?.unwrap_or_default())
}

/// The settings as they are now, and followed until `stop`: the future has to run. While the database is away the last
/// ones stand.
pub async fn follow(
    pool: PgPool,
    stop: CancellationToken,
) -> Result<(watch::Receiver<Arc<EngineSettings>>, impl Future<Output = ()> + Send), StoreError> {
    let CurrentSettings { revision, settings, .. } = load(&pool).await?;
    let (sender, receiver) = watch::channel(Arc::new(settings));
    let following = async move {
        let mut known = revision;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            match load(&pool).await {
                Ok(CurrentSettings { revision, settings, .. }) if known != revision => {
                    known = revision;
                    tracing::info!(revision, "the engine's settings were changed");
                    sender.send_replace(Arc::new(settings));
                }
                Ok(_) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the engine's settings cannot be read; the last stand");
                }
            }
        }
    };
    Ok((receiver, following))
}
