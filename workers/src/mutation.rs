//! Bugs that can be planted, so that tests of the engine can show that they would find them.
//!
//! Without the crate feature `failpoints` there are none.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The platform is called before the reservation is durable.
    CallBeforeReserve,
    /// The outcome is recorded as performed before the platform is called.
    RecordBeforeCall,
    /// An action that was left open counts as not done without a look at the platform.
    SkipProbe,
    /// An unknown outcome counts as a failure at once.
    BelieveSilence,
}
