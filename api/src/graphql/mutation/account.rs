//! Mutations of the account, its login and its session.

use async_graphql::{Context, InputObject, Object, Result};
use domain::bot::{Bot, BotCommand};
use store::command_bus::Executed;

use super::payload::{bot_payloads, plain_inputs};
use crate::accounts::{AccountError, NewAccount, time_zone};
use crate::auth::Password;
use crate::code::Code;
use crate::graphql::ask::{Answer, Ask, BOTS};
use crate::graphql::error::{UserError, fault};
use crate::http::Problem;

plain_inputs! {
    /// Forgets the account.
    UnlinkAccountInput,
    /// Asks a worker to try the session.
    TestConnectionInput,
    /// The person has settled the challenge in Instagram's own app.
    ResolveChallengeInput,
    /// Forgets the session.
    LogoutAccountInput,
}

bot_payloads! {
    /// What `linkAccount` did.
    LinkAccountPayload,
    /// What `unlinkAccount` did.
    UnlinkAccountPayload,
    /// What `requestLogin` did.
    RequestLoginPayload,
    /// What `testConnection` did.
    TestConnectionPayload,
    /// What `resolveChallenge` did.
    ResolveChallengePayload,
    /// What `logoutAccount` did.
    LogoutAccountPayload,
}

/// The Instagram account that is to be linked.
#[derive(Debug, InputObject)]
pub struct LinkAccountInput {
    /// Its name on Instagram, with or without `@`.
    username: String,
    /// Its password. It is sealed at once and never shown again.
    #[graphql(secret)]
    password: String,
    /// IANA name of its time zone, such as `Europe/Berlin`: days and working hours are counted in it.
    time_zone: String,
    /// The word `yes`, typed by the person: automation is against Instagram's terms at any pace, and can cost the account.
    consent: String,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A login.
#[derive(Debug, InputObject)]
pub struct RequestLoginInput {
    /// The two-factor code that Instagram sent, when it asked for one.
    #[graphql(secret)]
    verification_code: Option<String>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

impl TryFrom<&LinkAccountInput> for NewAccount {
    type Error = UserError;

    fn try_from(input: &LinkAccountInput) -> Result<Self, UserError> {
        let zone = time_zone(&input.time_zone).ok_or_else(|| {
            let message = "there is no such time zone; use an IANA name such as Europe/Berlin";
            UserError::new(Code::TimeZoneUnknown, message, &["timeZone"])
        })?;
        Ok(Self {
            username: input.username.clone(),
            password: Password::from(input.password.clone()),
            zone,
            consent: input.consent.clone(),
        })
    }
}

/// Mutations of the account, its login and its session.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Links the user's one Instagram account, or gives the linked one a new password. Nothing logs in by that.
    async fn link_account(&self, ctx: &Context<'_>, input: LinkAccountInput) -> Result<LinkAccountPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let (accounts, user_id) = (&ask.services.accounts, ask.caller.session.user_id);
        let act = |metadata| async move {
            match NewAccount::try_from(&input) {
                Ok(new) => answer(accounts.link(user_id, new, &metadata).await),
                Err(error) => Ok(Answer::refused(error)),
            }
        };
        let answer = ask.once(BOTS, act).await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Forgets the account, its password and its session.
    async fn unlink_account(&self, ctx: &Context<'_>, input: UnlinkAccountInput) -> Result<UnlinkAccountPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let (accounts, user_id) = (&ask.services.accounts, ask.caller.session.user_id);
        let act = |metadata| async move { answer(accounts.unlink(user_id, &metadata).await) };
        let answer = ask.once(BOTS, act).await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Asks for a login, once. The bot is `LOGGING_IN` until a worker tells how it ended.
    async fn request_login(&self, ctx: &Context<'_>, input: RequestLoginInput) -> Result<RequestLoginPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let (accounts, user_id) = (&ask.services.accounts, ask.caller.session.user_id);
        let code = input.verification_code.clone().map(Password::from);
        let act = |metadata| async move { answer(accounts.request_login(user_id, code, &metadata).await) };
        let answer = ask.once(BOTS, act).await?;
        Ok(ask.bot_answer(answer).await?.into())
    }

    /// Asks a worker to try the session. `login.verifiedAt` shows when it worked.
    async fn test_connection(&self, ctx: &Context<'_>, input: TestConnectionInput) -> Result<TestConnectionPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(ask.bot(|at| BotCommand::RequestConnectionTest { at }).await?.into())
    }

    /// Says that the challenge is settled in Instagram's own app. It is never solved here.
    async fn resolve_challenge(
        &self,
        ctx: &Context<'_>,
        input: ResolveChallengeInput,
    ) -> Result<ResolveChallengePayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(ask.bot(|at| BotCommand::ResolveChallenge { at }).await?.into())
    }

    /// Forgets the session. Automation ends by that.
    async fn logout_account(&self, ctx: &Context<'_>, input: LogoutAccountInput) -> Result<LogoutAccountPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        Ok(ask.bot(|at| BotCommand::Logout { at }).await?.into())
    }
}

/// Refusals are answers; what broke is not.
fn answer(done: Result<Executed<Bot>, AccountError>) -> Result<Answer> {
    match done {
        Ok(executed) => Ok(Answer::done(executed.position)),
        Err(AccountError::Refused(refusal)) => Ok(Answer::refused(&refusal)),
        Err(error @ AccountError::Taken { .. }) => {
            Ok(Answer::refused(UserError::new(Code::AccountTaken, error.to_string(), &["username"])))
        }
        Err(error @ AccountError::InvalidPassword) => {
            Ok(Answer::refused(UserError::new(Code::SecretInvalid, error.to_string(), &["password"])))
        }
        Err(error @ AccountError::InvalidCode) => {
            Ok(Answer::refused(UserError::new(Code::SecretInvalid, error.to_string(), &["verificationCode"])))
        }
        Err(error) => Err(fault(Problem::from(error))),
    }
}
