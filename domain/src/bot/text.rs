//! How long the free texts of a bot may be.
//!
//! What a person typed, or what names something, is refused when it is too long; what a machine says about an outcome
//! is cut, because the outcome must be recorded all the same.

use super::error::BotError;

/// Longest reason that a person may give, in characters.
pub(super) const LONGEST_REASON: usize = 500;
/// Longest code of a failure, kind of a challenge or purpose of a request.
pub(super) const LONGEST_CODE: usize = 100;
/// Longest evidence of an outcome.
pub(super) const LONGEST_EVIDENCE: usize = 1_000;
/// Longest key by which the platform or the keyring names something.
pub(super) const LONGEST_KEY: usize = 200;

/// `text`, unless it is longer than `most` characters.
pub(super) fn checked(field: &'static str, text: String, most: usize) -> Result<String, BotError> {
    let length = text.chars().count();
    if length > most { Err(BotError::TooLong { field, length, most }) } else { Ok(text) }
}

/// `text` without what is over `most` characters.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
    text
}
