//! What can break under a piece of work. A refusal of the domain or of the platform is not here: each has its own course.

use domain::bot::BotError;
use projections::reactor::work::UnknownWork;
use store::StoreError;
use store::command_queue::QueueError;

/// Why a piece of work could not be carried on; it is tried again later.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Vault(#[from] store::vault::VaultError),
    #[error("the command does not read")]
    Work(#[from] UnknownWork),
    /// The platform did not answer, or not so that anything can be made of it.
    #[error("the platform could not be read")]
    Platform(#[source] crate::platform::PlatformError),
    #[error("it took too long")]
    TimedOut,
    #[error("it panicked; the log says where")]
    Panicked,
    /// The bot said no where the protocol leaves it no reason to.
    #[error("the bot refused {command}")]
    Refused {
        command: &'static str,
        #[source]
        source: BotError,
    },
}

impl Fault {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Queue(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::Work(error) => error.code(),
            Self::Platform(error) => error.code(),
            Self::TimedOut => "WORK_TIMED_OUT",
            Self::Panicked => "WORK_PANICKED",
            Self::Refused { source, .. } => source.code(),
        }
    }

    /// Whether this process lost the right to work on the bot. Then nothing is settled here; the next owner takes over.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Fenced)
                | Self::Queue(QueueError::Store(StoreError::Fenced) | QueueError::ClaimLost { .. })
        )
    }
}
