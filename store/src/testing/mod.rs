//! Databases for tests: a migrated one for each test, on one server for the whole run.
//!
//! The server is the one of `REPRISE_TEST_DATABASE_URL`, else a private one for each test process, kept in the
//! system's temporary folder and used again by the next run. Not for production: it panics rather than go on.

mod database;
mod run;
mod server;

use thiserror::Error;

pub use database::TestDatabase;
pub use run::run_with_server;
pub use server::TestServer;

use crate::embedded::EmbeddedError;
use crate::error::StoreError;

/// Names a server on which tests may create databases.
pub const DATABASE_URL_VARIABLE: &str = "REPRISE_TEST_DATABASE_URL";

/// Why there is no database for a test.
#[derive(Debug, Error)]
pub enum TestingError {
    #[error("the test server does not start: {source}. {}", .source.remedy())]
    Embedded {
        #[from]
        source: EmbeddedError,
    },
    #[error("all {slots} private test servers are in use")]
    NoSlot { slots: u32 },
    #[error("the database URL is not usable")]
    Url(#[source] sqlx::Error),
    #[error("cannot {action}")]
    Database {
        action: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("cannot migrate the template database")]
    Migrate(#[source] StoreError),
    #[error("there is no command to run")]
    NoCommand,
    #[error("cannot run `{command}`")]
    Command {
        command: String,
        #[source]
        source: std::io::Error,
    },
}

impl TestingError {
    /// A stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Embedded { source } => source.code(),
            Self::NoSlot { .. } => "TESTING_NO_SERVER_FREE",
            Self::Url(_) => "TESTING_URL_INVALID",
            Self::Database { .. } | Self::Migrate(_) => "TESTING_DATABASE_FAILED",
            Self::NoCommand | Self::Command { .. } => "TESTING_COMMAND_FAILED",
        }
    }

    fn database(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { action, source }
    }
}

/// An error with its causes in one line, for panics.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = source.source();
    }
    text
}

/// Letters and digits that no other test uses.
fn unique_name() -> String {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}
