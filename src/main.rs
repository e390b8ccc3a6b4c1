//! The binary: parses the command line, runs one command, gives its exit status.
//!
//! No decisions are made here or anywhere in this package; it only puts the crates together.

mod bootstrap;
mod cli;
mod clock;
mod config;
mod data_dir;
mod entropy;
mod failure;
mod output;
mod shutdown;
mod telemetry;

use std::process::ExitCode;

/// Tasks allocate on one thread and free on another all the time, for which the system's allocator takes locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for the whole process; a second installation is impossible this early.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run()
}
