//! Why a text is not understood, or cannot be sent. Positions count characters, from 1.

use thiserror::Error;

use super::{DEEPEST, LONGEST_TEMPLATE, LONGEST_TEXT, Variable};
use crate::variants::codes;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("the text has {length} characters; at most {LONGEST_TEMPLATE} are allowed")]
    TooLong { length: usize },
    #[error("the brace at character {position} is never closed; write \\{{ for a brace that is one")]
    Unclosed { position: usize },
    #[error("the brace at character {position} closes nothing; write \\}} for a brace that is one")]
    Unopened { position: usize },
    #[error("there is nothing between the braces at character {position}")]
    EmptyBraces { position: usize },
    #[error("there is no variable {name:?} (character {position}); there are {}", known())]
    UnknownVariable { position: usize, name: String },
    #[error("after the backslash at character {position} comes none of {{ }} | \\")]
    BadEscape { position: usize },
    #[error("character {position} is one that no message can have")]
    BadLetter { position: usize },
    #[error("alternatives at character {position} stand deeper than {DEEPEST} in others")]
    TooDeep { position: usize },
    #[error("the text can come out empty; give every alternative some words")]
    Empty,
    #[error(
        "the text would be the same for too many of {targets} people: it has {variants} variants and needs {needed}, or \
         {{username}}, {{full_name}} or {{first_name}} in each of them"
    )]
    TooUniform { targets: u32, variants: u64, needed: u64 },
}

codes!(TemplateError {
    TooLong = "TEMPLATE_TOO_LONG",
    Unclosed = "TEMPLATE_UNCLOSED_BRACE",
    Unopened = "TEMPLATE_UNOPENED_BRACE",
    EmptyBraces = "TEMPLATE_EMPTY_BRACES",
    UnknownVariable = "TEMPLATE_UNKNOWN_VARIABLE",
    BadEscape = "TEMPLATE_BAD_ESCAPE",
    BadLetter = "TEMPLATE_BAD_LETTER",
    TooDeep = "TEMPLATE_TOO_DEEP",
    Empty = "TEMPLATE_EMPTY",
    TooUniform = "TEMPLATE_TOO_UNIFORM",
});

impl TemplateError {
    /// Where in the text it is, in characters from 1, if it is somewhere.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self {
            Self::Unclosed { position }
            | Self::Unopened { position }
            | Self::EmptyBraces { position }
            | Self::UnknownVariable { position, .. }
            | Self::BadEscape { position }
            | Self::BadLetter { position }
            | Self::TooDeep { position } => Some(*position),
            Self::TooLong { .. } | Self::Empty | Self::TooUniform { .. } => None,
        }
    }
}

/// Why a text cannot be sent to this person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RenderError {
    #[error("nothing is left of the text for this person")]
    Empty,
    #[error("the text comes out longer than {LONGEST_TEXT} characters")]
    TooLong,
}

codes!(RenderError { Empty = "TEMPLATE_RENDERS_EMPTY", TooLong = "TEMPLATE_RENDERS_TOO_LONG" });

fn known() -> String {
    Variable::ALL.iter().map(|variable| format!("{{{variable}}}")).collect::<Vec<_>>().join(", ")
}
