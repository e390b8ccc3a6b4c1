//! Users: signing in, registering, changing and resetting passwords, deactivating.
//!
//! Whatever lessens what a user may do ends their sessions before the event and again after it: a process that dies
//! in between leaves somebody signed out, never somebody signed in who should not be.

use std::net::IpAddr;
use std::sync::Arc;

use domain::bot::{Bot, BotCommand, BotState};
use domain::entropy::Entropy;
use domain::ids::{BotId, CredentialId, RequestId, UserId, derive};
use domain::metadata::{Actor, Metadata};
use domain::user::{Role, User, UserCommand, normal_username};
use sqlx::PgPool;
use store::command_bus::CommandBus;

use super::claims::{Claim, ClaimKind, Claimed, Claims};
use super::credentials::Credentials;
use super::error::AuthError;
use super::password::{Password, PasswordError, Passwords};
use super::session::{NewSession, SessionLimits, SessionToken, Sessions};
use super::throttle::SignInThrottle;

/// Everything about users that is more than one command. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    bus: CommandBus,
    entropy: Arc<dyn Entropy>,
    passwords: Passwords,
    credentials: Credentials,
    claims: Claims,
    sessions: Sessions,
    throttle: Arc<SignInThrottle>,
}

/// A user who is to be registered.
#[derive(Debug)]
pub struct NewUser {
    pub username: String,
    pub role: Role,
    /// `None`: one is made, and given back once.
    pub password: Option<Password>,
    /// Whether somebody else knows the password, so that it has to be changed first.
    pub must_change_password: bool,
}

/// A user who now exists.
#[derive(Debug)]
pub struct RegisteredUser {
    pub user_id: UserId,
    pub user: Arc<User>,
    /// The password, if it was made here.
    pub one_time_password: Option<Password>,
    /// The log's position, for readers that want to see it.
    pub position: i64,
}

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    pub token: SessionToken,
    pub user_id: UserId,
    pub user: Arc<User>,
}

impl Users {
    #[must_use]
    pub fn new(
        pool: &PgPool,
        bus: CommandBus,
        entropy: Arc<dyn Entropy>,
        passwords: Passwords,
        limits: SessionLimits,
    ) -> Self {
        Self {
            bus,
            entropy,
            passwords,
            credentials: Credentials::new(pool.clone()),
            claims: Claims::new(pool.clone()),
            sessions: Sessions::new(pool.clone(), limits),
            throttle: Arc::default(),
        }
    }

    /// The sessions of all users.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The unique names of all users.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The user's state; empty for an id that is nobody's.
    pub async fn load(&self, user_id: UserId) -> Result<Arc<User>, AuthError> {
        Ok(self.bus.load::<User>(&user_id.to_string()).await?.state)
    }

    /// The id of a user name.
    pub async fn find(&self, username: &str) -> Result<Option<UserId>, AuthError> {
        let Ok(name) = normal_username(username) else { return Ok(None) };
        Ok(self.claims.find(ClaimKind::Username, &name).await?.map(|claim| claim.owner))
    }

    /// Opens a session for whoever knows the password. Takes as long for a name that nobody has.
    pub async fn sign_in(
        &self,
        username: &str,
        password: Password,
        peer: Option<IpAddr>,
    ) -> Result<SignedIn, AuthError> {
        self.throttle.begin(username, peer).map_err(AuthError::Throttled)?;
        let nobody = UserId::from_uuid(uuid::Uuid::nil());
        let user_id = self.find(username).await?.unwrap_or(nobody);
        let user = self.load(user_id).await?;
        let credential = user.credential_id().unwrap_or(CredentialId::from_uuid(uuid::Uuid::nil()));
        let stored = self.credentials.hash(credential).await?;
        if !self.passwords.verify(password, stored).await? || !user.is_active() {
            return Err(AuthError::InvalidCredentials);
        }
        self.throttle.succeeded(username, peer);
        let token = self.open_session(user_id, &user).await?;
        Ok(SignedIn { token, user_id, user })
    }

    /// Opens a session, unless the user was changed meanwhile.
    async fn open_session(&self, user_id: UserId, user: &User) -> Result<SessionToken, AuthError> {
        let session_id = self.entropy.uuid();
        let role = user.role().ok_or(AuthError::UnknownUser)?;
        let must_change_password = user.must_change_password();
        let token = self.sessions.open(NewSession { session_id, user_id, role, must_change_password }).await?;
        // Whoever ends the sessions does so after the event: either they saw this session, or we see the event.
        let now = self.load(user_id).await?;
        if !now.is_active() || now.credential_id() != user.credential_id() {
            self.sessions.close(session_id).await?;
            return Err(AuthError::InvalidCredentials);
        }
        Ok(token)
    }

    /// Registers a user.
    pub async fn register(&self, new: NewUser, metadata: &Metadata) -> Result<RegisteredUser, AuthError> {
        let username = normal_username(&new.username)?;
        let one_time_password = if new.password.is_none() { Some(Password::one_time()?) } else { None };
        let password = new.password.or_else(|| one_time_password.clone()).ok_or(PasswordError::Hash)?;
        password.check(&username)?;
        // A repeated request must come to the same user.
        let user_id = UserId::from_uuid(metadata.request_id.uuid());
        let claim = self.claim_username(&username, user_id).await?;
        let credential_id = credential_of(metadata);
        let command = UserCommand::Register {
            user_id,
            username: username.clone(),
            role: new.role,
            credential_id,
            must_change_password: new.must_change_password || one_time_password.is_some(),
            at: metadata.recorded_at,
        };
        let registered = self.with_credential(user_id, credential_id, password, command, metadata).await;
        if registered.as_ref().is_err_and(AuthError::is_refusal) {
            self.claims.release(ClaimKind::Username, &username, &claim).await?;
        }
        let (user, position) = registered?;
        Ok(RegisteredUser { user_id, user, one_time_password, position })
    }

    /// Claims a user name; from an owner that was never registered, takes it over.
    async fn claim_username(&self, username: &str, user_id: UserId) -> Result<Claim, AuthError> {
        let claimed = self.claims.claim(ClaimKind::Username, username, user_id).await?;
        let claimed = match claimed {
            Claimed::Foreign { claim, settled: true } if self.load(claim.owner).await?.id().is_none() => {
                self.claims.release(ClaimKind::Username, username, &claim).await?;
                self.claims.claim(ClaimKind::Username, username, user_id).await?
            }
            claimed => claimed,
        };
        match claimed {
            Claimed::Ours { claim, .. } => Ok(claim),
            Claimed::Foreign { .. } => Err(AuthError::UsernameTaken { username: username.to_owned() }),
        }
    }

    /// Keeps the hash of `password`, then executes the command that names it.
    async fn with_credential(
        &self,
        user_id: UserId,
        credential_id: CredentialId,
        password: Password,
        command: UserCommand,
        metadata: &Metadata,
    ) -> Result<(Arc<User>, i64), AuthError> {
        self.keep_password(user_id, credential_id, password).await?;
        let executed = self.bus.execute::<User>(&user_id.to_string(), command, metadata).await.map_err(AuthError::from);
        // Without an answer the event may stand, and then it needs its hash.
        let unused = match &executed {
            Ok(executed) => executed.state.credential_id() != Some(credential_id),
            Err(error) => error.is_refusal(),
        };
        if unused {
            self.credentials.erase(credential_id).await?;
        }
        executed.map(|executed| (executed.state, executed.position))
    }

    pub(super) async fn keep_password(
        &self,
        user_id: UserId,
        credential_id: CredentialId,
        password: Password,
    ) -> Result<(), AuthError> {
        let hash = self.passwords.hash(password).await?;
        self.credentials.put(credential_id, user_id, &hash).await?;
        Ok(())
    }

    pub(super) const fn bus(&self) -> &CommandBus {
        &self.bus
    }

    /// Changes a password for whoever knows the current one; gives the one session that now stands.
    pub async fn change_password(
        &self,
        user_id: UserId,
        current: Password,
        new: Password,
        peer: Option<IpAddr>,
        metadata: &Metadata,
    ) -> Result<SignedIn, AuthError> {
        let user = self.load(user_id).await?;
        let username = user.username().ok_or(AuthError::UnknownUser)?.to_owned();
        self.throttle.begin(&username, peer).map_err(AuthError::Throttled)?;
        let stored = match user.credential_id() {
            Some(credential) => self.credentials.hash(credential).await?,
            None => None,
        };
        if !self.passwords.verify(current.clone(), stored).await? {
            return Err(AuthError::WrongPassword);
        }
        self.throttle.succeeded(&username, peer);
        if current.reveal() == new.reveal() {
            return Err(AuthError::SamePassword);
        }
        new.check(&username)?;
        let (user, _) = self.replace_password(user_id, &user, new, false, metadata).await?;
        let token = self.open_session(user_id, &user).await?;
        Ok(SignedIn { token, user_id, user })
    }

    /// Gives a user a password that they have to change first.
    pub async fn reset_password(&self, user_id: UserId, metadata: &Metadata) -> Result<RegisteredUser, AuthError> {
        let user = self.load(user_id).await?;
        if user.id().is_none() {
            return Err(AuthError::UnknownUser);
        }
        let password = Password::one_time()?;
        let (user, position) = self.replace_password(user_id, &user, password.clone(), true, metadata).await?;
        Ok(RegisteredUser { user_id, user, one_time_password: Some(password), position })
    }

    async fn replace_password(
        &self,
        user_id: UserId,
        user: &User,
        password: Password,
        must_change_password: bool,
        metadata: &Metadata,
    ) -> Result<(Arc<User>, i64), AuthError> {
        let replaced = user.credential_id();
        let credential_id = credential_of(metadata);
        let at = metadata.recorded_at;
        let command = UserCommand::ChangePassword { credential_id, must_change_password, at };
        self.sessions.close_all(user_id).await?;
        let changed = self.with_credential(user_id, credential_id, password, command, metadata).await?;
        self.sessions.close_all(user_id).await?;
        if let Some(replaced) = replaced.filter(|replaced| changed.0.credential_id() != Some(*replaced)) {
            self.credentials.erase(replaced).await?;
        }
        Ok(changed)
    }

    /// Ends what a user may do, and what their bot does.
    pub async fn deactivate(&self, user_id: UserId, metadata: &Metadata) -> Result<(Arc<User>, i64), AuthError> {
        if metadata.actor == Actor::Admin(user_id) {
            return Err(AuthError::OwnDeactivation);
        }
        if self.load(user_id).await?.id().is_none() {
            return Err(AuthError::UnknownUser);
        }
        self.sessions.close_all(user_id).await?;
        self.stop_bot(user_id, metadata).await?;
        let command = UserCommand::Deactivate { at: metadata.recorded_at };
        let executed = self.bus.execute::<User>(&user_id.to_string(), command, metadata).await?;
        self.sessions.close_all(user_id).await?;
        Ok((executed.state, executed.position))
    }

    /// Logs the user's account out, so that nothing acts for somebody who cannot stop it.
    async fn stop_bot(&self, user_id: UserId, metadata: &Metadata) -> Result<(), AuthError> {
        let bot_id = BotId::of(user_id).to_string();
        let state = self.bus.load::<Bot>(&bot_id).await?.state.state();
        if !matches!(state, BotState::LoggedIn | BotState::Running | BotState::Paused | BotState::Error) {
            return Ok(());
        }
        let request_id = derive(&["stop-bot", &metadata.request_id.to_string()]);
        let metadata = Metadata { request_id: RequestId::from_uuid(request_id), ..metadata.clone() };
        let command = BotCommand::Logout { at: metadata.recorded_at };
        match self.bus.execute::<Bot>(&bot_id, command, &metadata).await.map_err(AuthError::from) {
            // It left that state by itself.
            Ok(_) | Err(AuthError::Bot(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// The credential of a request. Repeated, it gets the password of the repetition: nobody was told the first one.
fn credential_of(metadata: &Metadata) -> CredentialId {
    CredentialId::from_uuid(derive(&["credential", &metadata.request_id.to_string()]))
}
