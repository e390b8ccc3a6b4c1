//! Tamper evidence: a Merkle root over each batch of stored events, and a chain over the batches.
//!
//! Every value is prefixed with its kind and every text with its length, so that no two different
//! batches encode the same. Signing the chain, and finding the first bad batch, is `audit`'s part.

use sha2::{Digest, Sha256};

use crate::event::RawEvent;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The chain hash of a shard without events.
pub const EMPTY_CHAIN: Hash = [0; 32];

const LEAF: u8 = 0;
const NODE: u8 = 1;
const LINK: u8 = 2;

/// What of an event is hashed: everything that is stored.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    pub shard: i32,
    pub position: i64,
    pub event_id: uuid::Uuid,
    pub aggregate_type: &'a str,
    pub aggregate_id: &'a str,
    pub sequence: i64,
    pub event_type: &'a str,
    pub event_version: &'a str,
    pub payload: &'a str,
    pub metadata: &'a str,
    pub recorded_at_micros: i64,
}

impl<'a> From<&'a RawEvent> for Leaf<'a> {
    fn from(event: &'a RawEvent) -> Self {
        Self {
            shard: event.shard,
            position: event.position,
            event_id: event.event_id,
            aggregate_type: &event.aggregate_type,
            aggregate_id: &event.aggregate_id,
            sequence: event.sequence,
            event_type: &event.event_type,
            event_version: &event.event_version,
            payload: &event.payload,
            metadata: &event.metadata,
            recorded_at_micros: event.recorded_at.timestamp_micros(),
        }
    }
}

impl Leaf<'_> {
    /// The leaf's hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update([LEAF]);
        hasher.update(self.shard.to_be_bytes());
        hasher.update(self.position.to_be_bytes());
        hasher.update(self.event_id.as_bytes());
        hasher.update(self.sequence.to_be_bytes());
        hasher.update(self.recorded_at_micros.to_be_bytes());
        let texts =
            [self.aggregate_type, self.aggregate_id, self.event_type, self.event_version, self.payload, self.metadata];
        for text in texts {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// The Merkle root over `leaves`, in order. An odd one moves up as it is.
#[must_use]
pub fn root(mut leaves: Vec<Hash>) -> Hash {
    while leaves.len() > 1 {
        leaves = leaves
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                odd => odd[0],
            })
            .collect();
    }
    leaves.first().copied().unwrap_or(EMPTY_CHAIN)
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([NODE]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The chain hash after a batch: it continues `previous` with the batch's place and root.
#[must_use]
pub fn link(previous: &Hash, shard: i32, first: i64, last: i64, root: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([LINK]);
    hasher.update(previous);
    hasher.update(shard.to_be_bytes());
    hasher.update(first.to_be_bytes());
    hasher.update(last.to_be_bytes());
    hasher.update(root);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(payload: &str, metadata: &str) -> Hash {
        Leaf {
            shard: 0,
            position: 1,
            event_id: uuid::Uuid::nil(),
            aggregate_type: "Bot",
            aggregate_id: "1",
            sequence: 1,
            event_type: "BotInitialized",
            event_version: "1",
            payload,
            metadata,
            recorded_at_micros: 0,
        }
        .hash()
    }

    #[test]
    fn text_that_moves_between_fields_changes_the_hash() {
        assert_ne!(leaf("{}x", ""), leaf("{}", "x"));
    }

    #[test]
    fn root_depends_on_every_leaf_and_on_their_order() {
        let leaves: Vec<Hash> = (0..5).map(|n| leaf(&n.to_string(), "{}")).collect();
        let whole = root(leaves.clone());
        for index in 0..leaves.len() {
            let mut changed = leaves.clone();
            changed[index][0] ^= 1;
            assert_ne!(root(changed), whole);
        }
        let mut swapped = leaves.clone();
        swapped.swap(0, 1);
        assert_ne!(root(swapped), whole);
    }

    #[test]
    fn a_root_cannot_be_taken_for_a_leaf() {
        let (left, right) = (leaf("1", "{}"), leaf("2", "{}"));
        assert_ne!(root(vec![left, right]), node(&right, &left));
        assert_ne!(link(&EMPTY_CHAIN, 0, 1, 2, &left), link(&EMPTY_CHAIN, 0, 1, 3, &left));
    }
}
