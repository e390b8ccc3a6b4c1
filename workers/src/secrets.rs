//! What the workers keep sealed: passwords and codes that people gave, and sessions. Nothing of it leaves this module
//! but into a platform call.

use std::sync::Arc;

use domain::ids::{SecretId, UserId};
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::vault::{Purpose, Vault, VaultError};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::fault::Fault;
use crate::platform::{SessionBlob, SessionId};

/// A session at rest: the gateway's name of it, and what restores it.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredSession {
    version: u32,
    session_id: String,
    settings: String,
}

const SESSION_VERSION: u32 = 1;

/// A session that can be used.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) blob: SessionBlob,
}

/// A secret that was sealed and stored.
pub(crate) struct Kept {
    pub(crate) secret: SecretId,
    pub(crate) key_id: String,
}

/// A text that a person gave; `None` when it is gone or does not open.
pub(crate) async fn text(
    vault: &Vault,
    user: UserId,
    secret: SecretId,
    purpose: Purpose,
) -> Result<Option<Zeroizing<String>>, Fault> {
    let Some(bytes) = open(vault, user, secret, purpose).await? else { return Ok(None) };
    Ok(std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned())))
}

/// A stored session; `None` when it is gone or does not open.
pub(crate) async fn session(vault: &Vault, user: UserId, secret: SecretId) -> Result<Option<Session>, Fault> {
    let Some(bytes) = open(vault, user, secret, Purpose::Session).await? else { return Ok(None) };
    let stored: Option<StoredSession> = serde_json::from_slice(&bytes).ok();
    Ok(stored.filter(|stored| stored.version == SESSION_VERSION).map(|stored| Session {
        id: SessionId::new(stored.session_id.as_str()),
        blob: SessionBlob::new(stored.settings.as_str()),
    }))
}

/// Seals a session and stores it under an id that is used for nothing else.
pub(crate) async fn keep_session(
    vault: &Vault,
    user: UserId,
    secret: SecretId,
    session: &SessionId,
    blob: &SessionBlob,
) -> Result<Kept, Fault> {
    let stored = StoredSession {
        version: SESSION_VERSION,
        session_id: session.expose().to_owned(),
        settings: blob.expose().to_owned(),
    };
    let text = serde_json::to_vec(&stored)
        .map_err(|source| StoreError::Serialise { what: "a session", source: Arc::new(source) })?;
    let text = Zeroizing::new(text);
    let key_id = vault.put(secret, user, Purpose::Session, &text).await?;
    Ok(Kept { secret, key_id })
}

async fn open(
    vault: &Vault,
    user: UserId,
    secret: SecretId,
    purpose: Purpose,
) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    match vault.get(secret, user, purpose).await {
        Ok(found) => Ok(found),
        Err(VaultError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(secret.id = %secret, code = error.code(), "a sealed secret does not open");
            Ok(None)
        }
    }
}
