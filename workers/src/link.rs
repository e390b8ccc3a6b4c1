//! A bot's way to the platform for as long as one command of it runs: its session, imported again once if the gateway
//! has lost it.

use domain::bot::{Account, Bot};
use domain::ids::{AccountId, SecretId};

use crate::errand::Errand;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::platform::{Call, Platform, PlatformError, SessionId, with_session};
use crate::secrets::Session;

/// The way to the platform.
pub(crate) struct Link<'a> {
    hands: &'a Hands,
    pub(crate) account: AccountId,
    /// The platform's key of the account, as far as it is known.
    pub(crate) own_pk: Option<String>,
    pub(crate) secret: SecretId,
    session: Session,
}

/// Why there is no way to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLink {
    /// The account is not logged in.
    NoSession,
    /// The session is stored, but cannot be read any more.
    Unreadable,
}

impl<'a> Link<'a> {
    /// The way to the platform with the bot's present session.
    pub(crate) async fn open(errand: &'a Errand, bot: &Bot) -> Result<Result<Link<'a>, NoLink>, Fault> {
        let (Some(account), Some(secret)) = (bot.account(), bot.login().session) else {
            return Ok(Err(NoLink::NoSession));
        };
        let hands = errand.hands.as_ref();
        let session = hands.sessions.session(errand.bot_id().owner(), secret).await?;
        Ok(session.map(|session| Link::with(hands, account, secret, session)).ok_or(NoLink::Unreadable))
    }

    fn with(hands: &'a Hands, account: &Account, secret: SecretId, session: Session) -> Self {
        let own_pk = account.platform_pk.clone();
        Self { hands, account: account.account_id, own_pk, secret, session }
    }

    pub(crate) fn platform(&self) -> &'a dyn Platform {
        self.hands.platform.as_ref()
    }

    /// Makes a call; when the gateway has lost the session, imports it and calls once more.
    pub(crate) async fn call<T, Attempt, Attempted>(&self, attempt: Attempt) -> Result<T, PlatformError>
    where
        Attempt: Fn(Call, SessionId) -> Attempted + Send + Sync,
        Attempted: Future<Output = Result<T, PlatformError>> + Send,
    {
        self.hands.budget.take().await;
        let call = self.hands.call(self.account);
        let fetch = || async { Ok::<_, PlatformError>(Some(self.session.blob.clone())) };
        with_session(self.platform(), call, &self.session.id, fetch, |session| attempt(call, session)).await
    }
}
