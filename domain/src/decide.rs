//! What our aggregates add to cqrs-es: a pure, synchronous decision and the shape of a snapshot.

use cqrs_es::Aggregate;
use cqrs_es::persist::EventUpcaster;

/// An aggregate whose decision is a pure function of its state and the command.
///
/// `handle` of cqrs-es delegates to [`Decide::decide`], so both ways through give the same events.
pub trait Decide: Aggregate<Services = ()> + Clone + 'static {
    /// Number of the state's shape; raised whenever a field changes, which discards older snapshots.
    const SHAPE: u32;

    /// The events that `command` leads to, or why it is refused. Appends nothing by itself.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Changes of stored shapes, oldest first; used by the aggregate and by every reader of the log.
    fn upcasters() -> Vec<Box<dyn EventUpcaster>>;
}

/// Folds `events` into `state`.
pub fn fold<A: Decide>(mut state: A, events: impl IntoIterator<Item = A::Event>) -> A {
    for event in events {
        state.apply(event);
    }
    state
}
