//! Instagram accounts: linking and unlinking, and the codes that a login asks for.
//!
//! A secret is sealed before the command that names it, and erased when that is refused. A name is claimed before the
//! account is linked, so that no account is linked twice over all users.

use std::sync::Arc;

use chrono_tz::Tz;
use domain::bot::{Bot, BotCommand, BotError, BotEvent, normal_account_name};
use domain::entropy::Entropy;
use domain::ids::{AccountId, BotId, SecretId, UserId};
use domain::metadata::Metadata;
use store::StoreError;
use store::command_bus::{CommandBus, ExecuteError, Executed};
use store::vault::{Purpose, Vault, VaultError};
use thiserror::Error;

use crate::auth::claims::{Claim, ClaimKind, Claimed};
use crate::auth::{AuthError, Password, Users};

const CLAIM: ClaimKind = ClaimKind::InstagramAccount;
const LONGEST_PASSWORD: usize = 256;
const CODE_LENGTHS: std::ops::RangeInclusive<usize> = 4..=16;

/// Why an account was not linked or unlinked, or a login not asked for.
#[derive(Debug, Error)]
pub enum AccountError {
    #[error(transparent)]
    Refused(BotError),
    #[error("the Instagram account {username} is linked by another user; an account has one bot only")]
    Taken { username: String },
    #[error("an Instagram password has 1 to 256 characters")]
    InvalidPassword,
    #[error("a two-factor code has 4 to 16 digits or letters")]
    InvalidCode,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the database refused a statement")]
    Database(#[from] sqlx::Error),
}

impl From<ExecuteError<BotError>> for AccountError {
    fn from(error: ExecuteError<BotError>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::Refused(refusal),
            ExecuteError::Store(fault) => Self::Store(fault),
        }
    }
}

/// An account that is to be linked.
#[derive(Debug)]
pub struct NewAccount {
    pub username: String,
    pub password: Password,
    pub zone: Tz,
    /// What the person typed under the warning.
    pub consent: String,
}

/// What became of a command of the account's.
type Done = Result<Executed<Bot>, AccountError>;

/// Every account. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    bus: CommandBus,
    vault: Vault,
    users: Users,
    entropy: Arc<dyn Entropy>,
}

impl Accounts {
    #[must_use]
    pub fn new(bus: CommandBus, vault: Vault, users: Users, entropy: Arc<dyn Entropy>) -> Self {
        Self { bus, vault, users, entropy }
    }

    /// Links an account to the user's bot.
    pub async fn link(&self, user_id: UserId, new: NewAccount, metadata: &Metadata) -> Done {
        let password = new.password.reveal().as_bytes();
        if password.is_empty() || password.len() > LONGEST_PASSWORD {
            return Err(AccountError::InvalidPassword);
        }
        // The bot refuses what is no name.
        let claimed = match normal_account_name(&new.username) {
            Ok(name) => Some(self.claim(name, user_id).await?),
            Err(_) => None,
        };
        let secret = SecretId::from_uuid(self.entropy.uuid());
        let command = BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(self.entropy.uuid()),
            username: new.username,
            zone: new.zone,
            password: secret,
            consent: new.consent,
            at: metadata.recorded_at,
        };
        let done = self.with_secret(user_id, secret, Purpose::Password, password, command, metadata).await;
        if let (Err(AccountError::Refused(_)), Some((name, claim, true))) = (&done, &claimed) {
            self.users.claims().release(CLAIM, name, claim).await?;
        }
        done
    }

    /// Claims an account's name; says whether the claim is new. From an owner that does not use it, takes it over.
    async fn claim(&self, name: String, user_id: UserId) -> Result<(String, Claim, bool), AccountError> {
        let claims = self.users.claims();
        let mut claimed = claims.claim(CLAIM, &name, user_id).await?;
        if let Claimed::Foreign { claim, settled: true } = &claimed
            && !self.is_used(claim.owner, &name).await?
        {
            claims.release(CLAIM, &name, claim).await?;
            claimed = claims.claim(CLAIM, &name, user_id).await?;
        }
        match claimed {
            Claimed::Ours { claim, new } => Ok((name, claim, new)),
            Claimed::Foreign { .. } => Err(AccountError::Taken { username: name }),
        }
    }

    /// Whether the owner of a claim is somebody whose bot has the account.
    async fn is_used(&self, owner: UserId, name: &str) -> Result<bool, AccountError> {
        if !self.users.load(owner).await?.is_active() {
            return Ok(false);
        }
        let bot = self.bus.load::<Bot>(&BotId::of(owner).to_string()).await?.state;
        Ok(bot.account().is_some_and(|account| account.username == name))
    }

    /// Unlinks the account and gives its name back.
    pub async fn unlink(&self, user_id: UserId, metadata: &Metadata) -> Done {
        let id = BotId::of(user_id).to_string();
        let bot = self.bus.load::<Bot>(&id).await?.state;
        let name = bot.account().map(|account| account.username.clone());
        let claims = self.users.claims();
        let claim = match &name {
            Some(name) => claims.find(CLAIM, name).await?.filter(|claim| claim.owner == user_id),
            None => None,
        };
        let command = BotCommand::UnlinkAccount { at: metadata.recorded_at };
        let executed = self.bus.execute::<Bot>(&id, command, metadata).await?;
        // Renewed since, it belongs to a link that came after.
        if let (Some(name), Some(claim)) = (name, claim) {
            claims.release(CLAIM, &name, &claim).await?;
        }
        Ok(executed)
    }

    /// Asks for a login, with the code that Instagram sent the person, if there is one.
    pub async fn request_login(&self, user_id: UserId, code: Option<Password>, metadata: &Metadata) -> Done {
        let at = metadata.recorded_at;
        let Some(code) = code else {
            let command = BotCommand::RequestLogin { verification_code: None, at };
            return Ok(self.bus.execute::<Bot>(&BotId::of(user_id).to_string(), command, metadata).await?);
        };
        let digits: String = code.reveal().chars().filter(|letter| !letter.is_whitespace()).collect();
        if !CODE_LENGTHS.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(AccountError::InvalidCode);
        }
        let secret = SecretId::from_uuid(self.entropy.uuid());
        let command = BotCommand::RequestLogin { verification_code: Some(secret), at };
        let digits = Password::from(digits);
        let plain = digits.reveal().as_bytes();
        self.with_secret(user_id, secret, Purpose::VerificationCode, plain, command, metadata).await
    }

    /// Seals a secret, then executes the command that names it.
    async fn with_secret(
        &self,
        user_id: UserId,
        secret: SecretId,
        purpose: Purpose,
        plain: &[u8],
        command: BotCommand,
        metadata: &Metadata,
    ) -> Done {
        self.vault.put(secret, user_id, purpose, plain).await?;
        let id = BotId::of(user_id).to_string();
        let done = self.bus.execute::<Bot>(&id, command, metadata).await.map_err(AccountError::from);
        // Without an answer the event may stand, and then it needs its secret.
        let unused = match &done {
            Ok(executed) => !executed.events.iter().any(|event| names(event, secret)),
            Err(error) => matches!(error, AccountError::Refused(_)),
        };
        if unused {
            self.vault.erase(user_id, &[secret]).await?;
        }
        done
    }
}

fn names(event: &BotEvent, secret: SecretId) -> bool {
    match event {
        BotEvent::AccountLinked { password, .. } => *password == secret,
        BotEvent::LoginRequested { verification_code, .. } => *verification_code == Some(secret),
        _ => false,
    }
}

/// The zone of an IANA name, such as `Europe/Berlin`.
pub fn time_zone(name: &str) -> Option<Tz> {
    name.trim().parse().ok()
}
