//! Planning a batch: which of the waiting requests go into it, where, and what they hash to.
//!
//! Pure: it is given what is known of the streams and the shard, and reads nothing.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, SubsecRound, Utc};
use domain::ids::RequestId;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{AppendRequest, Appended};
use crate::error::StoreError;
use crate::event::{event_id, metadata_text};
use crate::merkle::{self, Leaf};

/// The name of a stream, hashed once and cheap to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamKey {
    hash: u64,
    /// The type, a zero byte, the id; neither has one in it.
    name: Arc<str>,
}

impl StreamKey {
    pub fn new(aggregate_type: &str, aggregate_id: &str) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let mut name = String::with_capacity(aggregate_type.len() + 1 + aggregate_id.len());
        name.push_str(aggregate_type);
        name.push('\0');
        name.push_str(aggregate_id);
        Self { hash: HASHER.hash_one(&name), name: name.into() }
    }

    /// Type and id.
    pub fn parts(&self) -> (&str, &str) {
        self.name.split_once('\0').unwrap_or((&self.name, ""))
    }
}

impl Hash for StreamKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Where a shard's log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShardHead {
    pub position: i64,
    pub chain_hash: merkle::Hash,
}

/// A request that waits for its answer.
pub(super) struct Pending {
    pub prepared: Box<Prepared>,
    /// The epoch that must not have been lost.
    pub epoch: i64,
    /// A statement with it had no outcome: it may be stored, here.
    pub uncertain: Option<Appended>,
    /// It expected more of its stream than was known, and what is known has been read again.
    pub read_again: bool,
    pub reply: oneshot::Sender<Answer>,
}

/// A request, and all that does not depend on the order of requests.
pub(super) struct Prepared {
    pub request: AppendRequest,
    pub stream: StreamKey,
    pub metadata: String,
    pub recorded_at: DateTime<Utc>,
    /// Of its events, in order.
    pub event_ids: Vec<Uuid>,
}

/// The answer to a request. The request goes back with it, so that whoever made it frees it, and
/// not the one task through which all requests go.
pub(super) struct Answer {
    pub result: Result<Appended, StoreError>,
    _spent: Box<Prepared>,
}

/// The first result of a request.
#[derive(Clone)]
pub(super) struct First {
    pub stream: StreamKey,
    pub appended: Appended,
}

impl Prepared {
    pub fn try_new(request: AppendRequest) -> Result<Self, StoreError> {
        request.check()?;
        let metadata = metadata_text(&request.metadata)?;
        let stream = StreamKey::new(&request.aggregate_type, &request.aggregate_id);
        let recorded_at = request.metadata.recorded_at.trunc_subsecs(6);
        let event_ids = (0..).zip(&request.events).map(|(index, _)| event_id(request.request_id, index)).collect();
        Ok(Self { request, stream, metadata, recorded_at, event_ids })
    }
}

impl Pending {
    pub fn new(prepared: Prepared, epoch: i64, reply: oneshot::Sender<Answer>) -> Self {
        Self { prepared: Box::new(prepared), epoch, uncertain: None, read_again: false, reply }
    }

    pub fn id(&self) -> RequestId {
        self.prepared.request.request_id
    }

    pub fn stream(&self) -> &StreamKey {
        &self.prepared.stream
    }

    /// Whoever asked may have gone away; that is fine.
    pub fn settle(self, result: Result<Appended, StoreError>) {
        let _ = self.reply.send(Answer { result, _spent: self.prepared });
    }

    /// Answers with what is stored under this request id: by an earlier request, or by this one.
    pub fn answer_with(self, first: &First) {
        let mut result = self.prepared.request.answer(first.stream.parts(), first.appended);
        if let (Some(placed), Ok(appended)) = (self.uncertain, &mut result) {
            appended.repeated = placed.first_position != appended.first_position;
        }
        self.settle(result);
    }
}

/// What becomes of the waiting requests in this round.
#[derive(Default)]
pub(super) struct Plan {
    /// In the batch, with the places that they get.
    pub accepted: Vec<(Pending, Appended)>,
    /// Their streams are further than they expect.
    pub behind: Vec<Pending>,
    /// They expect more than is known of their streams.
    pub ahead: Vec<Pending>,
    /// For the next round.
    pub later: Vec<Pending>,
}

/// Sorts `pending`, in order. `known` gives the last sequence of every stream in it. A request that
/// repeats another of this batch waits for that one's answer; one that continues another's stream
/// joins it. With `alone`, only one request is accepted.
pub(super) fn plan(
    pending: Vec<Pending>,
    head: ShardHead,
    alone: bool,
    mut known: impl FnMut(&StreamKey) -> i64,
) -> Plan {
    let mut plan = Plan::default();
    let mut requests = HashSet::with_capacity(pending.len());
    let mut moved: HashMap<StreamKey, i64> = HashMap::new();
    let mut position = head.position;
    for waiting in pending {
        if !requests.insert(waiting.id()) || (alone && !plan.accepted.is_empty()) {
            plan.later.push(waiting);
            continue;
        }
        let at = moved.get(waiting.stream()).copied();
        let at = at.unwrap_or_else(|| known(waiting.stream()));
        let expected = waiting.prepared.request.expected_sequence;
        match expected.cmp(&at) {
            Ordering::Less => plan.behind.push(waiting),
            Ordering::Greater => plan.ahead.push(waiting),
            Ordering::Equal => {
                let count = i64::try_from(waiting.prepared.request.events.len()).unwrap_or(i64::MAX);
                let appended = Appended {
                    first_sequence: at + 1,
                    last_sequence: at + count,
                    first_position: position + 1,
                    last_position: position + count,
                    repeated: false,
                };
                position += count;
                moved.insert(waiting.stream().clone(), appended.last_sequence);
                plan.accepted.push((waiting, appended));
            }
        }
    }
    plan
}

/// The rows of a batch, column by column, as the statement takes them.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub aggregate_types: Vec<&'a str>,
    pub aggregate_ids: Vec<&'a str>,
    pub sequences: Vec<i64>,
    pub event_types: Vec<&'a str>,
    pub event_versions: Vec<&'a str>,
    pub payloads: Vec<&'a str>,
    pub metadata: Vec<&'a str>,
    pub event_ids: Vec<Uuid>,
    pub recorded_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    /// About as many bytes as they are on their way to the database, and rather more.
    pub fn size(&self) -> usize {
        const REST_OF_A_ROW: usize = 160;
        let texts = self.payloads.iter().chain(&self.metadata).map(|text| text.len()).sum::<usize>();
        texts + self.payloads.len() * REST_OF_A_ROW
    }

    fn push(&mut self, leaf: &Leaf<'a>, recorded_at: DateTime<Utc>) {
        self.aggregate_types.push(leaf.aggregate_type);
        self.aggregate_ids.push(leaf.aggregate_id);
        self.sequences.push(leaf.sequence);
        self.event_types.push(leaf.event_type);
        self.event_versions.push(leaf.event_version);
        self.payloads.push(leaf.payload);
        self.metadata.push(leaf.metadata);
        self.event_ids.push(leaf.event_id);
        self.recorded_at.push(recorded_at);
    }
}

/// What one statement stores.
pub(super) struct Batch<'a> {
    pub columns: Columns<'a>,
    pub merkle_root: merkle::Hash,
    pub before: ShardHead,
    pub after: ShardHead,
}

impl<'a> Batch<'a> {
    /// The rows of `accepted`, which continue `before` of `shard`.
    pub fn of(accepted: &'a [(Pending, Appended)], shard: i32, before: ShardHead) -> Self {
        let mut columns = Columns::default();
        let mut leaves = Vec::with_capacity(accepted.len());
        let mut position = before.position;
        for (pending, appended) in accepted {
            let Prepared { request, metadata, recorded_at, event_ids, .. } = &*pending.prepared;
            for ((event_id, sequence), event) in event_ids.iter().zip(appended.first_sequence..).zip(&request.events) {
                position += 1;
                let leaf = Leaf {
                    shard,
                    position,
                    event_id: *event_id,
                    aggregate_type: &request.aggregate_type,
                    aggregate_id: &request.aggregate_id,
                    sequence,
                    event_type: &event.event_type,
                    event_version: &event.event_version,
                    payload: event.payload(),
                    metadata,
                    recorded_at_micros: recorded_at.timestamp_micros(),
                };
                leaves.push(leaf.hash());
                columns.push(&leaf, *recorded_at);
            }
        }
        let merkle_root = merkle::root(leaves);
        let first = before.position + 1;
        let chain_hash = merkle::link(&before.chain_hash, shard, first, position, &merkle_root);
        Self { columns, merkle_root, before, after: ShardHead { position, chain_hash } }
    }
}
