//! To whom the product may write, and who asked for no more: pure decisions over what a conversation shows.

use super::filters::has_words;
use super::skip::{Judgement, Read, SkipReason};

/// Words and phrases that end all contact, whatever a campaign adds.
pub const STOP_WORDS: &[&str] = &[
    "stop",
    "stopp",
    "unsubscribe",
    "opt out",
    "leave me alone",
    "do not contact",
    "don't contact",
    "do not message",
    "don't message",
    "no more messages",
    "not interested",
    "spam",
    "basta",
    "arrête",
    "arrêtez",
];

/// What the account and a person have written to each other, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// What the person wrote, in any order.
    pub theirs: Vec<String>,
    /// Whether the person wrote anything, be it without words.
    pub has_theirs: bool,
}

/// The stop word in what the person wrote: one of [`STOP_WORDS`] or of the campaign's own.
#[must_use]
pub fn stop_word<'a>(conversation: &Conversation, own: &'a [String]) -> Option<&'a str> {
    let all = STOP_WORDS.iter().copied().chain(own.iter().map(String::as_str));
    all.into_iter().find(|word| conversation.theirs.iter().any(|text| has_words(text, word)))
}

/// Whether the account may write to a person.
///
/// A conversation is open when the person has written in it; our own words alone open nothing. `follows_us` is asked
/// for only when there is no such conversation.
#[must_use]
pub fn may_write(
    conversation: Option<&Conversation>,
    follows_us: Option<Option<bool>>,
    own_stop_words: &[String],
) -> Judgement {
    let Some(conversation) = conversation else { return Judgement::Needs(Read::Conversation) };
    if stop_word(conversation, own_stop_words).is_some() {
        return Judgement::Skip(SkipReason::SaidStop);
    }
    if conversation.has_theirs {
        return Judgement::Pass;
    }
    match follows_us {
        None => Judgement::Needs(Read::Relationship),
        Some(Some(true)) => Judgement::Pass,
        Some(_) => Judgement::Skip(SkipReason::NotOpenToMessages),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(texts: &[&str]) -> Conversation {
        let theirs: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Conversation { has_theirs: !theirs.is_empty(), theirs }
    }

    #[test]
    fn followers_and_whoever_wrote_may_be_written_to() {
        assert_eq!(may_write(None, None, &[]), Judgement::Needs(Read::Conversation));
        assert_eq!(may_write(Some(&wrote(&["hi"])), None, &[]), Judgement::Pass);
        assert_eq!(may_write(Some(&wrote(&[])), None, &[]), Judgement::Needs(Read::Relationship));
        assert_eq!(may_write(Some(&wrote(&[])), Some(Some(true)), &[]), Judgement::Pass);
        let picture = Conversation { theirs: Vec::new(), has_theirs: true };
        assert_eq!(may_write(Some(&picture), None, &[]), Judgement::Pass);
    }

    #[test]
    fn nobody_else_is_written_to() {
        for follows_us in [Some(Some(false)), Some(None)] {
            let judgement = may_write(Some(&wrote(&[])), follows_us, &[]);
            assert_eq!(judgement, Judgement::Skip(SkipReason::NotOpenToMessages));
        }
    }

    #[test]
    fn a_stop_word_ends_it_even_for_followers() {
        for text in ["STOP", "please stop!", "Stop.", "I said: don’t message me", "BASTA"] {
            let judgement = may_write(Some(&wrote(&["hi", text])), Some(Some(true)), &[]);
            assert_eq!(judgement, Judgement::Skip(SkipReason::SaidStop), "{text:?}");
        }
        for text in ["nonstop", "stopping by", "stops"] {
            assert_eq!(may_write(Some(&wrote(&[text])), None, &[]), Judgement::Pass, "{text:?}");
        }
    }

    #[test]
    fn a_campaign_adds_stop_words_of_its_own() {
        let own = ["nein danke".to_owned()];
        assert_eq!(stop_word(&wrote(&["Nein, danke!"]), &own), Some("nein danke"));
        assert_eq!(stop_word(&wrote(&["danke"]), &own), None);
    }
}
