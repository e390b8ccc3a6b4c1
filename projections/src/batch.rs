//! Applies events to a projection within a transaction that the caller owns: rows, parked events and checkpoint
//! together. An event that cannot be taken is undone alone and parks its stream.

use sqlx::{Connection, PgConnection};
use store::event::{RawEvent, StoredEvent};

use crate::checkpoint::{self, Checkpoint};
use crate::error::{Blame, ProjectionError};
use crate::parked;
use crate::projection::{LogEvent, Projection};

/// Where an event is from, known even of one that does not decode.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub shard: i32,
    pub position: i64,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
}

/// An event as it came from the log.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub origin: Origin,
    /// `None`: the projection does not read events of such aggregates.
    decoded: Option<Result<LogEvent, Unreadable>>,
}

/// Why an event does not read.
#[derive(Debug, Clone)]
struct Unreadable {
    code: &'static str,
    reason: String,
}

impl From<StoredEvent> for Incoming {
    fn from(stored: StoredEvent) -> Self {
        let origin = Origin {
            shard: stored.shard,
            position: stored.position,
            aggregate_type: stored.aggregate_type.clone(),
            aggregate_id: stored.aggregate_id.clone(),
            sequence: stored.sequence,
            event_type: stored.event_type.clone(),
        };
        let decoded = match stored.decode() {
            Ok(event) => Ok(LogEvent { stored, event }),
            Err(error) => Err(Unreadable { code: error.code(), reason: ProjectionError::from(error).reason() }),
        };
        Self { origin, decoded: Some(decoded) }
    }
}

impl Incoming {
    /// The event as `projection` takes it.
    pub(crate) fn of(raw: RawEvent, projection: &dyn Projection) -> Self {
        let reads = projection.reads();
        if reads.is_empty() || reads.contains(&raw.aggregate_type.as_str()) {
            return Self::from(raw);
        }
        let RawEvent { shard, position, aggregate_type, aggregate_id, sequence, event_type, .. } = raw;
        Self { origin: Origin { shard, position, aggregate_type, aggregate_id, sequence, event_type }, decoded: None }
    }
}

impl From<RawEvent> for Incoming {
    fn from(raw: RawEvent) -> Self {
        let origin = Origin {
            shard: raw.shard,
            position: raw.position,
            aggregate_type: raw.aggregate_type.clone(),
            aggregate_id: raw.aggregate_id.clone(),
            sequence: raw.sequence,
            event_type: raw.event_type.clone(),
        };
        match StoredEvent::try_from(raw) {
            Ok(stored) => Self::from(stored),
            Err(error) => {
                let unreadable = Unreadable { code: error.code(), reason: error.to_string() };
                Self { origin, decoded: Some(Err(unreadable)) }
            }
        }
    }
}

impl Incoming {
    /// Applies this event under a savepoint: when it fails, nothing of it is left.
    pub(crate) async fn apply(
        &self,
        db: &mut PgConnection,
        projection: &dyn Projection,
    ) -> Result<(), ProjectionError> {
        let event = match &self.decoded {
            None => return Ok(()),
            Some(Ok(event)) => event,
            Some(Err(Unreadable { code, reason })) => {
                return Err(ProjectionError::Unreadable { code, reason: reason.clone() });
            }
        };
        let mut savepoint = db.begin().await?;
        match projection.apply(&mut savepoint, event).await {
            Ok(()) => Ok(savepoint.commit().await?),
            Err(error) => {
                savepoint.rollback().await?;
                Err(error)
            }
        }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The rows have all of it; the checkpoint is here now.
    To(Checkpoint),
    /// Somebody else moved the checkpoint. Nothing may be committed.
    Elsewhere,
}

/// Applies `events`, which follow `from` without a gap, and moves the checkpoint.
pub(crate) async fn apply(
    db: &mut PgConnection,
    projection: &dyn Projection,
    shard: i32,
    from: Checkpoint,
    events: &[Incoming],
) -> Result<Applied, ProjectionError> {
    let name = projection.name();
    if checkpoint::lock(db, name, shard).await? != Some(from) {
        return Ok(Applied::Elsewhere);
    }
    if !apply_together(db, projection, shard, events).await? {
        apply_one_by_one(db, projection, shard, events).await?;
    }
    let to = Checkpoint { position: from.position + i64::try_from(events.len()).unwrap_or(i64::MAX), ..from };
    if checkpoint::advance(db, name, shard, from, to).await? { Ok(Applied::To(to)) } else { Ok(Applied::Elsewhere) }
}

/// The usual way: no stream is parked and all events are taken. False: nothing was applied, go one by one.
async fn apply_together(
    db: &mut PgConnection,
    projection: &dyn Projection,
    shard: i32,
    events: &[Incoming],
) -> Result<bool, ProjectionError> {
    let read: Vec<_> = events.iter().filter_map(|event| event.decoded.as_ref()).collect();
    if read.is_empty() {
        return Ok(true);
    }
    let decoded: Vec<_> = read.iter().filter_map(|event| event.as_ref().ok()).collect();
    if decoded.len() < read.len() || !parked::streams_among(db, projection.name(), shard, events).await?.is_empty() {
        return Ok(false);
    }
    let mut savepoint = db.begin().await?;
    match projection.apply_all(&mut savepoint, &decoded).await {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(error) if error.blame() == Blame::Event => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn apply_one_by_one(
    db: &mut PgConnection,
    projection: &dyn Projection,
    shard: i32,
    events: &[Incoming],
) -> Result<(), ProjectionError> {
    let name = projection.name();
    let mut streams = parked::streams_among(db, name, shard, events).await?;
    for event in events {
        let origin = &event.origin;
        let stream = (origin.aggregate_type.clone(), origin.aggregate_id.clone());
        if streams.contains(&stream) {
            parked::park(db, name, origin, &ProjectionError::StreamParked).await?;
            continue;
        }
        let Err(error) = event.apply(db, projection).await else { continue };
        if error.blame() == Blame::Elsewhere {
            return Err(error);
        }
        tracing::error!(
            projection = name,
            event.position = origin.position,
            event.type = %origin.event_type,
            stream = %format_args!("{}-{}", origin.aggregate_type, origin.aggregate_id),
            error.code = error.code(),
            error = %error.reason(),
            "an event could not be applied; its stream is parked in this projection",
        );
        parked::park(db, name, origin, &error).await?;
        streams.insert(stream);
    }
    Ok(())
}
