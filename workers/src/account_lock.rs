//! One thing at a time for each account: commands and the steps of jobs take turns.
//!
//! In memory, as one process at a time holds a bot. It keeps the account's calls in order; that nothing is done twice is
//! the aggregate's doing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::BotId;
use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The locks of all bots that anything is done for.
#[derive(Debug, Default)]
pub(crate) struct AccountLocks(Mutex<HashMap<BotId, Lock>>);

/// The turn of one command or step; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl AccountLocks {
    /// Waits for the bot's turn; those who wait are served in order.
    pub(crate) async fn turn(&self, bot: BotId) -> Turn {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // What nobody holds or waits for is not kept.
            if locks.len() > 1_024 && !locks.contains_key(&bot) {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(bot).or_default())
        };
        Turn { _guard: lock.lock_owned().await }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::derive;
    use futures_util::FutureExt;

    use super::*;

    fn bot(name: &str) -> BotId {
        BotId::from_uuid(derive(&["bot", name]))
    }

    #[tokio::test]
    async fn one_account_is_served_one_at_a_time_and_others_meanwhile() {
        let locks = AccountLocks::default();
        let turn = locks.turn(bot("a")).await;
        assert!(locks.turn(bot("a")).now_or_never().is_none());
        assert!(locks.turn(bot("b")).now_or_never().is_some());
        drop(turn);
        assert!(locks.turn(bot("a")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn locks_that_nobody_uses_are_not_kept() {
        let locks = AccountLocks::default();
        for number in 0..5_000 {
            drop(locks.turn(bot(&number.to_string())).await);
        }
        assert!(locks.0.lock().unwrap_or_else(PoisonError::into_inner).len() <= 1_025);
    }
}
