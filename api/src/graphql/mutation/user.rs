//! Mutations of users, for administrators.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use domain::ids::UserId;
use domain::metadata::Metadata;

use crate::auth::{AuthError, NewUser, RegisteredUser};
use crate::graphql::ask::{Answer, Ask, USERS};
use crate::graphql::error::{UserError, fault};
use crate::graphql::names::Role;
use crate::graphql::user::{User, user_id};

/// A user who is to be registered.
#[derive(Debug, InputObject)]
pub struct RegisterUserInput {
    /// The login name: 3 to 40 letters, digits, dots, dashes or underscores.
    username: String,
    /// What they may see and do.
    #[graphql(default_with = "Role::User")]
    role: Role,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A user who may not sign in any more.
#[derive(Debug, InputObject)]
pub struct DeactivateUserInput {
    /// Global id of the user.
    user_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A user who gets a new password.
#[derive(Debug, InputObject)]
pub struct ResetUserPasswordInput {
    /// Global id of the user.
    user_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// What `registerUser` did.
#[derive(SimpleObject)]
pub struct RegisterUserPayload {
    /// The user; null when it was refused.
    user: Option<User>,
    /// The first password, for the administrator to pass on. It is good for nothing but choosing another one.
    one_time_password: Option<String>,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<UserError>,
}

/// What `deactivateUser` did.
#[derive(SimpleObject)]
pub struct DeactivateUserPayload {
    /// The user; null when it was refused.
    user: Option<User>,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<UserError>,
}

/// What `resetUserPassword` did.
#[derive(SimpleObject)]
pub struct ResetUserPasswordPayload {
    /// The user; null when it was refused.
    user: Option<User>,
    /// The new password, for the administrator to pass on. It is good for nothing but choosing another one.
    one_time_password: Option<String>,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<UserError>,
}

/// Mutations of users.
#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Registers a user under a password that is shown once; for administrators.
    async fn register_user(&self, ctx: &Context<'_>, input: RegisterUserInput) -> Result<RegisterUserPayload> {
        let ask = &Ask::of_admin(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let RegisterUserInput { username, role, .. } = input;
            let new = NewUser { username, role: role.into(), password: None, must_change_password: true };
            registered(ask.services.users.register(new, &metadata).await)
        };
        let answer = ask.once(USERS, act).await?;
        let user = shown(ask, &answer).await?;
        Ok(RegisterUserPayload { user, one_time_password: answer.secret, user_errors: answer.user_errors })
    }

    /// Ends a user's sessions for good and logs their Instagram account out; for administrators.
    async fn deactivate_user(&self, ctx: &Context<'_>, input: DeactivateUserInput) -> Result<DeactivateUserPayload> {
        let ask = &Ask::of_admin(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let Some(id) = user_id(&input.user_id) else { return Ok(Answer::refused(&AuthError::UnknownUser)) };
            match ask.services.users.deactivate(id, &metadata).await {
                Ok((_, position)) => Ok(Answer { subject: Some(id.uuid()), ..Answer::done(position) }),
                Err(error) if error.is_refusal() => Ok(Answer::refused(&error)),
                Err(error) => Err(fault(error)),
            }
        };
        let answer = ask.once(USERS, act).await?;
        let user = shown(ask, &answer).await?;
        Ok(DeactivateUserPayload { user, user_errors: answer.user_errors })
    }

    /// Gives a user a password that is shown once and ends their sessions; for administrators.
    async fn reset_user_password(
        &self,
        ctx: &Context<'_>,
        input: ResetUserPasswordInput,
    ) -> Result<ResetUserPasswordPayload> {
        let ask = &Ask::of_admin(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let Some(id) = user_id(&input.user_id) else { return Ok(Answer::refused(&AuthError::UnknownUser)) };
            registered(ask.services.users.reset_password(id, &metadata).await)
        };
        let answer = ask.once(USERS, act).await?;
        let user = shown(ask, &answer).await?;
        Ok(ResetUserPasswordPayload { user, one_time_password: answer.secret, user_errors: answer.user_errors })
    }
}

fn registered(done: Result<RegisteredUser, AuthError>) -> Result<Answer> {
    match done {
        Ok(registered) => Ok(Answer {
            subject: Some(registered.user_id.uuid()),
            secret: registered.one_time_password.map(|password| password.reveal().to_owned()),
            ..Answer::done(registered.position)
        }),
        Err(error) if error.is_refusal() => Ok(Answer::refused(&error)),
        Err(error) => Err(fault(error)),
    }
}

async fn shown(ask: &Ask<'_>, answer: &Answer) -> Result<Option<User>> {
    let Some(id) = answer.subject().map(UserId::from_uuid) else { return Ok(None) };
    let state = ask.services.users.load(id).await.map_err(fault)?;
    Ok(User::of(id, &state))
}
