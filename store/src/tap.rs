//! Hears what this process itself commits, without reading it back.
//!
//! A tap is a shortcut, not a source: it holds nothing that the log does not, may miss commits when nobody takes them out
//! in time, and knows nothing of other processes. Positions have no gaps, so whoever listens sees what it missed and reads
//! that from the log.

use std::sync::{Mutex, PoisonError};

use domain::ids::RequestId;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::event::event_id;

/// Commits that may wait in a tap before it misses some.
const CAPACITY: usize = 1_024;

/// How much of an event its listener wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Nothing,
    Name,
    Payload,
}

/// One event that the listener wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub aggregate_id: String,
    pub event_type: String,
    pub sequence: i64,
    pub event_id: Uuid,
    pub correlation_id: Uuid,
    pub payload: Option<String>,
}

/// One commit: positions without a gap, and what of it the listener wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub first_position: i64,
    pub last_position: i64,
    pub news: Vec<News>,
}

/// What a listener wants to hear.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub shard: i32,
    pub aggregate_type: &'static str,
    pub pick: fn(&str) -> Pick,
}

/// The listeners of one process.
#[derive(Debug, Default)]
pub(crate) struct Taps(Mutex<Vec<(Wanted, mpsc::Sender<Commit>)>>);

/// An event of a commit, as it is told.
pub(crate) struct Told<'a> {
    pub aggregate_type: &'a str,
    pub aggregate_id: &'a str,
    pub event_type: &'a str,
    pub sequence: i64,
    pub request_id: RequestId,
    /// In the request.
    pub index: u32,
    pub correlation_id: Uuid,
    pub payload: &'a str,
}

impl Taps {
    pub(crate) fn open(&self, wanted: Wanted) -> mpsc::Receiver<Commit> {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((wanted, sender));
        receiver
    }

    /// Tells every listener of the shard. Never waits: a listener that is full misses the commit.
    pub(crate) fn tell<'a, I: Iterator<Item = Told<'a>>>(
        &self,
        shard: i32,
        (first_position, last_position): (i64, i64),
        events: impl Fn() -> I,
    ) {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taps.retain(|(_, sender)| !sender.is_closed());
        for (wanted, sender) in taps.iter().filter(|(wanted, _)| wanted.shard == shard) {
            let Ok(place) = sender.try_reserve() else { continue };
            let ours = events().filter(|event| event.aggregate_type == wanted.aggregate_type);
            let news = ours.filter_map(|event| {
                let pick = (wanted.pick)(event.event_type);
                (pick != Pick::Nothing).then(|| News {
                    aggregate_id: event.aggregate_id.to_owned(),
                    event_type: event.event_type.to_owned(),
                    sequence: event.sequence,
                    event_id: event_id(event.request_id, event.index),
                    correlation_id: event.correlation_id,
                    payload: (pick == Pick::Payload).then(|| event.payload.to_owned()),
                })
            });
            place.send(Commit { first_position, last_position, news: news.collect() });
        }
    }
}
