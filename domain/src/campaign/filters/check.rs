//! Filters as a person gave them, and how they are brought into their stored form.

use std::collections::BTreeSet;

use super::{Filters, Met, Range};
use crate::campaign::error::CampaignError;
use crate::campaign::person::Person;

/// Most people of the white list, and of the black one.
const MOST_LISTED: usize = 1_000;
const MOST_WORDS: usize = 50;
const LONGEST_WORD: usize = 50;
/// Ten years.
const MOST_DAYS: u32 = 3_650;
/// More followers than anybody has.
const LARGEST_COUNT: u64 = 2_147_483_647;
const LARGEST_RATIO: f64 = 1_000_000.0;

/// From least to most, as given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DraftRange {
    pub least: Option<u64>,
    pub most: Option<u64>,
}

/// Followers divided by following, from least to most, as given.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DraftRatio {
    pub least: Option<f64>,
    pub most: Option<f64>,
}

/// Filters as a person gave them, not yet checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DraftFilters {
    pub private: Option<bool>,
    pub verified: Option<bool>,
    pub business: Option<bool>,
    pub has_picture: Option<bool>,
    pub followers: DraftRange,
    pub following: DraftRange,
    pub ratio: DraftRatio,
    pub least_posts: Option<u64>,
    pub words: Vec<String>,
    pub white_list: Vec<String>,
    pub black_list: Vec<String>,
    pub met: Option<Met>,
}

impl DraftFilters {
    /// Brings them into their stored form.
    pub(in crate::campaign) fn check(self) -> Result<Filters, CampaignError> {
        let most = self.least_posts.filter(|least| *least > LARGEST_COUNT);
        if let Some(given) = most {
            return Err(invalid("filters.least_posts", format!("{given} posts are more than anybody has")));
        }
        if let Some(days) = self.met.and_then(|met| met.again_after_days).filter(|days| !(1..=MOST_DAYS).contains(days))
        {
            return Err(invalid("filters.met.again_after_days", format!("{days} days are not 1 to {MOST_DAYS}")));
        }
        Ok(Filters {
            private: self.private,
            verified: self.verified,
            business: self.business,
            has_picture: self.has_picture,
            followers: range("filters.followers", self.followers)?,
            following: range("filters.following", self.following)?,
            ratio: ratio(self.ratio)?,
            least_posts: self.least_posts.filter(|least| *least > 0),
            words: words("filters.words", MOST_WORDS, self.words)?,
            white_list: people("filters.white_list", MOST_LISTED, &self.white_list)?,
            black_list: people("filters.black_list", MOST_LISTED, &self.black_list)?,
            met: self.met,
        })
    }
}

fn invalid(path: &str, problem: String) -> CampaignError {
    CampaignError::InvalidFilter { path: path.to_owned(), problem }
}

fn range(path: &str, given: DraftRange) -> Result<Range, CampaignError> {
    let DraftRange { least, most } = given;
    if let Some(count) = [least, most].into_iter().flatten().find(|count| *count > LARGEST_COUNT) {
        return Err(invalid(path, format!("{count} is more than anybody has")));
    }
    match (least, most) {
        (Some(least), Some(most)) if least > most => {
            Err(invalid(path, format!("nothing is at least {least} and at most {most}")))
        }
        // "At least none" is no filter.
        _ => Ok(Range { least: least.filter(|least| *least > 0), most }),
    }
}

fn ratio(given: DraftRatio) -> Result<Range, CampaignError> {
    let path = "filters.ratio";
    let hundredths = |value: Option<f64>| match value {
        None => Ok(None),
        Some(value) if (0.0..=LARGEST_RATIO).contains(&value) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within 0 and a hundred million"
            )]
            let hundredths = (value * 100.0).round() as u64;
            Ok(Some(hundredths))
        }
        Some(value) => Err(invalid(path, format!("{value} is not 0 to {LARGEST_RATIO}"))),
    };
    let (least, most) = (hundredths(given.least)?, hundredths(given.most)?);
    match (least, most) {
        (Some(low), Some(high)) if low > high => Err(invalid(path, "the least is above the most".to_owned())),
        _ => Ok(Range { least: least.filter(|least| *least > 0), most }),
    }
}

/// Words in lower case, each once.
pub(in crate::campaign) fn words(path: &str, most: usize, given: Vec<String>) -> Result<Vec<String>, CampaignError> {
    if given.len() > most {
        let problem = format!("{} are more than {most}", given.len());
        return Err(CampaignError::InvalidWords { path: path.to_owned(), problem });
    }
    let mut seen = BTreeSet::new();
    let mut words = Vec::with_capacity(given.len());
    for (number, word) in given.into_iter().enumerate() {
        let word = word.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let length = word.chars().count();
        if length == 0 || length > LONGEST_WORD || word.chars().any(char::is_control) {
            let problem = format!("one has 1 to {LONGEST_WORD} characters; this one has {length}");
            return Err(CampaignError::InvalidWords { path: format!("{path}.{number}"), problem });
        }
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    Ok(words)
}

/// People, each once, in the order given.
pub(in crate::campaign) fn people(path: &str, most: usize, given: &[String]) -> Result<Vec<Person>, CampaignError> {
    if given.len() > most {
        return Err(CampaignError::ListTooLong { path: path.to_owned(), given: given.len(), most });
    }
    let mut seen = BTreeSet::new();
    let mut people = Vec::with_capacity(given.len());
    for (number, text) in given.iter().enumerate() {
        let person: Person = text.parse().map_err(|_| CampaignError::InvalidPerson {
            path: format!("{path}.{number}"),
            given: text.chars().take(60).collect(),
        })?;
        if seen.insert(person.clone()) {
            people.push(person);
        }
    }
    Ok(people)
}
