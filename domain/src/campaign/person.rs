//! People and posts as somebody names them, brought into the forms that are stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bot::normal_account_name;

/// Longest number of the platform, in digits.
const LONGEST_NUMBER: usize = 20;
/// Letters of a post's short code, in the order of their values.
const CODE_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// A code of a public post is at most this long; what follows in a longer one is a key that nobody needs here.
const LONGEST_CODE: usize = 11;
/// What stands before the code in a post's address.
const POST_FOLDERS: [&str; 4] = ["p", "reel", "reels", "tv"];

/// A person: by the platform's number, which stays, or by the account's name, which can change.
///
/// Its text is the number, or the name after an `@`: a name can be all digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Person {
    Number(String),
    Name(String),
}

/// A text that names nobody, or no post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this does not read as a person or post of the platform")]
pub struct Unreadable;

impl Person {
    /// Whether it is the person with this number and name.
    #[must_use]
    pub fn is(&self, number: &str, name: Option<&str>) -> bool {
        match self {
            Self::Number(own) => own == number,
            Self::Name(own) => name.is_some_and(|name| own.eq_ignore_ascii_case(name)),
        }
    }
}

impl FromStr for Person {
    type Err = Unreadable;

    /// Digits are a number; anything else, and whatever follows an `@`, is a name.
    fn from_str(given: &str) -> Result<Self, Unreadable> {
        let given = given.trim();
        if is_number(given) {
            return Ok(Self::Number(given.to_owned()));
        }
        normal_account_name(given).map(Self::Name).map_err(|_| Unreadable)
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(number),
            Self::Name(name) => write!(f, "@{name}"),
        }
    }
}

impl TryFrom<String> for Person {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl From<Person> for String {
    fn from(person: Person) -> Self {
        person.to_string()
    }
}

/// A post by the platform's number, with `_` and the owner's number where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Post(String);

impl Post {
    /// The stored form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Post {
    type Err = Unreadable;

    /// A number, a number with its owner's, or an address such as `https://www.instagram.com/p/CODE/`.
    fn from_str(given: &str) -> Result<Self, Unreadable> {
        let given = given.trim();
        let is_id = match given.split_once('_') {
            Some((number, owner)) => is_number(number) && is_number(owner),
            None => is_number(given),
        };
        if is_id {
            return Ok(Self(given.to_owned()));
        }
        let code = code_of(given).ok_or(Unreadable)?;
        number_of(code).map(|number| Self(number.to_string())).ok_or(Unreadable)
    }
}

impl TryFrom<String> for Post {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl From<Post> for String {
    fn from(post: Post) -> Self {
        post.0
    }
}

fn is_number(text: &str) -> bool {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits && (1..=LONGEST_NUMBER).contains(&text.len()) && !text.starts_with('0')
}

/// The short code in a post's address.
fn code_of(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let rest = rest.strip_prefix("www.").unwrap_or(rest).strip_prefix("instagram.com/")?;
    let path = rest.split(['?', '#']).next()?;
    // The owner's name may stand before the folder.
    let mut parts = path.split('/').skip_while(|part| !POST_FOLDERS.contains(part)).skip(1);
    parts.next().filter(|code| !code.is_empty())
}

/// A code is the post's number to the base of 64.
fn number_of(code: &str) -> Option<u64> {
    let digits = code.get(..LONGEST_CODE.min(code.len()))?;
    let number = digits.bytes().try_fold(0_u64, |number, letter| {
        let value = CODE_LETTERS.iter().position(|known| *known == letter)?;
        number.checked_mul(64)?.checked_add(value as u64)
    })?;
    Some(number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(given: &str) -> Option<String> {
        given.parse::<Person>().ok().map(|person| person.to_string())
    }

    fn post(given: &str) -> Option<String> {
        given.parse::<Post>().ok().map(|post| post.to_string())
    }

    #[test]
    fn digits_are_a_number_and_everything_else_a_name() {
        for (given, stored) in [("123", "123"), (" @Alice.B ", "@alice.b"), ("bob_1", "@bob_1"), ("@123", "@123")] {
            assert_eq!(person(given).as_deref(), Some(stored), "{given:?}");
            assert_eq!(person(stored).as_deref(), Some(stored), "it reads back");
        }
        for given in ["", "@", "two words", "a-b", "Zoë", &"a".repeat(31), "https://x/"] {
            assert_eq!(person(given), None, "{given:?}");
        }
    }

    #[test]
    fn a_person_is_known_by_number_or_by_name() {
        let (number, name): (Person, Person) = ("7".parse().unwrap(), "@Ann".parse().unwrap());
        assert!(number.is("7", None) && !number.is("8", Some("ann")));
        assert!(name.is("8", Some("ANN")) && !name.is("8", None));
    }

    #[test]
    fn posts_are_read_from_numbers_and_addresses() {
        for (given, stored) in [
            ("3141592653589793238", "3141592653589793238"),
            ("3141592653589793238_42", "3141592653589793238_42"),
            ("https://www.instagram.com/p/BA/", "64"),
            ("instagram.com/alice/reel/BA?igsh=x", "64"),
            ("http://instagram.com/tv/B_", "127"),
        ] {
            assert_eq!(post(given).as_deref(), Some(stored), "{given:?}");
        }
        for given in [
            "",
            "0",
            "1_",
            "_1",
            "https://example.com/p/BA/",
            "https://instagram.com/p/",
            "https://instagram.com/alice/",
        ] {
            assert_eq!(post(given), None, "{given:?}");
        }
    }
}
