//! How much a text varies, and the rule that follows: no text goes to many people in the same words.

use std::collections::BTreeSet;

use super::{Node, TemplateError};
use crate::bot::MOST_ALIKE;

/// A text for more than [`MOST_ALIKE`] people has the person's name in each of its variants, or so many variants that on
/// average no more than [`MOST_ALIKE`] people get the same one.
pub(super) fn check(nodes: &[Node], targets: u32) -> Result<(), TemplateError> {
    if can_be_empty(nodes) {
        return Err(TemplateError::Empty);
    }
    let (variants, needed) = (variants(nodes), u64::from(targets.div_ceil(MOST_ALIKE)));
    if targets <= MOST_ALIKE || always_tells_apart(nodes) || variants >= needed {
        return Ok(());
    }
    Err(TemplateError::TooUniform { targets, variants, needed })
}

/// Different texts for one person. Alternatives that are the same count once.
pub(super) fn variants(nodes: &[Node]) -> u64 {
    nodes.iter().fold(1, |product: u64, node| match node {
        Node::Text(_) | Node::Variable { .. } => product,
        Node::Choice(alternatives) => {
            let different: BTreeSet<&Vec<Node>> = alternatives.iter().collect();
            let sum = different.into_iter().fold(0, |sum: u64, nodes| sum.saturating_add(variants(nodes)));
            product.saturating_mul(sum)
        }
    })
}

/// Whether every variant says who the person is.
fn always_tells_apart(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Variable { variable, .. } => variable.tells_people_apart(),
        Node::Choice(alternatives) => alternatives.iter().all(|nodes| always_tells_apart(nodes)),
    })
}

/// Whether a variant has no words even for a person of whom everything is known.
fn can_be_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(text) => text.trim().is_empty(),
        Node::Variable { .. } => false,
        Node::Choice(alternatives) => alternatives.iter().any(|nodes| can_be_empty(nodes)),
    })
}
