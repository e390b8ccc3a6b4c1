//! Passwords: what a good one is, and argon2id hashes of them.
//!
//! Hashing takes a core and 19 MiB for tens of milliseconds, so few run at a time and nobody waits long for a turn.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

const SHORTEST: usize = 10;
const LONGEST_BYTES: usize = 256;
const FEWEST_DIFFERENT: usize = 5;
const AT_A_TIME: usize = 2;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const SALT_BYTES: usize = 16;

/// Passwords that are tried first by everybody who tries, and are long enough to pass otherwise.
const COMMON: &[&str] = &[
    "0123456789",
    "1234567890",
    "12345678910",
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "administrator",
    "changeme123",
    "football123",
    "iloveyou123",
    "instagram1",
    "instagram123",
    "letmein123",
    "password01",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "princess123",
    "qwerty12345",
    "qwerty123456",
    "qwertyuiop",
    "qwertyuiop123",
    "welcome123",
];

/// A password in clear; shown nowhere, wiped after use.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// Why a password cannot be used, hashed or checked.
#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("the password {problem}")]
    Weak { problem: String },
    #[error("too many sign-ins at once; try again in a few seconds")]
    Busy,
    #[error("the password could not be hashed")]
    Hash,
    #[error("the machine gave no random bytes")]
    Random(#[source] getrandom::Error),
}

impl PasswordError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Weak { .. } => "AUTH_WEAK_PASSWORD",
            Self::Busy => "AUTH_BUSY",
            Self::Hash | Self::Random(_) => "INTERNAL",
        }
    }
}

impl Password {
    /// A password that nobody chose: 100 random bits in groups that a person can copy.
    pub fn one_time() -> Result<Self, PasswordError> {
        // Without letters and digits that look alike.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut random = Zeroizing::new([0; 20]);
        getrandom::fill(random.as_mut()).map_err(PasswordError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(23));
        for (index, byte) in random.iter().enumerate() {
            if index > 0 && index % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        Ok(Self(text))
    }

    /// The text, for the one who has to pass it on.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the password may be chosen by `username`.
    pub fn check(&self, username: &str) -> Result<(), PasswordError> {
        let weak = |problem: &str| Err(PasswordError::Weak { problem: problem.to_owned() });
        if self.0.chars().count() < SHORTEST {
            return weak("is shorter than 10 characters");
        }
        if self.0.len() > LONGEST_BYTES {
            return weak("is longer than 256 bytes");
        }
        let mut letters: Vec<char> = self.0.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        if letters.len() < FEWEST_DIFFERENT {
            return weak("has fewer than 5 different characters");
        }
        let lower = Zeroizing::new(self.0.to_lowercase());
        if lower.contains(&username.to_lowercase()) {
            return weak("contains the user name");
        }
        if COMMON.contains(&lower.as_str()) {
            return weak("is one of the first that everybody tries");
        }
        Ok(())
    }
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Checked for a user that does not exist, so that this takes as long as for one that does.
    decoy: Arc<str>,
}

impl Passwords {
    /// Makes the decoy, which takes as long as one hash.
    pub fn try_new() -> Result<Self, PasswordError> {
        let decoy = hash(&Password::one_time()?)?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_A_TIME)), decoy: decoy.into() })
    }

    /// The argon2id hash of `password`, in PHC form.
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether `password` is the one of `stored`; `None` takes as long and is always wrong.
    pub async fn verify(&self, password: Password, stored: Option<String>) -> Result<bool, PasswordError> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        let fits = self.in_turn(move || fits(&password, &stored)).await?;
        Ok(fits && exists)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(PasswordError::Busy) };
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|_| PasswordError::Hash)
    }
}

fn hash(password: &Password) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(PasswordError::Random)?;
    let hash = Argon2::default().hash_password_with_salt(password.0.as_bytes(), &salt);
    hash.map(|hash: PasswordHash| hash.to_string()).map_err(|_| PasswordError::Hash)
}

fn fits(password: &Password, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_and_fits_its_password_alone() {
        let passwords = Passwords::try_new().unwrap();
        let stored = passwords.hash(password("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify(password("correct horse battery"), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify(password("correct horse batterz"), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn equal_passwords_have_different_hashes() {
        let passwords = Passwords::try_new().unwrap();
        let one = passwords.hash(password("correct horse battery")).await.unwrap();
        let two = passwords.hash(password("correct horse battery")).await.unwrap();
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn an_unknown_user_and_a_broken_hash_never_fit() {
        let passwords = Passwords::try_new().unwrap();
        assert!(!passwords.verify(password("whatever it is"), None).await.unwrap());
        assert!(!passwords.verify(password("whatever it is"), Some("no hash".to_owned())).await.unwrap());
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        let long = "ab cd".repeat(52);
        for (text, reason) in [
            ("short", "shorter"),
            ("aaaaaaaaaabbb", "different"),
            ("my-marta-password", "user name"),
            ("Password123", "everybody"),
            (long.as_str(), "longer"),
        ] {
            let error = password(text).check("marta").unwrap_err();
            assert_eq!(error.code(), "AUTH_WEAK_PASSWORD");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert!(password("correct horse battery").check("marta").is_ok());
    }

    #[test]
    fn one_time_passwords_are_strong_and_differ() {
        let one = Password::one_time().unwrap();
        assert!(one.check("marta").is_ok());
        assert_eq!(one.reveal().len(), 23);
        assert_ne!(one.reveal(), Password::one_time().unwrap().reveal());
    }

    #[test]
    fn a_password_does_not_show_itself() {
        assert!(!format!("{:?}", password("correct horse")).contains("horse"));
    }
}
