//! A definition as a person gave it, and how it is checked and brought into its stored form.

use super::definition::{Definition, HashtagTab, Module, Source};
use super::error::CampaignError;
use super::filters::{DraftFilters, people, words};
use super::person::{Person, Post};
use super::template::Template;

const LONGEST_NAME: usize = 80;
const LONGEST_HASHTAG: usize = 100;
const LONGEST_PLACE: usize = 100;
const MOST_TARGETS: u32 = 200;
/// Most people of an uploaded list.
pub const MOST_UPLOADED: usize = 10_000;
/// An uploaded list as it is stored; a request and a step's result have room for more.
pub const LARGEST_UPLOAD: usize = 192 * 1024;
const MOST_STOP_WORDS: usize = 50;

/// A definition as a person gave it, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub name: String,
    pub module: Module,
    pub source: DraftSource,
    pub max_targets: u32,
    pub filters: DraftFilters,
    pub text: Option<String>,
    pub stop_words: Vec<String>,
}

impl Draft {
    /// One that lets everybody through and says nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, module: Module, source: DraftSource, max_targets: u32) -> Self {
        let (name, filters) = (name.into(), DraftFilters::default());
        Self { name, module, source, max_targets, filters, text: None, stop_words: Vec::new() }
    }
}

/// A source as a person gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftSource {
    Hashtag {
        name: String,
        tab: HashtagTab,
    },
    /// `location_pk` must read as a whole number.
    Location {
        location_pk: String,
        tab: HashtagTab,
    },
    Place {
        query: String,
        tab: HashtagTab,
    },
    Followers {
        of: String,
    },
    Following {
        of: String,
    },
    /// A post's number or address.
    Likers {
        of: String,
    },
    List {
        people: Vec<String>,
    },
    Followed,
}

impl Draft {
    /// Checks it and brings it into its stored form.
    pub(super) fn check(self) -> Result<Definition, CampaignError> {
        let name = self.name.trim().to_owned();
        let length = name.chars().count();
        if length == 0 || length > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(CampaignError::InvalidName { length });
        }
        if !(1..=MOST_TARGETS).contains(&self.max_targets) {
            return Err(CampaignError::InvalidMaxTargets { given: self.max_targets });
        }
        let (module, source) = (self.module, source(self.source)?);
        if !module.takes(&source) {
            return Err(CampaignError::SourceNotForModule { module, kind: source.kind() });
        }
        let stop_words = words("stop_words", MOST_STOP_WORDS, self.stop_words)?;
        if module != Module::Dm && !stop_words.is_empty() {
            return Err(CampaignError::StopWordsNotForModule { module });
        }
        Ok(Definition {
            name,
            module,
            source,
            max_targets: self.max_targets,
            filters: Box::new(self.filters.check()?),
            text: text(module, self.text, self.max_targets)?,
            stop_words,
        })
    }
}

fn text(module: Module, given: Option<String>, max_targets: u32) -> Result<Option<String>, CampaignError> {
    match given {
        None if module.has_words() => Err(CampaignError::TextMissing { module }),
        None => Ok(None),
        Some(_) if !module.has_words() => Err(CampaignError::TextNotForModule { module }),
        Some(text) => {
            text.parse::<Template>()?.check(max_targets)?;
            Ok(Some(text))
        }
    }
}

fn source(given: DraftSource) -> Result<Source, CampaignError> {
    Ok(match given {
        DraftSource::Hashtag { name, tab } => Source::Hashtag { name: hashtag(&name)?, tab },
        DraftSource::Location { location_pk, tab } => Source::Location { location_pk: location(&location_pk)?, tab },
        DraftSource::Place { query, tab } => Source::Place { query: place(&query)?, tab },
        DraftSource::Followers { of } => Source::Followers { of: person("source.followers.of", &of)? },
        DraftSource::Following { of } => Source::Following { of: person("source.following.of", &of)? },
        DraftSource::Likers { of } => Source::Likers { of: post(&of)? },
        DraftSource::List { people } => Source::List { people: list(&people)? },
        DraftSource::Followed => Source::Followed,
    })
}

/// An uploaded list: its length and size are looked at before any of its people.
fn list(given: &[String]) -> Result<Vec<Person>, CampaignError> {
    let path = "source.list.people";
    if given.is_empty() {
        return Err(CampaignError::ListEmpty { path: path.to_owned() });
    }
    // As JSON: quotes, a comma and at most an `@` around each.
    let size: usize = given.iter().map(|text| text.len() + 4).sum();
    if size > LARGEST_UPLOAD && given.len() <= MOST_UPLOADED {
        return Err(CampaignError::ListTooLarge { path: path.to_owned(), given: size, most: LARGEST_UPLOAD });
    }
    people(path, MOST_UPLOADED, given)
}

fn person(path: &str, given: &str) -> Result<Person, CampaignError> {
    given.parse().map_err(|_| CampaignError::InvalidPerson { path: path.to_owned(), given: start_of(given) })
}

fn post(given: &str) -> Result<Post, CampaignError> {
    given.parse().map_err(|_| CampaignError::InvalidPost { given: start_of(given) })
}

fn place(given: &str) -> Result<String, CampaignError> {
    let query = given.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = query.chars().count();
    if length == 0 || length > LONGEST_PLACE || query.chars().any(char::is_control) {
        return Err(CampaignError::InvalidPlace { length });
    }
    Ok(query)
}

fn start_of(given: &str) -> String {
    given.trim().chars().take(60).collect()
}

/// The platform's number of a place: digits, above zero and within 63 bits, as readers keep it in a signed column.
fn location(given: &str) -> Result<u64, CampaignError> {
    let digits = given.trim();
    Some(digits)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<i64>().ok())
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| CampaignError::InvalidLocation { given: digits.chars().take(40).collect() })
}

fn hashtag(given: &str) -> Result<String, CampaignError> {
    let invalid = |problem: String| Err(CampaignError::InvalidHashtag { problem });
    let trimmed = given.trim();
    let name = trimmed.strip_prefix('#').unwrap_or(trimmed).to_lowercase();
    let length = name.chars().count();
    if length == 0 {
        return invalid("is empty".to_owned());
    }
    if length > LONGEST_HASHTAG {
        return invalid(format!("has {length} characters"));
    }
    if let Some(odd) = name.chars().find(|letter| !may_be_in_hashtag(*letter)) {
        return invalid(format!("has {odd:?}"));
    }
    Ok(name)
}

/// Letters, digits and underscores, and what other scripts write words with: marks, joiners, signs.
fn may_be_in_hashtag(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    let joiner = matches!(letter, '\u{200C}' | '\u{200D}');
    let punctuation = matches!(letter, '\u{00A1}'..='\u{00BF}' | '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}');
    let is_word = letter.is_alphanumeric() || joiner || !punctuation;
    is_word && !letter.is_whitespace() && !letter.is_control()
}
