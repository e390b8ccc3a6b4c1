//! What a bot said to how many people of late: the same words to many are what spam looks like.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::aggregate::Bot;
use crate::ids::derive;

/// So many people may be told the same.
pub const MOST_ALIKE: u32 = 5;
/// As long the same words count together.
pub const ALIKE_FOR: TimeDelta = TimeDelta::days(7);
/// So many different words are remembered; of more, those that were said the longest ago are forgotten.
const MOST_REMEMBERED: usize = 1_000;

/// Stands for words: the same for texts that differ in nothing but spaces and capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WordsId(Uuid);

impl WordsId {
    /// The id of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        Self(derive(&["words", &words.join(" ")]))
    }
}

impl Bot {
    /// How many people were told these words in earnest of late.
    #[must_use]
    pub fn times_said(&self, words: WordsId, now: DateTime<Utc>) -> u32 {
        self.words.times_said(words, now)
    }
}

/// When which words were said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Words(BTreeMap<WordsId, Vec<DateTime<Utc>>>);

impl Words {
    pub fn say(&mut self, words: WordsId, at: DateTime<Utc>) {
        self.0.retain(|_, said| {
            said.retain(|said| *said > at - ALIKE_FOR);
            !said.is_empty()
        });
        if !self.0.contains_key(&words) && self.0.len() >= MOST_REMEMBERED {
            let oldest = self.0.iter().min_by_key(|(_, said)| said.last().copied()).map(|(words, _)| *words);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.entry(words).or_default().push(at);
    }

    /// How many were told these words in the time before `now` in which they count together.
    pub fn times_said(&self, words: WordsId, now: DateTime<Utc>) -> u32 {
        let said = self.0.get(&words).map_or(0, |said| said.iter().filter(|at| **at > now - ALIKE_FOR).count());
        u32::try_from(said).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn texts_that_differ_in_spaces_and_capitals_are_the_same_words() {
        assert_eq!(WordsId::of("Nice  one!"), WordsId::of(" nice one! "));
        assert_ne!(WordsId::of("nice one!"), WordsId::of("nice one"));
    }

    #[test]
    fn words_count_together_for_a_week() {
        let (mut words, one) = (Words::default(), WordsId::of("nice one"));
        words.say(one, at(0));
        words.say(one, at(100));
        assert_eq!(words.times_said(one, at(167)), 2);
        assert_eq!(words.times_said(one, at(168)), 1);
        assert_eq!(words.times_said(WordsId::of("another"), at(168)), 0);
    }

    #[test]
    fn memory_of_words_has_a_bound() {
        let mut words = Words::default();
        for number in 0..1_500 {
            words.say(WordsId::of(&number.to_string()), at(0) + TimeDelta::seconds(number));
        }
        assert_eq!(words.0.len(), MOST_REMEMBERED);
        assert_eq!(words.times_said(WordsId::of("0"), at(1)), 0);
        assert_eq!(words.times_said(WordsId::of("1499"), at(1)), 1);
    }
}
