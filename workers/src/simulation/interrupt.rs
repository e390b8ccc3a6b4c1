//! Counts the awaits at which work stops for a moment, and cuts it off at one of them.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;

/// Awaits so far, and the one that is the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Awaits {
    seen: Rc<Cell<u32>>,
    last: Option<u32>,
}

impl Awaits {
    pub(super) fn until(last: Option<u32>) -> Self {
        Self { seen: Rc::default(), last }
    }

    pub(super) fn seen(&self) -> u32 {
        self.seen.get()
    }

    /// Whether the last one is reached; then nothing counted goes on.
    pub(super) fn are_over(&self) -> bool {
        self.last.is_some_and(|last| self.seen.get() >= last)
    }

    /// No more than were seen count any more.
    pub(super) fn unbounded(&self) -> Self {
        Self { seen: Rc::clone(&self.seen), last: None }
    }

    /// `work`, whose awaits count.
    pub(super) fn count<T>(&self, work: LocalBoxFuture<'static, T>) -> Counted<T> {
        Counted { work, awaits: self.clone() }
    }
}

/// Work whose awaits count.
pub(super) struct Counted<T> {
    work: LocalBoxFuture<'static, T>,
    awaits: Awaits,
}

impl<T> Future for Counted<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<T> {
        if self.awaits.are_over() {
            return Poll::Pending;
        }
        let polled = self.work.as_mut().poll(task);
        if polled.is_pending() {
            self.awaits.seen.set(self.awaits.seen.get() + 1);
        }
        polled
    }
}
