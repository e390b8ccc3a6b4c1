//! What to do when the gateway has lost a session: import it once, repeat once.

use std::future::Future;

use domain::bot::FailureClass;

use super::{Call, Platform, PlatformError, PlatformErrorKind, SessionBlob, SessionId};

/// Runs `attempt` with the session. When the gateway says that it does not know the session, the
/// stored export is fetched, imported, and `attempt` runs once more; a second loss is returned.
///
/// A lost session is found before anything is sent to the platform, so repeating a write is safe.
pub async fn with_session<T, E, Fetch, Fetched, Attempt, Attempted>(
    platform: &dyn Platform,
    call: Call,
    session: &SessionId,
    fetch: Fetch,
    attempt: Attempt,
) -> Result<T, E>
where
    E: From<PlatformError>,
    Fetch: FnOnce() -> Fetched + Send,
    Fetched: Future<Output = Result<Option<SessionBlob>, E>> + Send,
    Attempt: Fn(SessionId) -> Attempted + Send + Sync,
    Attempted: Future<Output = Result<T, PlatformError>> + Send,
{
    let lost = match attempt(session.clone()).await {
        Err(error) if error.class == FailureClass::SessionLost => error,
        other => return other.map_err(E::from),
    };
    let Some(blob) = fetch().await? else {
        return Err(E::from(lost));
    };
    tracing::warn!(account.id = ?call.account, "the gateway lost a session; importing it again");
    let session = platform.import_session(call, &blob).await?;
    attempt(session).await.map_err(E::from)
}

/// An export that must not be imported: it would turn the check of certificates off.
pub(super) fn check_blob(blob: &SessionBlob, call: &'static str) -> Result<(), PlatformError> {
    let settings: serde_json::Value =
        serde_json::from_str(blob.expose()).map_err(|_| PlatformError::new(PlatformErrorKind::RequestInvalid, call))?;
    match settings.get("tls_verify") {
        Some(serde_json::Value::Bool(false)) => Err(PlatformError::new(PlatformErrorKind::SessionUnsafe, call)),
        _ => Ok(()),
    }
}
