//! What a projection is: a fold from the log's events to rows. The runner owns the transaction and the checkpoint.

use async_trait::async_trait;
use domain::any_event::AnyEvent;
use domain::metadata::Metadata;
use sqlx::PgConnection;
use store::event::StoredEvent;

use crate::error::ProjectionError;

/// What a projection's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows that people see; they may be built again from the log at any time.
    ReadModel,
    /// Rows are commands for workers; they are written once and never again.
    Reactor,
}

/// An event of the log, stored and decoded.
#[derive(Debug, Clone)]
pub struct LogEvent {
    pub stored: StoredEvent,
    pub event: AnyEvent,
}

impl LogEvent {
    /// Who asked for it, and why.
    pub fn metadata(&self) -> Result<Metadata, ProjectionError> {
        match &self.stored.metadata {
            serde_json::Value::Object(map) => Ok(Metadata::from_map(map)?),
            _ => Err(ProjectionError::Unreadable {
                code: "METADATA_INVALID",
                reason: "its metadata is no object".to_owned(),
            }),
        }
    }
}

/// A fold from events to rows.
///
/// `apply` never commits, calls out, reads a clock or skips an event that it should know. It names its tables without
/// a schema, as a rebuild runs it on tables of another one, and reads no table but its own. A rebuild must give the
/// same rows, whatever the batches were, and streams may be applied late after they were parked: what it writes for one
/// stream must not depend on another.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Names the checkpoint; stored, so never renamed.
    fn name(&self) -> &'static str;

    /// The shape of the rows and the meaning of the fold; a change of either raises it, which rebuilds the rows.
    fn version(&self) -> i32;

    /// The tables that are its own.
    fn tables(&self) -> &'static [&'static str];

    /// The types of the aggregates whose events it folds; nothing else is parsed for it or handed to it. All when empty.
    fn reads(&self) -> &'static [&'static str] {
        &[]
    }

    /// What its rows are.
    fn kind(&self) -> Kind {
        Kind::ReadModel
    }

    /// Called after rows were committed; for waking whoever waits for them. May be called without a cause.
    fn committed(&self) {}

    /// Folds one event into the rows.
    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError>;

    /// Folds many events, with the same result as [`Projection::apply`] on each, in order.
    async fn apply_all(&self, db: &mut PgConnection, events: &[&LogEvent]) -> Result<(), ProjectionError> {
        for event in events {
            self.apply(db, event).await?;
        }
        Ok(())
    }
}
