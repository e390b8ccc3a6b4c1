//! Takes a file of events into the log.
//!
//! The whole file is checked before the first event is written, so that of a stream all or nothing is taken. A process
//! that dies in between leaves a beginning; a repetition compares it and goes on.

use std::collections::HashMap;
use std::io::BufRead;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::plan::{Piece, Pieces};
use super::{TransferError, TransferredEvent};
use crate::repository::EventRepository;

/// Appends under way at a time; the sequencer makes batches of them.
const AHEAD: usize = 256;
/// Pieces that are read at a time.
const READ: usize = 4_096;

/// What was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub streams: u64,
    /// Events of the file.
    pub events: u64,
    /// Those of them that were there before.
    pub known: u64,
}

/// Takes the events that `open` gives, which is called twice: once to check all of them, once to write them.
pub async fn import<R: BufRead>(
    repository: &dyn EventRepository,
    mut open: impl FnMut() -> std::io::Result<R>,
    mut progress: impl FnMut(u64),
) -> Result<Imported, TransferError> {
    let mut imported = check(repository, open()?).await?;
    let (mut pieces, mut written) = (Pieces::new(open()?), 0);
    loop {
        let mut requests = Vec::new();
        while requests.len() < READ
            && let Some(piece) = pieces.next()?
        {
            requests.push(piece.request);
        }
        if requests.is_empty() {
            return Ok(imported);
        }
        // They are begun in order, and so written in order.
        let mut appends = stream::iter(requests)
            .map(|request| async move {
                let count = request.events.len() as u64;
                repository.append(request).await.map(|appended| (count, appended.repeated))
            })
            .buffered(AHEAD);
        while let Some((count, repeated)) = appends.try_next().await? {
            imported.known += if repeated { count } else { 0 };
            written += count;
            progress(written);
        }
    }
}

async fn check<R: BufRead>(repository: &dyn EventRepository, input: R) -> Result<Imported, TransferError> {
    let mut imported = Imported::default();
    // The last sequence that is stored of each stream.
    let mut streams: HashMap<String, i64> = HashMap::new();
    let mut pieces = Pieces::new(input);
    while let Some(Piece { first_line, events, .. }) = pieces.next()? {
        let Some(first) = events.first() else { continue };
        let stream = first.stream();
        let stored = if let Some(stored) = streams.get(&stream) {
            *stored
        } else {
            let stored = last_sequence(repository, first).await?;
            if stored < first.sequence - 1 {
                let (expected, found) = (stored + 1, first.sequence);
                return Err(TransferError::Gap { line: first_line, stream, expected, found });
            }
            imported.streams += 1;
            streams.insert(stream, stored);
            stored
        };
        imported.events += events.len() as u64;
        if first.sequence <= stored {
            compare(repository, first_line, &events).await?;
        }
    }
    Ok(imported)
}

/// Finds the end of a stream: whole pages are skipped while they are full.
async fn last_sequence(repository: &dyn EventRepository, of: &TransferredEvent) -> Result<i64, TransferError> {
    let (mut low, mut step) = (0_i64, 1_i64);
    let (kind, id) = (&of.aggregate_type, &of.aggregate_id);
    let beyond = async |after: i64| repository.raw_stream(kind, id, after, 1).await.map(|found| !found.is_empty());
    // Sequences have no gaps, so an event after one says that all up to it are there.
    while beyond(low + step - 1).await? {
        low += step;
        step = step.saturating_mul(2);
    }
    while step > 1 {
        step /= 2;
        if beyond(low + step - 1).await? {
            low += step;
        }
    }
    Ok(low)
}

/// What is stored under the sequences of `events` must be these events.
async fn compare(
    repository: &dyn EventRepository,
    first_line: u64,
    events: &[TransferredEvent],
) -> Result<(), TransferError> {
    let Some(first) = events.first() else { return Ok(()) };
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let (kind, id) = (&first.aggregate_type, &first.aggregate_id);
    let stored = repository.raw_stream(kind, id, first.sequence - 1, count).await?;
    for ((line, event), raw) in (first_line..).zip(events).zip(&stored) {
        let same = raw.event_id == event.event_id
            && raw.sequence == event.sequence
            && raw.event_type == event.event_type
            && raw.event_version == event.event_version
            && raw.payload == event.payload.get()
            && raw.metadata == event.metadata.get();
        if !same {
            let (stream, sequence) = (event.stream(), event.sequence);
            return Err(TransferError::StreamDiffers { line, stream, sequence });
        }
    }
    Ok(())
}
