//! How often somebody may try: token buckets by key, in this process alone, on the monotonic clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Keys remembered at a time by one limiter; beyond, the ones that were idle longest are forgotten.
const MOST_KEYS: usize = 20_000;

/// How many at once, and how long until one more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub burst: u32,
    pub refill: Duration,
}

/// The next try may come after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    pub retry_after: Duration,
}

impl Throttled {
    /// Whole seconds for `Retry-After`; at least one.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.retry_after.as_secs() + 1
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

/// A token bucket for each key.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one token of `key`, or says when there is one.
    pub fn take(&self, key: K) -> Result<(), Throttled> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), Throttled> {
        let burst = f64::from(self.rate.burst);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_KEYS && !buckets.contains_key(&key) {
            self.forget(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: burst, filled_at: now });
        let refill = self.rate.refill.as_secs_f64();
        let gained = now.duration_since(bucket.filled_at).as_secs_f64() / refill;
        bucket.tokens = (bucket.tokens + gained).min(burst);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            let missing = (1.0 - bucket.tokens) * refill;
            return Err(Throttled { retry_after: Duration::from_secs_f64(missing) });
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Fills the bucket of `key`: whoever it is has shown who they are.
    pub fn forgive(&self, key: &K) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Drops full buckets, which say nothing; if all are in use, the half that was idle longest.
    fn forget(&self, buckets: &mut HashMap<K, Bucket>, now: Instant) {
        let full_after = self.rate.refill * self.rate.burst;
        buckets.retain(|_, bucket| now.duration_since(bucket.filled_at) < full_after);
        if buckets.len() >= MOST_KEYS {
            let mut instants: Vec<_> = buckets.values().map(|bucket| bucket.filled_at).collect();
            instants.sort_unstable();
            let middle = instants[instants.len() / 2];
            buckets.retain(|_, bucket| bucket.filled_at > middle);
        }
    }
}

/// Who a peer is for limits. Whoever has one IPv6 address has a whole network of them, so that counts as one.
#[must_use]
pub fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Tries to sign in: by user name and peer together, by peer, and by user name over all peers.
///
/// One peer cannot lock a user out of their account from elsewhere; many peers together only slow it down.
#[derive(Debug)]
pub struct SignInThrottle {
    pair: Limiter<(String, Option<IpAddr>)>,
    peer: Limiter<Option<IpAddr>>,
    name: Limiter<String>,
}

impl Default for SignInThrottle {
    fn default() -> Self {
        let rate = |burst, seconds| Rate { burst, refill: Duration::from_secs(seconds) };
        Self { pair: Limiter::new(rate(5, 12)), peer: Limiter::new(rate(30, 2)), name: Limiter::new(rate(50, 6)) }
    }
}

impl SignInThrottle {
    /// Counts a try, before it is known whether it succeeds: tries at the same time count too.
    pub fn begin(&self, username: &str, peer: Option<IpAddr>) -> Result<(), Throttled> {
        self.begin_at(username, peer, Instant::now())
    }

    fn begin_at(&self, username: &str, peer: Option<IpAddr>, now: Instant) -> Result<(), Throttled> {
        let (name, peer) = (key_of(username), peer.map(network_of));
        self.pair.take_at((name.clone(), peer), now)?;
        self.peer.take_at(peer, now)?;
        self.name.take_at(name, now)
    }

    /// The try succeeded.
    pub fn succeeded(&self, username: &str, peer: Option<IpAddr>) {
        self.pair.forgive(&(key_of(username), peer.map(network_of)));
    }
}

/// The form under which tries are counted; bounded, as anybody can send any name.
fn key_of(username: &str) -> String {
    username.trim().to_lowercase().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));

    #[test]
    fn the_sixth_try_waits_and_the_wait_ends() {
        let throttle = SignInThrottle::default();
        let now = Instant::now();
        for _ in 0..5 {
            throttle.begin_at("marta", PEER, now).unwrap();
        }
        let throttled = throttle.begin_at(" Marta ", PEER, now).unwrap_err();
        assert!(throttled.retry_after <= Duration::from_secs(12), "{throttled:?}");
        throttle.begin_at("marta", PEER, now + Duration::from_secs(12)).unwrap();
    }

    #[test]
    fn one_peer_does_not_lock_a_user_out_elsewhere() {
        let throttle = SignInThrottle::default();
        let now = Instant::now();
        while throttle.begin_at("marta", OTHER, now).is_ok() {}
        throttle.begin_at("marta", PEER, now).unwrap();
    }

    #[test]
    fn one_peer_cannot_try_many_names() {
        let throttle = SignInThrottle::default();
        let now = Instant::now();
        let tried = (0..100).filter(|number| throttle.begin_at(&format!("user{number}"), PEER, now).is_ok()).count();
        assert_eq!(tried, 30);
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let throttle = SignInThrottle::default();
        let now = Instant::now();
        let address = |last| Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, last)));
        let tried = (0..100).filter(|last| throttle.begin_at("marta", address(*last), now).is_ok()).count();
        assert_eq!(tried, 5);
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(network_of(IpAddr::V6(mapped)), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn success_forgives_the_pair() {
        let throttle = SignInThrottle::default();
        let now = Instant::now();
        for _ in 0..20 {
            throttle.begin_at("marta", PEER, now).unwrap();
            throttle.succeeded("marta", PEER);
        }
    }

    #[test]
    fn a_limiter_forgets_keys_instead_of_growing() {
        let limiter = Limiter::new(Rate { burst: 1, refill: Duration::from_secs(1) });
        let now = Instant::now();
        for key in 0..3 * MOST_KEYS {
            limiter.take_at(key, now).unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().len() <= MOST_KEYS);
    }
}
