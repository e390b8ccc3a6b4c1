//! How a mutation is executed: once for each idempotency key, with the request's ids in the events that it leads to.

use async_graphql::{Context, InputType, Result};
use chrono::{DateTime, Utc};
use domain::bot as bots;
use domain::ids::{BotId, RequestId};
use domain::metadata::Metadata;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::command_bus::ExecuteError;
use uuid::Uuid;

use super::bot::Bot;
use super::error::{UserError, admin, caller, coded, fault, services};
use crate::code::Code;
use crate::deps::Services;
use crate::http::{Caller, Problem};
use crate::idempotency::{Begun, Execution};
use crate::rest::auth::actor;

/// How long an answer waits for the read models, so that whoever changed something sees it.
const LONGEST_WAIT: Duration = Duration::from_millis(750);
const LONGEST_KEY: usize = 255;

/// Read models that show what a mutation did.
pub const BOTS: &[&str] = &["bot_status", "instagram_accounts"];
pub const CAMPAIGNS: &[&str] = &["campaigns"];
pub const ENGINE: &[&str] = &["engine_settings"];
pub const JOBS: &[&str] = &["jobs"];
pub const SCHEDULES: &[&str] = &["campaigns", "campaign_schedules"];
pub const USERS: &[&str] = &["users"];

/// What came of a mutation: kept, sealed, for its repetitions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// What was made or changed.
    pub subject: Option<Uuid>,
    /// A password that was made.
    pub secret: Option<String>,
    /// The last position of its events.
    pub position: i64,
    pub user_errors: Vec<UserError>,
}

impl Answer {
    /// It was refused.
    pub fn refused(error: impl Into<UserError>) -> Self {
        Self { user_errors: vec![error.into()], ..Self::default() }
    }

    /// It was done.
    pub fn done(position: i64) -> Self {
        Self { position, ..Self::default() }
    }

    /// What it was done to; `None` when it was refused.
    pub fn subject(&self) -> Option<Uuid> {
        self.subject.filter(|_| self.user_errors.is_empty())
    }
}

/// One mutation of one request.
pub struct Ask<'a> {
    pub services: &'a Services,
    pub caller: &'a Caller,
    /// The mutation's name and its input: another one under the same key is a mismatch.
    input: Vec<u8>,
    key: Option<String>,
}

impl<'a> Ask<'a> {
    /// A mutation that every signed-in user may ask for.
    pub fn new(ctx: &Context<'a>, input: &impl InputType, key: Option<&String>) -> Result<Self> {
        let value = input.to_value().into_json().map_err(|_| fault(Problem::internal()))?;
        let input = format!("{}\n{value}", ctx.field().name()).into_bytes();
        Ok(Self { services: services(ctx)?, caller: caller(ctx)?, input, key: key.cloned() })
    }

    /// A mutation for administrators.
    pub fn of_admin(ctx: &Context<'a>, input: &impl InputType, key: Option<&String>) -> Result<Self> {
        admin(ctx)?;
        Self::new(ctx, input, key)
    }

    /// The bot of whoever asks.
    pub fn bot_id(&self) -> BotId {
        BotId::of(self.caller.session.user_id)
    }

    /// Executes `act` once for its key; repeated, gives the first answer.
    pub async fn once<Act, Acting>(&self, show: &[&str], act: Act) -> Result<Answer>
    where
        Act: FnOnce(Metadata) -> Acting + Send,
        Acting: Future<Output = Result<Answer>> + Send,
    {
        let Some(key) = &self.key else {
            let request_id = RequestId::from_uuid(self.services.deps.entropy.uuid());
            let answer = act(self.metadata(request_id)).await?;
            return Ok(self.shown(answer, show).await);
        };
        if key.is_empty() || key.chars().count() > LONGEST_KEY || key.chars().any(char::is_control) {
            let message = "an idempotency key has 1 to 255 characters, none of them a control character";
            return Ok(Answer::refused(UserError::new(Code::IdempotencyKeyInvalid, message, &["idempotencyKey"])));
        }
        let keys = &self.services.keys;
        match keys.begin(self.caller.session.user_id, key, &self.input).await.map_err(fault)? {
            Begun::Execute(execution) => {
                let answer = self.execute(&execution, act).await?;
                Ok(self.shown(answer, show).await)
            }
            Begun::Answered(answer) => {
                let answer = serde_json::from_slice(&answer).map_err(|_| fault(Problem::internal()))?;
                Ok(self.shown(answer, show).await)
            }
            Begun::Mismatch => {
                let message = "this idempotency key was used for another mutation or another input; take a new one";
                Ok(Answer::refused(UserError::new(Code::IdempotencyMismatch, message, &["idempotencyKey"])))
            }
            Begun::Busy => Err(coded(
                Code::IdempotencyInProgress,
                "the first request with this key is still being executed; ask again with the same key",
            )),
        }
    }

    async fn execute<Act, Acting>(&self, execution: &Execution, act: Act) -> Result<Answer>
    where
        Act: FnOnce(Metadata) -> Acting + Send,
        Acting: Future<Output = Result<Answer>> + Send,
    {
        let keys = &self.services.keys;
        match act(self.metadata(execution.request_id)).await {
            Ok(answer) => {
                let kept = serde_json::to_vec(&answer).map_err(|_| fault(Problem::internal()))?;
                keys.finish(execution, &kept).await.map_err(fault)?;
                Ok(answer)
            }
            Err(error) => {
                // It may be repeated at once; the log knows what came of it.
                keys.give_up(execution).await.map_err(fault)?;
                Err(error)
            }
        }
    }

    /// The same answer, when the read models show it or have had the time to.
    async fn shown(&self, answer: Answer, show: &[&str]) -> Answer {
        if answer.position > 0 {
            let waited = self.services.deps.projections.wait_until_all(show, answer.position, LONGEST_WAIT).await;
            if let Err(error) = waited {
                tracing::warn!(error.code = error.code(), "a read model is behind; the answer does not wait for it");
            }
        }
        answer
    }

    fn metadata(&self, request_id: RequestId) -> Metadata {
        Metadata {
            correlation_id: self.caller.context.request_id,
            causation_id: self.caller.context.request_id,
            actor: actor(&self.caller.session),
            request_id,
            recorded_at: self.services.deps.clock.now(),
        }
    }

    /// Executes a command of the caller's own bot.
    pub async fn bot(&self, command: impl FnOnce(DateTime<Utc>) -> bots::BotCommand + Send) -> Result<BotAnswer> {
        let answer = self
            .once(BOTS, |metadata| async move {
                let command = command(metadata.recorded_at);
                self.execute_bot(command, &metadata).await
            })
            .await?;
        self.bot_answer(answer).await
    }

    /// Executes a command of the caller's own bot, inside [`Ask::once`].
    pub async fn execute_bot(&self, command: bots::BotCommand, metadata: &Metadata) -> Result<Answer> {
        let id = self.bot_id().to_string();
        match self.services.deps.bus.execute::<bots::Bot>(&id, command, metadata).await {
            Ok(executed) => Ok(Answer::done(executed.position)),
            Err(ExecuteError::Refused(refusal)) => Ok(Answer::refused(&refusal)),
            Err(ExecuteError::Store(error)) => Err(fault(error)),
        }
    }

    /// The answer with the bot as it is now.
    pub async fn bot_answer(&self, answer: Answer) -> Result<BotAnswer> {
        let bot = Bot::load(self.services, self.bot_id()).await?;
        Ok(BotAnswer { bot, user_errors: answer.user_errors })
    }
}

/// The caller's bot, and why the command was refused.
pub struct BotAnswer {
    pub bot: Bot,
    pub user_errors: Vec<UserError>,
}
