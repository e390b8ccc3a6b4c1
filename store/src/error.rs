//! What can go wrong in the store. Refusals of the domain are not here: they are the aggregates'.

/// A fault of the store, or a refusal to append.
#[derive(Debug, thiserror::Error)]
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
        source: Option<sqlx::Error>,
    },
    /// No room on the database's disk. Nothing of the request was written.
    #[error("the event store's disk is full")]
    Full {
        #[source]
        source: Option<sqlx::Error>,
    },
    /// What is stored is not what was written, or cannot be read by this version.
    #[error("the event at position {position} of shard {shard} is not readable: {reason}")]
    Corrupt { shard: i32, position: i64, reason: String },
    /// The request id was used before, for something else.
    #[error("request {request_id} was already used for {aggregate_type}-{aggregate_id}")]
    RequestReused { request_id: uuid::Uuid, aggregate_type: String, aggregate_id: String },
    /// The request cannot be stored as it is.
    #[error("the append request is not valid: {reason}")]
    InvalidRequest { reason: &'static str },
    /// A value does not serialise.
    #[error("{what} does not serialise")]
    Serialise {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The database refused a statement that should have worked.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
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
}
