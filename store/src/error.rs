//! What can go wrong in the store. Refusals of the domain are not here: they are the aggregates'.

use std::sync::Arc;

use uuid::Uuid;

/// A fault of the store, or a refusal to append.
// Causes are shared, because one broken statement fails every request of its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The stream is not where the caller thought: load it again and decide again.
    #[error("{aggregate_type}-{aggregate_id} is not at sequence {expected_sequence}")]
    Conflict { aggregate_type: String, aggregate_id: String, expected_sequence: i64 },
    /// This process's lease as a writer ended. Nothing of the request was written.
    #[error("this process is not a writer any more: its lease ended or another took over")]
    Fenced,
    /// The database did not answer in time. The request may or may not have been written: repeating
    /// it with the same request id is safe, and tells.
    #[error("the event store is unavailable: {reason}")]
    Unavailable {
        reason: &'static str,
        #[source]
        source: Option<Arc<sqlx::Error>>,
    },
    /// No room on the database's disk. Nothing of the request was written.
    #[error("the event store's disk is full")]
    Full {
        #[source]
        source: Option<Arc<sqlx::Error>>,
    },
    /// What is stored is not what was written, or cannot be read by this version.
    #[error("the event at position {position} of shard {shard} is not readable: {reason}")]
    Corrupt { shard: i32, position: i64, reason: String },
    /// The request id was used before, for something else.
    #[error("request {request_id} was already used for {aggregate_type}-{aggregate_id}")]
    RequestReused { request_id: Uuid, aggregate_type: String, aggregate_id: String },
    /// The request cannot be stored as it is.
    #[error("the append request is not valid: {reason}")]
    InvalidRequest { reason: &'static str },
    /// A value does not serialise.
    #[error("{what} does not serialise")]
    Serialise {
        what: &'static str,
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The database refused a statement that should have worked.
    #[error("the database refused a statement")]
    Database(#[source] Arc<sqlx::Error>),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date")]
    Migration(#[source] Arc<sqlx::migrate::MigrateError>),
}

impl StoreError {
    /// The stable code of this error, as in docs/errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "STORE_CONFLICT",
            Self::Fenced => "STORE_FENCED",
            Self::Unavailable { .. } => "STORE_UNAVAILABLE",
            Self::Full { .. } => "STORE_FULL",
            Self::Corrupt { .. } => "STORE_CORRUPT",
            Self::RequestReused { .. } => "STORE_REQUEST_REUSED",
            Self::InvalidRequest { .. } => "STORE_INVALID_REQUEST",
            Self::Serialise { .. } => "STORE_SERIALISE",
            Self::Database(_) => "STORE_DATABASE",
            Self::Migration(_) => "STORE_MIGRATION",
        }
    }

    pub(crate) fn serialise(what: &'static str, source: serde_json::Error) -> Self {
        Self::Serialise { what, source: Arc::new(source) }
    }

    pub(crate) fn unavailable(reason: &'static str) -> Self {
        Self::Unavailable { reason, source: None }
    }
}

impl From<sqlx::Error> for StoreError {
    /// For statements without an unknown outcome: reads, and writes that are repeated as they are.
    fn from(error: sqlx::Error) -> Self {
        let source = Arc::new(error);
        match Fault::of(&source) {
            Fault::Full => Self::Full { source: Some(source) },
            Fault::Connection => Self::Unavailable { reason: "the database does not answer", source: Some(source) },
            _ => Self::Database(source),
        }
    }
}

/// What a failed statement says about its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection broke, or the server said goodbye: the statement may have committed.
    Connection,
    /// The server rolled it back for a reason that passes: deadlock, timeout, too many connections.
    Passing,
    /// The server rolled it back: no room.
    Full,
    /// The server rolled it back: a unique constraint.
    Duplicate,
    /// The server rolled it back because of what was in it.
    Refused,
}

impl Fault {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        use sqlx::postgres::{PgDatabaseError, PgSeverity};

        let sqlx::Error::Database(database) = error else {
            return Self::Connection;
        };
        let Some(database) = database.try_downcast_ref::<PgDatabaseError>() else {
            return Self::Connection;
        };
        if !matches!(database.severity(), PgSeverity::Error) {
            return Self::Connection;
        }
        match database.code() {
            "53100" => Self::Full,
            "23505" => Self::Duplicate,
            // Shutdown and crash, and a standby that a failover left us on.
            "57P01" | "57P02" | "57P03" | "25006" => Self::Connection,
            code if ["40", "53", "55", "57", "58"].contains(&&code[..2.min(code.len())]) => Self::Passing,
            _ => Self::Refused,
        }
    }
}
