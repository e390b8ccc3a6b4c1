//! Where new ids and random rolls come from: one trait, wired by the composition root.

use uuid::Uuid;

/// Fresh ids and random numbers.
pub trait Entropy: Send + Sync {
    /// A new id (UUID version 7).
    fn uuid(&self) -> Uuid;

    /// A uniform number in `[0, 1)`.
    fn unit(&self) -> f64;
}
