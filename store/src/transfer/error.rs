//! Why a file of events is not taken. Lines are counted from 1.

use std::sync::Arc;

use crate::error::StoreError;

/// Why a file of events is not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransferError {
    #[error("line {line} is no event of an export: {reason}")]
    Malformed { line: u64, reason: String },
    /// Another program wrote it, or it was changed since.
    #[error("line {line} is no event that an append wrote: {reason}")]
    Foreign { line: u64, reason: &'static str },
    #[error("line {line}: {stream} goes on at {found}, and {expected} would be next")]
    Gap { line: u64, stream: String, expected: i64, found: i64 },
    #[error("line {line}: {stream} has another event at {sequence} here")]
    StreamDiffers { line: u64, stream: String, sequence: i64 },
    #[error("the file could not be read")]
    File(#[source] Arc<std::io::Error>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TransferError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "EVENTS_MALFORMED",
            Self::Foreign { .. } => "EVENTS_FOREIGN",
            Self::Gap { .. } => "EVENTS_GAP",
            Self::StreamDiffers { .. } => "EVENTS_STREAM_DIFFERS",
            Self::File(_) => "EVENTS_FILE",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<std::io::Error> for TransferError {
    fn from(error: std::io::Error) -> Self {
        Self::File(Arc::new(error))
    }
}
