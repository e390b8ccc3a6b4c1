//! An activation that can be watched and taken away between two polls.
//!
//! A poll that does not come back cannot be ended. It is seen here by the time that it takes, and everything else of its
//! threads is taken away from them and run elsewhere.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

const IDLE: u8 = 0;
const POLLED: u8 = 1;
const REVOKED: u8 = 2;
const POLLED_AND_REVOKED: u8 = 3;

/// What is known of a running activation from outside, and how to speak to it.
#[derive(Debug)]
pub struct Attention {
    state: AtomicU8,
    begun: Instant,
    /// Milliseconds since `begun` at which the present poll began, plus one; 0 between polls.
    polled_at: AtomicU64,
    waker: AtomicWaker,
    /// How often somebody wrote to the job while it ran.
    raised: AtomicU64,
    news: Notify,
    /// Which runtime runs it.
    pub(super) lane: u64,
}

impl Attention {
    pub(super) fn new(lane: u64) -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            begun: Instant::now(),
            polled_at: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            raised: AtomicU64::new(0),
            news: Notify::new(),
            lane,
        }
    }

    /// Somebody wrote to the job while it runs.
    pub(super) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::AcqRel);
        self.news.notify_waiters();
    }

    /// How often somebody wrote to the job while it runs.
    pub(crate) fn times_raised(&self) -> u64 {
        self.raised.load(Ordering::Acquire)
    }

    /// Waits until somebody has written to the job more than `seen` times; how often it was.
    pub(crate) async fn raised(&self, seen: u64) -> u64 {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            let raised = self.times_raised();
            if raised > seen {
                return raised;
            }
            news.await;
        }
    }

    /// Takes the activation away. `true`: it will not be polled any more; else it is being polled right now, and that is its
    /// last time.
    pub(super) fn revoke(&self) -> bool {
        let revoked = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            IDLE => Some(REVOKED),
            POLLED => Some(POLLED_AND_REVOKED),
            _ => None,
        });
        let is_idle = matches!(revoked, Ok(IDLE) | Err(REVOKED));
        self.waker.wake();
        is_idle
    }

    /// How long the present poll takes.
    pub(super) fn polled_for(&self) -> Option<Duration> {
        let at = self.polled_at.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(at)))
    }

    fn begin_poll(&self) -> bool {
        if self.state.compare_exchange(IDLE, POLLED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.polled_at.store(now + 1, Ordering::Release);
        true
    }

    fn end_poll(&self) -> bool {
        self.polled_at.store(0, Ordering::Release);
        self.state.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Why a watched future gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    Revoked,
    /// With what it said.
    Panicked(String),
}

/// A future under watch.
pub(super) struct Watched<'a, T> {
    pub attention: &'a Attention,
    pub work: BoxFuture<'a, T>,
}

impl<T> Future for Watched<'_, T> {
    type Output = Result<T, Cut>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let attention = self.attention;
        attention.waker.register(task.waker());
        if !attention.begin_poll() {
            return Poll::Ready(Err(Cut::Revoked));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| self.work.as_mut().poll(task)));
        let goes_on = attention.end_poll();
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
            Ok(Poll::Pending) if goes_on => Poll::Pending,
            Ok(Poll::Pending) => Poll::Ready(Err(Cut::Revoked)),
            Err(panic) => Poll::Ready(Err(Cut::Panicked(said(panic.as_ref())))),
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn activation_that_was_taken_away_is_not_polled_again() {
        let attention = Attention::new(0);
        assert!(attention.revoke());
        let work: BoxFuture<'_, ()> = Box::pin(async { panic!("it is polled") });
        assert_eq!(Watched { attention: &attention, work }.await, Err(Cut::Revoked));
    }

    #[tokio::test]
    async fn panic_is_caught_with_what_it_said() {
        let attention = Attention::new(0);
        let work: BoxFuture<'_, ()> = Box::pin(async { panic!("no such {}", "thing") });
        assert_eq!(Watched { attention: &attention, work }.await, Err(Cut::Panicked("no such thing".to_owned())));
    }

    #[tokio::test]
    async fn news_from_before_the_look_are_seen_once() {
        let attention = Attention::new(0);
        attention.raise();
        assert_eq!(attention.raised(0).await, 1);
        assert!(tokio::time::timeout(Duration::from_millis(1), attention.raised(1)).await.is_err());
    }
}
