//! Where the product's instants come from: one trait, wired by the composition root.
//!
//! Deliberately no implementation: a test, the sandbox and production each bring their own.

use chrono::{DateTime, Utc};

/// The engine's time. Leases use the database's clock instead.
pub trait Clock: Send + Sync {
    /// The present instant. Never goes backwards within one process.
    fn now(&self) -> DateTime<Utc>;

    /// Engine seconds per real second; 1.0 but on an accelerated sandbox clock.
    fn speed(&self) -> f64 {
        1.0
    }
}
