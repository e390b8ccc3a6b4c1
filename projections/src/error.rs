//! What can go wrong in a projection, and whether the event, the moment or the program is to blame.

use domain::any_event::DecodeError;
use domain::metadata::MetadataError;
use store::StoreError;
use store::command_queue::QueueError;

/// A fault of a projection.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database did not do what it was told.
    #[error("the database refused a statement")]
    Database(#[from] sqlx::Error),
    #[error("the log or the command queue gave no answer")]
    Store(#[from] StoreError),
    #[error("the event does not read: {reason}")]
    Unreadable { code: &'static str, reason: String },
    #[error("the command queue did not take a command")]
    Queue(#[from] QueueError),
    #[error("an earlier event of its stream waits")]
    StreamParked,
    /// The event changes a row that no earlier event made.
    #[error("{table} has no row of {key}")]
    RowMissing { table: &'static str, key: String },
    #[error("{name} has no checkpoint: it was removed while it was in use")]
    NotBegun { name: &'static str },
    #[error("there is no projection named {name:?}")]
    Unknown { name: String },
    /// What a reactor wrote is done already; it is never asked for again.
    #[error("{name} is a reactor: its rows are commands, which are not built again")]
    NotRebuildable { name: &'static str },
    #[error("{name} is being rebuilt or verified already")]
    RebuildRunning { name: &'static str },
    /// Somebody held a table all the time; nothing was swapped.
    #[error("{name} could not be swapped: its tables were in use")]
    SwapBlocked { name: &'static str },
    #[error("{name} was never rebuilt, or its earlier rows were dropped: there is nothing to restore")]
    NothingToRestore { name: &'static str },
    /// Another program, with another shape of these rows, is at work.
    #[error("{name} has version {found} in the database, this program has {ours}")]
    VersionDiffers { name: &'static str, ours: i32, found: i32 },
    #[error("{name} did not reach position {position} in time")]
    NotReached { name: &'static str, position: i64 },
    #[error("{name} did not answer in time")]
    Stuck { name: &'static str },
}

/// Who is to blame, and so what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The event: its stream is parked, the others go on.
    Event,
    /// The moment or the program: nothing is parked, the batch is tried again later.
    Elsewhere,
}

impl ProjectionError {
    /// The stable code of this error, as in docs/errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Database(_) => "PROJECTION_DATABASE",
            Self::Store(error) => error.code(),
            Self::Unreadable { code, .. } => code,
            Self::Queue(error) => error.code(),
            Self::StreamParked => "PROJECTION_STREAM_PARKED",
            Self::RowMissing { .. } => "PROJECTION_ROW_MISSING",
            Self::NotBegun { .. } => "PROJECTION_NOT_BEGUN",
            Self::Unknown { .. } => "PROJECTION_UNKNOWN",
            Self::NotRebuildable { .. } => "PROJECTION_NOT_REBUILDABLE",
            Self::RebuildRunning { .. } => "PROJECTION_REBUILD_RUNNING",
            Self::SwapBlocked { .. } => "PROJECTION_SWAP_BLOCKED",
            Self::NothingToRestore { .. } => "PROJECTION_NOTHING_TO_RESTORE",
            Self::VersionDiffers { .. } => "PROJECTION_VERSION_DIFFERS",
            Self::NotReached { .. } => "PROJECTION_NOT_REACHED",
            Self::Stuck { .. } => "PROJECTION_STUCK",
        }
    }

    /// Who is to blame when an event could not be applied.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Unreadable { .. }
            | Self::RowMissing { .. }
            | Self::Store(StoreError::Serialise { .. })
            | Self::Queue(QueueError::Invalid { .. }) => Blame::Event,
            Self::Database(error) => blame(error),
            Self::Store(StoreError::Database(error)) | Self::Queue(QueueError::Store(StoreError::Database(error))) => {
                blame(error)
            }
            _ => Blame::Elsewhere,
        }
    }

    /// What happened, with its causes, in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        in_one_line(self)
    }
}

impl From<DecodeError> for ProjectionError {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable { code: error.code(), reason: in_one_line(&error) }
    }
}

impl From<MetadataError> for ProjectionError {
    fn from(error: MetadataError) -> Self {
        Self::Unreadable { code: error.code(), reason: in_one_line(&error) }
    }
}

fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// A value that does not fit or breaks a constraint is the event's fault. A lost connection, a full disk, a deadlock,
/// a missing table are not.
fn blame(error: &sqlx::Error) -> Blame {
    match error {
        sqlx::Error::Database(refusal) => match refusal.code().as_deref().and_then(|code| code.get(..2)) {
            // Cardinality, data, integrity, a raised exception, a limit of the program.
            Some("21" | "22" | "23" | "P0" | "54") => Blame::Event,
            _ => Blame::Elsewhere,
        },
        sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::TypeNotFound { .. } => Blame::Event,
        _ => Blame::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connection_is_not_the_events_fault() {
        let lost = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(ProjectionError::from(lost).blame(), Blame::Elsewhere);
        assert_eq!(ProjectionError::from(sqlx::Error::PoolTimedOut).blame(), Blame::Elsewhere);
        assert_eq!(ProjectionError::from(StoreError::Fenced).blame(), Blame::Elsewhere);
    }

    #[test]
    fn row_that_no_event_made_is_the_events_fault() {
        let missing = ProjectionError::RowMissing { table: "users", key: "1".to_owned() };
        assert_eq!(missing.blame(), Blame::Event);
    }
}
