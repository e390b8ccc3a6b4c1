//! The store's tests against a real PostgreSQL, in one binary.

mod audit;
mod command_bus;
mod command_queue;
mod conformance;
mod cqrs;
#[cfg(feature = "failpoints")]
mod crash;
mod embedded;
mod fencing;
mod lease;
mod log;
mod snapshot;
mod support;
mod testing;
mod trouble;
mod vault;
