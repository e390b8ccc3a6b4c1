//! The platform's ids as types of their own. They are digits of any length, kept as text, since
//! the gateway sends the same id as a number in one answer and as a string in another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest id that the platform is known to use has 39 digits.
const MAX_DIGITS: usize = 64;

/// A text that is not an id of the platform. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an id of the platform: it must be 1 to {MAX_DIGITS} digits")]
pub struct InvalidId;

impl InvalidId {
    #[must_use]
    pub fn code(&self) -> &'static str {
        "PLATFORM_INVALID_ID"
    }
}

fn is_digits(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an id sent as a string or as an integer.
struct IdVisitor;

impl de::Visitor<'_> for IdVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, as digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = deserializer.deserialize_any(IdVisitor)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! decimal_id {
    ($(#[$doc:meta])* $name:ident) => {
        text_id!($(#[$doc])* $name);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                is_digits(text).then(|| Self(text.to_owned())).ok_or(InvalidId)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number.to_string())
            }
        }
    };
}

macro_rules! owned_id {
    ($(#[$doc:meta])* $name:ident, $pk:ident) => {
        text_id!($(#[$doc])* $name);

        impl $name {
            #[must_use]
            pub fn new(pk: &$pk, owner: &UserPk) -> Self {
                Self(format!("{pk}_{owner}"))
            }

            #[must_use]
            pub fn pk(&self) -> $pk {
                $pk(self.0.split('_').next().unwrap_or_default().to_owned())
            }

            /// Absent when the id came without it.
            #[must_use]
            pub fn owner(&self) -> Option<UserPk> {
                self.0.split_once('_').map(|(_, owner)| UserPk(owner.to_owned()))
            }
        }

        /// Without the owner: valid, but it costs the platform a look-up.
        impl From<$pk> for $name {
            fn from(pk: $pk) -> Self {
                Self(pk.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid = match text.split_once('_') {
                    Some((pk, owner)) => is_digits(pk) && is_digits(owner),
                    None => is_digits(text),
                };
                valid.then(|| Self(text.to_owned())).ok_or(InvalidId)
            }
        }
    };
}

decimal_id!(
    /// A person of the platform.
    UserPk
);
decimal_id!(MediaPk);
decimal_id!(StoryPk);
decimal_id!(CommentPk);
decimal_id!(LocationPk);
decimal_id!(MessageId);
owned_id!(
    /// `{media pk}_{owner pk}`: the form that writes want; without the owner it costs a look-up.
    MediaId,
    MediaPk
);
owned_id!(
    /// `{story pk}_{owner pk}`.
    StoryId,
    StoryPk
);

/// A conversation. Up to 39 digits, which no 64-bit number and no generic JSON value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(u128);

impl ThreadId {
    #[must_use]
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ThreadId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if !is_digits(text) {
            return Err(InvalidId);
        }
        text.parse().map(Self).map_err(|_| InvalidId)
    }
}

/// As text, so that no reader rounds it.
impl Serialize for ThreadId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From the text form that we write; the gateway's own forms are read in `lenient`.
impl<'de> Deserialize<'de> for ThreadId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
