//! Where events are kept: the log, its repositories and what stands beside them (leases, durable
//! commands, sealed secrets). It decides nothing about bots; that is the domain's.

pub mod embedded;
pub mod error;
pub mod migration;
pub mod testing;

pub use error::StoreError;
pub use migration::migrate;
