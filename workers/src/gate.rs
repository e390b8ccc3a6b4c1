//! Which sessions this process has proved. A bot that a person left running acts again only behind its own open gate.
//!
//! In memory on purpose: a new process, or a new hold on a partition, starts with every gate closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::ids::{BotId, SecretId, partition_of};

/// A session that was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proof {
    /// The epoch under which this process held the bot then.
    epoch: i64,
    session: SecretId,
}

/// The gates of all bots.
#[derive(Debug, Default)]
pub struct Gate(Mutex<HashMap<BotId, Proof>>);

impl Gate {
    /// Says that `session` was proved under `epoch`.
    pub fn open(&self, bot: BotId, epoch: i64, session: SecretId) {
        self.proofs().insert(bot, Proof { epoch, session });
    }

    /// Whether exactly this session was proved under exactly this epoch.
    #[must_use]
    pub fn is_open(&self, bot: BotId, epoch: i64, session: SecretId) -> bool {
        self.proofs().get(&bot) == Some(&Proof { epoch, session })
    }

    /// Nothing is known of the bot's session any more.
    pub fn close(&self, bot: BotId) {
        self.proofs().remove(&bot);
    }

    /// Closes the gates of all bots of the partitions that `holds` does not name.
    pub fn keep_partitions(&self, holds: impl Fn(i32) -> bool) {
        self.proofs().retain(|bot, _| holds(partition_of(*bot)));
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<BotId, Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::derive;

    use super::*;

    fn bot(name: &str) -> BotId {
        BotId::from_uuid(derive(&["bot", name]))
    }

    fn session(name: &str) -> SecretId {
        SecretId::from_uuid(derive(&["session", name]))
    }

    #[test]
    fn a_gate_is_closed_until_its_session_is_proved() {
        let gate = Gate::default();
        assert!(!gate.is_open(bot("a"), 1, session("one")));
        gate.open(bot("a"), 1, session("one"));
        assert!(gate.is_open(bot("a"), 1, session("one")));
    }

    #[test]
    fn a_proof_counts_for_its_own_session_epoch_and_bot_only() {
        let gate = Gate::default();
        gate.open(bot("a"), 1, session("one"));
        assert!(!gate.is_open(bot("a"), 2, session("one")));
        assert!(!gate.is_open(bot("a"), 1, session("two")));
        assert!(!gate.is_open(bot("b"), 1, session("one")));
    }

    #[test]
    fn a_partition_that_is_given_up_closes_its_gates() {
        let gate = Gate::default();
        gate.open(bot("a"), 1, session("one"));
        gate.keep_partitions(|partition| partition != partition_of(bot("a")));
        assert!(!gate.is_open(bot("a"), 1, session("one")));
    }
}
