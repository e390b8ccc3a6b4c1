//! How many sockets each user has open, so that nobody has all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::UserId;
use prometheus::IntGauge;

/// The most sockets of one user.
const MOST: usize = 20;

/// The open sockets. Cheap to clone.
#[derive(Clone)]
pub struct OpenSockets {
    of_users: Arc<Mutex<HashMap<UserId, usize>>>,
    all: IntGauge,
}

/// One open socket; closed when it is dropped.
pub struct OpenSocket {
    sockets: OpenSockets,
    user_id: UserId,
}

impl OpenSockets {
    /// None yet; `all` shows how many there are.
    pub fn new(all: IntGauge) -> Self {
        Self { of_users: Arc::default(), all }
    }

    /// One more of a user, unless they have too many.
    pub fn open(&self, user_id: UserId) -> Option<OpenSocket> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        let own = of_users.entry(user_id).or_default();
        if *own >= MOST {
            return None;
        }
        *own += 1;
        self.all.inc();
        Some(OpenSocket { sockets: self.clone(), user_id })
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let mut of_users = self.sockets.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of_users.get_mut(&self.user_id) {
            *own -= 1;
            if *own == 0 {
                of_users.remove(&self.user_id);
            }
        }
        self.sockets.all.dec();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_user_has_so_many_sockets_and_another_user_theirs() {
        let sockets = OpenSockets::new(IntGauge::new("sockets", "open sockets").unwrap());
        let user = |number| UserId::from_uuid(Uuid::from_u128(number));
        let mut open: Vec<_> = (0..MOST).map(|_| sockets.open(user(1)).unwrap()).collect();
        assert!(sockets.open(user(1)).is_none());
        let other = sockets.open(user(2)).unwrap();
        assert_eq!(sockets.all.get(), 21);
        open.pop();
        assert!(sockets.open(user(1)).is_some());
        drop((open, other));
        assert_eq!(sockets.all.get(), 0);
        assert!(sockets.of_users.lock().unwrap().is_empty());
    }
}
