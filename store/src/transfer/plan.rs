//! Reads a file of events and puts the lines together to the requests that they were appended with.
//!
//! Every rule that needs nothing but the file is held here.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use chrono::SubsecRound;
use domain::any_event::AnyEvent;
use domain::ids::RequestId;
use domain::metadata::Metadata;
use serde_json::Value;

use super::{TransferError, TransferredEvent};
use crate::event::{NewEvent, event_id, metadata_text};
use crate::repository::{AppendRequest, DEFAULT_SHARD};

/// Longest line, in bytes: more than any event.
const LONGEST_LINE: usize = 32 * 1024 * 1024;

/// The lines of one append.
pub(super) struct Piece {
    pub first_line: u64,
    pub request: AppendRequest,
    /// As they are in the file, for comparing them with what is stored.
    pub events: Vec<TransferredEvent>,
}

/// Reads pieces one after the other.
pub(super) struct Pieces<R> {
    input: R,
    line: u64,
    begun: Option<Piece>,
    ended: bool,
    requests: HashSet<RequestId>,
    /// The last sequence of each stream that was seen.
    streams: HashMap<(String, String), i64>,
}

impl<R: BufRead> Pieces<R> {
    pub fn new(input: R) -> Self {
        Self { input, line: 0, begun: None, ended: false, requests: HashSet::new(), streams: HashMap::new() }
    }

    /// The next piece; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Piece>, TransferError> {
        while !self.ended {
            let Some((event, metadata)) = self.read()? else {
                self.ended = true;
                break;
            };
            let new = new_event(self.line, &event)?;
            match &mut self.begun {
                Some(piece) if piece.request.request_id == metadata.request_id => {
                    check_id(self.line, &event, metadata.request_id, piece.events.len())?;
                    if piece.request.metadata != metadata || piece.events[0].stream() != event.stream() {
                        return Err(foreign(self.line, "it differs from the events that were appended with it"));
                    }
                    piece.request.events.push(new);
                    piece.events.push(event);
                }
                _ => {
                    check_id(self.line, &event, metadata.request_id, 0)?;
                    if !self.requests.insert(metadata.request_id) {
                        return Err(foreign(self.line, "its request was appended before, apart from it"));
                    }
                    let request = AppendRequest {
                        request_id: metadata.request_id,
                        aggregate_type: event.aggregate_type.clone(),
                        aggregate_id: event.aggregate_id.clone(),
                        expected_sequence: event.sequence - 1,
                        events: vec![new],
                        metadata,
                        held_epoch: None,
                    };
                    let piece = Piece { first_line: self.line, request, events: vec![event] };
                    if let Some(whole) = self.begun.replace(piece) {
                        return Ok(Some(whole));
                    }
                }
            }
        }
        Ok(self.begun.take())
    }

    fn read(&mut self) -> Result<Option<(TransferredEvent, Metadata)>, TransferError> {
        let mut text = String::new();
        loop {
            text.clear();
            if self.input.read_line(&mut text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if text.len() > LONGEST_LINE {
                return Err(malformed(self.line, "it is longer than any event"));
            }
            if !text.trim().is_empty() {
                break;
            }
        }
        let event: TransferredEvent =
            serde_json::from_str(text.trim_end()).map_err(|error| malformed(self.line, error))?;
        if event.shard != DEFAULT_SHARD {
            return Err(malformed(self.line, format!("there is no shard {}", event.shard)));
        }
        let metadata = metadata_of(self.line, &event)?;
        let key = (event.aggregate_type.clone(), event.aggregate_id.clone());
        let last = self.streams.entry(key).or_insert(event.sequence - 1);
        if event.sequence != *last + 1 || event.sequence < 1 {
            let (expected, stream) = (*last + 1, event.stream());
            return Err(TransferError::Gap { line: self.line, stream, expected, found: event.sequence });
        }
        *last = event.sequence;
        Ok(Some((event, metadata)))
    }
}

fn malformed(line: u64, reason: impl ToString) -> TransferError {
    TransferError::Malformed { line, reason: reason.to_string() }
}

fn foreign(line: u64, reason: &'static str) -> TransferError {
    TransferError::Foreign { line, reason }
}

fn metadata_of(line: u64, event: &TransferredEvent) -> Result<Metadata, TransferError> {
    let map = serde_json::from_str(event.metadata.get()).map_err(|error| malformed(line, error))?;
    let metadata = Metadata::from_map(&map).map_err(|error| malformed(line, error))?;
    if metadata_text(&metadata)? != event.metadata.get() {
        return Err(foreign(line, "its metadata has another form"));
    }
    if metadata.recorded_at.trunc_subsecs(6) != event.recorded_at {
        return Err(foreign(line, "its time is not that of its metadata"));
    }
    Ok(metadata)
}

fn new_event(line: u64, event: &TransferredEvent) -> Result<NewEvent, TransferError> {
    let (event_type, event_version) = (&event.event_type, &event.event_version);
    let payload: Value = serde_json::from_str(event.payload.get()).map_err(|error| malformed(line, error))?;
    AnyEvent::decode(&event.aggregate_type, &event.aggregate_id, event_type, event_version, payload)
        .map_err(|error| malformed(line, error))?;
    Ok(NewEvent::try_new(event_type.clone(), event_version.clone(), &event.payload)?)
}

fn check_id(line: u64, event: &TransferredEvent, request: RequestId, index: usize) -> Result<(), TransferError> {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    if event_id(request, index) == event.event_id {
        return Ok(());
    }
    Err(foreign(line, "its id does not follow from its request, or an event before it is missing"))
}
