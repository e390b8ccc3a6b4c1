//! Texts that differ for each person: variables such as `{first_name}`, and alternatives such as `{hi|hello}`.
//!
//! `\{`, `\}`, `\|` and `\\` stand for the letters themselves. `{first_name?there}` says "there" to whoever has no first name.
//! A rendering depends on nothing but the text, the facts and the roll.

mod error;
mod parse;
mod render;
#[cfg(test)]
mod tests;
mod variety;

use std::fmt;
use std::str::FromStr;

pub use self::error::{RenderError, TemplateError};
pub use self::render::{Rendering, sample_people};
use super::filters::Facts;

/// Longest text with its braces, in characters.
pub const LONGEST_TEMPLATE: usize = 2_000;
/// Longest text of a message or a comment, in characters.
pub const LONGEST_TEXT: usize = 1_000;
/// How deep alternatives may stand in alternatives.
pub const DEEPEST: usize = 8;

/// A text that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Text(String),
    Variable {
        variable: Variable,
        /// What stands for it when the person has none.
        otherwise: Option<String>,
    },
    Choice(Vec<Vec<Node>>),
}

/// What a text can say of the person it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    Username,
    FullName,
    FirstName,
    Followers,
    Posts,
}

impl Variable {
    /// Every variable.
    pub const ALL: &'static [Self] = &[Self::Username, Self::FullName, Self::FirstName, Self::Followers, Self::Posts];

    /// The name between the braces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::FullName => "full_name",
            Self::FirstName => "first_name",
            Self::Followers => "followers",
            Self::Posts => "posts",
        }
    }

    /// Whether hardly two people have the same.
    const fn tells_people_apart(self) -> bool {
        matches!(self, Self::Username | Self::FullName | Self::FirstName)
    }

    /// Whether only the person's own page tells it.
    const fn is_of_profile(self) -> bool {
        matches!(self, Self::Followers | Self::Posts)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        parse::parse(text).map(|nodes| Self { nodes })
    }
}

impl Template {
    /// Whether a text says something that only the person's own page tells.
    #[must_use]
    pub fn needs_profile(&self) -> bool {
        any(&self.nodes, &|node| matches!(node, Node::Variable { variable, .. } if variable.is_of_profile()))
    }

    /// The text for a person. `roll` chooses among the alternatives.
    pub fn render(&self, facts: &Facts, roll: u64) -> Result<String, RenderError> {
        render::render(&self.nodes, facts, roll)
    }

    /// What the text becomes for a few people, with different rolls.
    #[must_use]
    pub fn preview(&self, people: &[Facts], count: usize) -> Vec<Rendering> {
        render::preview(self, people, count)
    }

    /// How many different texts the alternatives give for one person; at most `u64::MAX`.
    #[must_use]
    pub fn variants(&self) -> u64 {
        variety::variants(&self.nodes)
    }

    /// Refuses a text that would be empty, or the same for too many of `targets` people.
    pub fn check(&self, targets: u32) -> Result<(), TemplateError> {
        variety::check(&self.nodes, targets)
    }
}

fn any(nodes: &[Node], is: &impl Fn(&Node) -> bool) -> bool {
    nodes.iter().any(|node| match node {
        Node::Choice(alternatives) => alternatives.iter().any(|nodes| any(nodes, is)),
        node => is(node),
    })
}
