//! The errors of the crates, as failures of a command: their own code, an exit status and what to do.

use api::ApiError;
use api::auth::{AuthError, PasswordError};
use projections::ProjectionError;
use store::StoreError;
use store::audit::AuditError;
use store::embedded::EmbeddedError;
use store::testing::TestingError;
use store::transfer::TransferError;
use store::vault::{KeyFileError, KeyringError};
use workers::job::replay::{HistoryError, ReplayError};
use workers::platform::GatewayConfigError;
use workers::platform::sandbox::SandboxError;

use super::{Exit, Failure};
use crate::clock::ClockError;

impl From<EmbeddedError> for Failure {
    fn from(error: EmbeddedError) -> Self {
        let exit = match &error {
            EmbeddedError::NotReachable { .. } | EmbeddedError::NotOurs { .. } => Exit::NoPermission,
            EmbeddedError::InUse { .. } | EmbeddedError::LeftBehind { .. } => Exit::TryLater,
            EmbeddedError::NotACluster { .. } => Exit::CannotCreate,
            EmbeddedError::DiskFull { .. } | EmbeddedError::Io { .. } => Exit::Io,
            _ => Exit::Unavailable,
        };
        Self::new(error.code(), exit, error.to_string()).hint(error.remedy()).caused_by_sources_of(error)
    }
}

impl From<TestingError> for Failure {
    fn from(error: TestingError) -> Self {
        match error {
            TestingError::Embedded { source } => source.into(),
            error => Self::new(error.code(), Exit::Unavailable, error.to_string()).caused_by_sources_of(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            StoreError::Full { .. } => (Exit::Io, "free space on the database's disk, then start again"),
            StoreError::Fenced | StoreError::Conflict { .. } => (Exit::TryLater, "try again"),
            StoreError::Corrupt { .. } => {
                (Exit::Data, "keep the database as it is, and restore a backup beside it to compare")
            }
            StoreError::Unavailable { .. } | StoreError::Database(_) => {
                (Exit::Unavailable, "see that PostgreSQL runs and answers: `reprise doctor`")
            }
            StoreError::Migration(_) => {
                (Exit::Unavailable, "use the version of reprise that last changed this database, or a newer one")
            }
            _ => (Exit::Software, "this is a fault of reprise: please report it with this text"),
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint).caused_by_sources_of(error)
    }
}

impl From<ClockError> for Failure {
    fn from(error: ClockError) -> Self {
        let (exit, hint) = match &error {
            ClockError::Speed { .. } => (Exit::Config, "set clock_speed within that range"),
            ClockError::Mark { .. } => (Exit::Io, "make the file readable and writable for this user"),
            ClockError::Ahead { .. } => {
                (Exit::Config, "use another --data-dir for the gateway; this one lived on the sandbox's clock")
            }
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint).caused_by_sources_of(error)
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let (exit, hint) = match &error {
            SandboxError::Listen { .. } => (Exit::Unavailable, "choose another address or port for the sandbox"),
            SandboxError::Ledger { .. } => (Exit::Io, "make the file readable and writable for this user"),
            SandboxError::LedgerLine { .. } => (Exit::Data, "move the file away to begin with a new sandbox"),
            SandboxError::OtherSeed { .. } => (Exit::Data, "use the seed of the file, or move the file away"),
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint).caused_by_sources_of(error)
    }
}

impl From<GatewayConfigError> for Failure {
    fn from(error: GatewayConfigError) -> Self {
        Self::new(error.code(), Exit::Config, error.to_string())
            .hint("set gateway_url to http://host:port")
            .caused_by_sources_of(error)
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        Self::new(error.code(), Exit::Config, error.to_string()).hint(error.remedy())
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let exit = match &error {
            KeyFileError::NotPrivate { .. } | KeyFileError::NotOurs { .. } => Exit::NoPermission,
            KeyFileError::Malformed { .. } => Exit::Config,
            KeyFileError::Io { .. } | KeyFileError::Random(_) => Exit::Io,
        };
        Self::new(error.code(), exit, error.to_string()).hint(error.remedy()).caused_by_sources_of(error)
    }
}

impl From<ProjectionError> for Failure {
    fn from(error: ProjectionError) -> Self {
        let (exit, hint) = match &error {
            ProjectionError::Unknown { .. } => (Exit::Usage, "`reprise projections status` lists those that there are"),
            ProjectionError::NotRebuildable { .. } => (Exit::Usage, "leave it out: what it commanded is done"),
            ProjectionError::RebuildRunning { .. } | ProjectionError::SwapBlocked { .. } => {
                (Exit::TryLater, "try again when the other one has ended")
            }
            ProjectionError::NothingToRestore { .. } | ProjectionError::NotBegun { .. } => {
                (Exit::Data, "see `reprise projections status`")
            }
            ProjectionError::VersionDiffers { .. } => (Exit::TryLater, "let `reprise up` of this version run first"),
            _ => (Exit::Unavailable, "see the cause; `reprise doctor` looks at what is needed"),
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint).caused_by_sources_of(error)
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            AuthError::Database(_) => Self::new(error.code(), Exit::Unavailable, error.to_string())
                .hint("see that PostgreSQL runs and answers: `reprise doctor`")
                .caused_by_sources_of(error),
            _ => Self::new(error.code(), Exit::Data, error.to_string()).caused_by_sources_of(error),
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        Self::new(error.code(), Exit::Software, error.to_string()).caused_by_sources_of(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::new(error.code(), Exit::Software, error.to_string()).caused_by_sources_of(error)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        let (exit, hint) = match error {
            TransferError::Store(error) => return error.into(),
            TransferError::File(_) => (Exit::Io, "see that the file is there and readable"),
            TransferError::StreamDiffers { .. } => (Exit::Data, "import into an empty database"),
            TransferError::Gap { .. } => (Exit::Data, "import the exports in their order, from the first on"),
            _ => (Exit::Data, "export again; what an export wrote is never edited"),
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint).caused_by_sources_of(error)
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        let (exit, hint) = match &error {
            ReplayError::UnknownWorkflow { .. } => (Exit::Unavailable, "use a version that knows the workflow"),
            ReplayError::Panicked { .. } | ReplayError::OutsideWait { .. } => (Exit::Software, "mend the workflow"),
            _ => (Exit::Data, "export the job again; a history is never edited"),
        };
        Self::new(error.code(), exit, error.to_string()).hint(hint)
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        Self::new(error.code(), Exit::Data, error.to_string()).hint("export the job again; a history is never edited")
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            error => Self::new(error.code(), Exit::Data, error.to_string())
                .hint("keep the database as it is, and restore a backup beside it to compare"),
        }
    }
}
