//! The keys that seal secrets: one active, the others only to open what they sealed before.

use std::fmt;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 12;
const MAX_ID: usize = 32;

/// Why keys were not accepted. Never holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringError {
    #[error("there is no key")]
    Empty,
    #[error("key {number} is not 64 hexadecimal digits")]
    NotHex { number: usize },
    #[error("the id of key {number} is not 1 to 32 letters, digits, `.`, `_` or `-`")]
    BadId { number: usize },
    #[error("two keys have the id `{id}`")]
    Duplicate { id: String },
    #[error("both CRED_AES_KEYS and CRED_AES_KEY_HEX are set")]
    Ambiguous,
}

impl KeyringError {
    /// A stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "KEYRING_EMPTY",
            Self::NotHex { .. } => "KEYRING_KEY_INVALID",
            Self::BadId { .. } => "KEYRING_ID_INVALID",
            Self::Duplicate { .. } => "KEYRING_ID_TWICE",
            Self::Ambiguous => "KEYRING_AMBIGUOUS",
        }
    }

    /// What the person who set the keys can do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::NotHex { .. } => "Give 64 hexadecimal digits, for example from `openssl rand -hex 32`.",
            Self::BadId { .. } => "Write each key as `id:hex`, with a short id, separated by commas.",
            Self::Duplicate { .. } => "Give every key an id of its own.",
            Self::Ambiguous => {
                "Keep one of them. In CRED_AES_KEYS the first key seals, and the others open what they sealed."
            }
        }
    }
}

/// Keys by id, the active one first.
pub struct Keyring {
    active: Key,
    others: Vec<Key>,
}

struct Key {
    id: String,
    /// Derived from the key: finds it again when it was given another id.
    fingerprint: String,
    cipher: Aes256Gcm,
}

impl Keyring {
    /// From the settings: `CRED_AES_KEYS` as `id:hex,id:hex`, or `CRED_AES_KEY_HEX` as one key; `None` when neither is set.
    pub fn from_settings(keys: Option<&str>, key_hex: Option<&str>) -> Result<Option<Self>, KeyringError> {
        match (keys, key_hex) {
            (Some(_), Some(_)) => Err(KeyringError::Ambiguous),
            (Some(keys), None) => Self::parse(keys).map(Some),
            (None, Some(key_hex)) => Self::parse(key_hex).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Keys separated by commas or lines, each as `id:hex` or, with an id derived from the key, as `hex`. The first is active.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
        let mut keys: Vec<Key> = Vec::new();
        for (index, word) in words.enumerate() {
            let key = Key::parse(word, index + 1)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyringError::Duplicate { id: key.id });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let active = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self { active, others: keys.collect() })
    }

    /// The key that seals.
    #[must_use]
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    /// Every key that can open.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| key.id.as_str())
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.active).chain(&self.others)
    }

    pub(super) fn encrypt(&self, nonce: &[u8; NONCE_BYTES], bound: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
        self.active.cipher.encrypt_in_place(&Nonce::from(*nonce), bound, buffer).ok()
    }

    /// `None` for a key that is not here.
    pub(super) fn decrypt(
        &self,
        key_id: &str,
        nonce: &[u8; NONCE_BYTES],
        bound: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Option<Result<(), aes_gcm::Error>> {
        let by_id = self.keys().find(|key| key.id == key_id);
        let key = by_id.or_else(|| self.keys().find(|key| key.fingerprint == key_id))?;
        Some(key.cipher.decrypt_in_place(&Nonce::from(*nonce), bound, buffer))
    }
}

impl Key {
    fn parse(word: &str, number: usize) -> Result<Self, KeyringError> {
        let (id, digits) = match word.split_once(':') {
            Some((id, digits)) => (Some(id.trim()), digits.trim()),
            None => (None, word),
        };
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| KeyringError::NotHex { number })?;
        let fingerprint = fingerprint(&bytes);
        let id = match id {
            Some(id) if is_id(id) => id.to_owned(),
            Some(_) => return Err(KeyringError::BadId { number }),
            None => fingerprint.clone(),
        };
        // From the slice, so that no copy of the key stays behind.
        let cipher = Aes256Gcm::new_from_slice(bytes.as_slice()).map_err(|_| KeyringError::NotHex { number })?;
        Ok(Self { id, fingerprint, cipher })
    }
}

fn is_id(id: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(known)
}

/// Tells keys apart and says nothing about them.
fn fingerprint(key: &[u8; KEY_BYTES]) -> String {
    let digest = Sha256::new().chain_update(b"reprise key id v1").chain_update(key).finalize();
    hex::encode(&digest[..6])
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("ids", &self.ids().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "ff0102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1eff";

    fn ids(text: &str) -> Vec<String> {
        Keyring::parse(text).expect("the keys are good").ids().map(str::to_owned).collect()
    }

    fn refusal(text: &str) -> KeyringError {
        Keyring::parse(text).expect_err("the keys are bad")
    }

    #[test]
    fn first_key_is_the_active_one() {
        let keyring = Keyring::parse(&format!("new:{ONE}, old:{TWO}")).expect("the keys are good");
        assert_eq!(keyring.active_id(), "new");
        assert_eq!(keyring.ids().collect::<Vec<_>>(), ["new", "old"]);
    }

    #[test]
    fn key_without_an_id_gets_one_that_stays_the_same() {
        assert_eq!(ids(ONE), ids(&format!("\n {ONE}\n")));
        assert_eq!(ids(ONE), ["d58af926e525"]);
        assert_ne!(ids(ONE), ids(TWO));
    }

    #[test]
    fn bad_keys_are_refused_by_number_and_never_shown() {
        assert_eq!(refusal(""), KeyringError::Empty);
        assert_eq!(refusal(" ,\n"), KeyringError::Empty);
        assert_eq!(refusal("secret"), KeyringError::NotHex { number: 1 });
        assert_eq!(refusal(&ONE[1..]), KeyringError::NotHex { number: 1 });
        assert_eq!(refusal(&format!("{ONE}00")), KeyringError::NotHex { number: 1 });
        assert_eq!(refusal(&format!("a:{ONE},b:")), KeyringError::NotHex { number: 2 });
        assert_eq!(refusal(&format!(":{ONE}")), KeyringError::BadId { number: 1 });
        assert_eq!(refusal(&format!("a b:{ONE}")), KeyringError::BadId { number: 1 });
        assert_eq!(refusal(&format!("a:{ONE},a:{TWO}")), KeyringError::Duplicate { id: "a".to_owned() });
        assert_eq!(refusal(&format!("{ONE},{ONE}")).code(), "KEYRING_ID_TWICE");
    }

    #[test]
    fn one_setting_is_taken_and_two_are_ambiguous() {
        let from = Keyring::from_settings;
        assert!(from(None, None).expect("nothing is fine").is_none());
        let one = from(None, Some(ONE)).expect("the key is good").expect("there is one");
        assert_eq!(one.active_id(), ids(ONE)[0]);
        let listed = format!("a:{ONE}");
        let list = from(Some(&listed), None).expect("the key is good").expect("there is one");
        assert_eq!(list.active_id(), "a");
        assert_eq!(from(Some(&listed), Some(TWO)).expect_err("two settings"), KeyringError::Ambiguous);
    }

    #[test]
    fn debug_form_shows_ids_only() {
        let keyring = Keyring::parse(&format!("a:{ONE},b:{TWO}")).expect("the keys are good");
        assert_eq!(format!("{keyring:?}"), r#"Keyring { ids: ["a", "b"], .. }"#);
    }
}
