//! The first administrator, `admin` with the password `admin`: made once, on a database without users, and good for
//! nothing but changing that password.

use domain::clock::Clock;
use domain::ids::{CredentialId, RequestId, UserId, derive};
use domain::metadata::{Actor, Metadata};
use domain::user::{Role, User, UserCommand};

use super::claims::{ClaimKind, Claimed};
use super::error::AuthError;
use super::password::Password;
use super::users::Users;

const NAME: &str = "admin";
const PASSWORD: &str = "admin";

impl Users {
    /// Makes the first administrator, if nobody was ever registered. Says whether it was made now.
    ///
    /// Any number of processes may do so at once: one of them makes it.
    pub async fn ensure_first_admin(&self, clock: &dyn Clock) -> Result<bool, AuthError> {
        let claims = self.claims();
        if claims.find(ClaimKind::FirstAdmin, NAME).await?.is_none() && claims.any(ClaimKind::Username).await? {
            return Ok(false);
        }
        let user_id = first_admin();
        for kind in [ClaimKind::FirstAdmin, ClaimKind::Username] {
            if let Claimed::Foreign { .. } = claims.claim(kind, NAME, user_id).await? {
                return Ok(false);
            }
        }
        if self.load(user_id).await?.id().is_some() {
            return Ok(false);
        }
        let request_id = RequestId::from_uuid(derive(&["first-admin-request"]));
        let metadata = Metadata::root(request_id, Actor::System("first-start".to_owned()), clock.now());
        let command = UserCommand::Register {
            user_id,
            username: NAME.to_owned(),
            role: Role::Admin,
            credential_id: first_credential(),
            must_change_password: true,
            at: metadata.recorded_at,
        };
        self.keep_password(user_id, first_credential(), Password::from(PASSWORD.to_owned())).await?;
        match self.bus().execute::<User>(&user_id.to_string(), command, &metadata).await.map_err(AuthError::from) {
            Ok(executed) => Ok(!executed.repeated),
            // Another process was faster, and its administrator has that same hash.
            Err(AuthError::Refused(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Whether somebody can still sign in as `admin` with the password `admin`.
    pub async fn first_admin_stands(&self) -> Result<bool, AuthError> {
        let user: &User = &*self.load(first_admin()).await?;
        Ok(user.is_active() && user.credential_id() == Some(first_credential()))
    }
}

fn first_admin() -> UserId {
    UserId::from_uuid(derive(&["first-admin"]))
}

fn first_credential() -> CredentialId {
    CredentialId::from_uuid(derive(&["first-admin-credential"]))
}
