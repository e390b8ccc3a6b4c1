//! Where events are kept: the log, its repositories and what stands beside them (leases, durable
//! commands, sealed secrets). It decides nothing about bots; that is the domain's.

pub mod audit;
pub mod bulk;
pub mod command_bus;
pub mod command_queue;
pub mod decode;
pub mod embedded;
pub mod error;
pub mod event;
pub mod event_store;
pub mod failpoint;
pub mod lease;
pub mod loader;
pub mod log;
pub mod merkle;
pub mod migration;
pub mod repository;
pub mod snapshot;
pub mod tap;
pub mod testing;
pub mod transfer;
pub mod vault;
pub mod wakeup;
pub mod writer;

pub use error::StoreError;
pub use migration::migrate;
