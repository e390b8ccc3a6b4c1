//! The keys that seal passwords and sessions: those of the settings, else those of the key file, which is made when it is missing.

use store::vault::Keyring;

use crate::config::{Config, Secret};
use crate::failure::Failure;

/// The keyring of this process.
pub fn keyring(config: &Config) -> Result<Keyring, Failure> {
    let of = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
    let (keys, key_hex) = (of(&config.cred_aes_keys), of(&config.cred_aes_key_hex));
    if let Some(keyring) = Keyring::from_settings(keys.as_deref(), key_hex.as_deref())? {
        return Ok(keyring);
    }
    let keyring = Keyring::from_file_or_new(&config.key_file)?;
    tracing::info!(key.file = %config.key_file.display(), key.id = keyring.active_id(), "secrets are sealed with this key");
    Ok(keyring)
}
