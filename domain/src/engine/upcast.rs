//! Changes of stored shapes, oldest first. Every event is at its first version, so there is none yet.

use cqrs_es::persist::EventUpcaster;

/// The engine's upcasters, for the aggregate and for every reader of the log.
pub fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
    Vec::new()
}
