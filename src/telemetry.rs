//! Logs of this process, on standard error: one line a fact, with the ids of the request that it belongs to.
//!
//! Text on a terminal, JSON elsewhere. Results of commands are not logs; [`crate::output`] prints those.

mod json;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::failure::{Exit, Failure};

/// Starts logging. A later call changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new("CONFIG_INVALID_VALUE", Exit::Config, "the setting log is not a filter")
            .hint("set it to a level (error, warn, info, debug) or to a filter: info,store=debug")
            .caused_by(error)
    })?;
    let terminal = io::stderr().is_terminal();
    let text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let registry = tracing_subscriber::registry().with(filter);
    // Logging that has started stays as it is: there is nothing to do about the error.
    let _ = if text {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(terminal && !plain);
        registry.with(lines).try_init()
    } else {
        registry.with(json::JsonLines::new(io::stderr)).try_init()
    };
    Ok(())
}
