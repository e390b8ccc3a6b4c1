//! The log for a command that reads it, beside a running `reprise up` or without one.

use std::sync::Arc;

use sqlx::PgPool;
use store::event::RawEvent;
use store::repository::EventRepository;
use store::wakeup::Wakeup;

use super::SettingFlags;
use crate::bootstrap::core::{Core, writer_name};
use crate::bootstrap::database::Database;
use crate::failure::{Exit, Failure};
use crate::telemetry;

/// Events that are read at a time.
pub const PAGE: i64 = 2_000;

/// An open log.
pub struct LogAccess {
    database: Database,
    core: Core,
}

impl LogAccess {
    pub async fn open(settings: &SettingFlags) -> Result<Self, Failure> {
        let config = settings.load()?;
        telemetry::start("warn", config.log_format)?;
        let database = Database::open(&config).await?;
        let core = async {
            store::migrate(database.pool()).await?;
            Core::start(database.pool(), &writer_name()).await
        };
        match core.await {
            Ok(core) => Ok(Self { database, core }),
            Err(error) => {
                database.close().await;
                Err(error.into())
            }
        }
    }

    pub fn repository(&self) -> Arc<dyn EventRepository> {
        self.core.repository()
    }

    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub fn wakeup(&self) -> &Wakeup {
        &self.core.wakeup
    }

    /// How many other processes append to this database.
    pub async fn other_writers(&self) -> Result<i64, Failure> {
        Ok(self.core.writer.others(self.pool()).await?)
    }

    pub async fn close(self) {
        self.core.close().await;
        self.database.close().await;
    }

    /// A whole stream, or why there is none.
    pub async fn stream(&self, name: &StreamName) -> Result<Vec<RawEvent>, Failure> {
        let repository = self.repository();
        let mut events: Vec<RawEvent> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.sequence);
            let page = repository.raw_stream(&name.kind, &name.id, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            events.extend(page);
        }
        if events.is_empty() {
            return Err(Failure::new("EVENTS_NO_SUCH_STREAM", Exit::Data, format!("there is no stream {name}"))
                .hint("`reprise events tail` shows the streams of the newest events"));
        }
        Ok(events)
    }
}

/// `Bot-0193…`: the type and the id of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName {
    pub kind: String,
    pub id: String,
}

impl StreamName {
    /// The stream of `kind` that `given` names, by its id or in full.
    pub fn of(kind: &str, given: &str) -> Self {
        let prefix = format!("{kind}-");
        let id = given.strip_prefix(&prefix).unwrap_or(given);
        Self { kind: kind.to_owned(), id: id.to_owned() }
    }

    pub fn is_of(&self, event: &RawEvent) -> bool {
        event.aggregate_type == self.kind && event.aggregate_id == self.id
    }
}

impl std::str::FromStr for StreamName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('-') {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                Ok(Self { kind: kind.to_owned(), id: id.to_owned() })
            }
            _ => Err("a stream is a type and an id, such as Bot-0193a1b2-c3d4-7000-8000-000000000001".to_owned()),
        }
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.kind, self.id)
    }
}
