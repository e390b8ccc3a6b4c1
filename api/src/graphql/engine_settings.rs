//! How much the engine does at a time: shown to administrators, and changed by them while jobs run.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::engine::{BotChange, Engine, EngineCommand, STREAM_ID, SettingsChange};
use domain::ids::BotId;
use domain::metadata::Metadata;
use projections::engine_settings::{self, CurrentSettings};
use store::command_bus::ExecuteError;

use super::ask::{Answer, Ask, ENGINE};
use super::error::{UserError, admin, fault, services};
use super::global_id::Kind;
use super::scalars::Long;

/// How much the engine does at a time.
#[derive(SimpleObject)]
pub struct EngineSettings {
    /// How often they were changed. Given with a change, that is refused when somebody else was faster.
    revision: Long,
    /// Most jobs that run at a time in a process.
    max_running: u32,
    /// Most jobs of a bot that run at a time.
    max_running_per_bot: u32,
    /// Whether no process takes up a job. What runs comes to its next wait.
    jobs_paused: bool,
    /// Why.
    pause_reason: Option<String>,
    /// Most requests to the gateway in a minute of real time, for each process; null: no limit.
    requests_per_minute: Option<u32>,
    /// What differs for single bots.
    bots: Vec<BotEngineSettings>,
    /// When they were changed last; null: never.
    updated_at: Option<DateTime<Utc>>,
    /// Who changed them last, such as `admin:<uuid>`; null: nobody.
    updated_by: Option<String>,
}

/// What differs for one bot.
#[derive(SimpleObject)]
pub struct BotEngineSettings {
    /// Global id of the bot.
    bot_id: ID,
    /// Most jobs of it that run at a time; null: as for all.
    max_running: Option<u32>,
    /// How many jobs it may begin when it is its turn among the bots.
    weight: u32,
    /// Whether none of its jobs is taken up.
    jobs_paused: bool,
    /// Why.
    pause_reason: Option<String>,
}

/// A change of the engine's settings; what is left out stays as it is.
#[derive(Debug, InputObject)]
pub struct SetEngineSettingsInput {
    /// Most jobs that run at a time in a process, 1 to 10,000.
    max_running: Option<i32>,
    /// Most jobs of a bot that run at a time, 1 to 1,000.
    max_running_per_bot: Option<i32>,
    /// Whether no process takes up a job.
    jobs_paused: Option<bool>,
    /// Why they are paused, up to 500 characters.
    pause_reason: Option<String>,
    /// Most requests to the gateway in a minute of real time, for each process; 0: no limit.
    requests_per_minute: Option<i32>,
    /// What differs for single bots, at most 1,000 of them.
    bots: Option<Vec<SetBotEngineSettingsInput>>,
    /// Refused unless the settings are still those of this revision; left out: whatever they are.
    revision: Option<Long>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A change for one bot; what is left out is as for all bots again.
#[derive(Debug, InputObject)]
pub struct SetBotEngineSettingsInput {
    /// Global id of the bot.
    bot_id: ID,
    /// Most jobs of it that run at a time, 1 to 1,000.
    max_running: Option<i32>,
    /// How many jobs it may begin when it is its turn among the bots, 1 to 10.
    weight: Option<i32>,
    /// Whether none of its jobs is taken up.
    jobs_paused: Option<bool>,
    /// Why, up to 500 characters.
    pause_reason: Option<String>,
}

/// What `setEngineSettings` did.
#[derive(SimpleObject)]
pub struct SetEngineSettingsPayload {
    /// The settings as they are now.
    engine_settings: EngineSettings,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<UserError>,
}

impl From<CurrentSettings> for EngineSettings {
    fn from(current: CurrentSettings) -> Self {
        let CurrentSettings { revision, settings, updated } = current;
        let (updated_at, updated_by) = updated.unzip();
        let bots = settings.bots.into_iter().map(|(bot, own)| BotEngineSettings {
            bot_id: Kind::Bot.id(bot.uuid()),
            max_running: own.max_running,
            weight: own.weight.unwrap_or(1),
            jobs_paused: own.paused.is_some(),
            pause_reason: own.paused,
        });
        Self {
            revision: Long(revision),
            max_running: settings.max_running,
            max_running_per_bot: settings.max_running_per_bot,
            jobs_paused: settings.paused.is_some(),
            pause_reason: settings.paused,
            requests_per_minute: settings.requests_per_minute,
            bots: bots.collect(),
            updated_at,
            updated_by,
        }
    }
}

/// The settings as they are now; for administrators.
pub async fn shown(ctx: &Context<'_>) -> Result<EngineSettings> {
    admin(ctx)?;
    let current = engine_settings::load(&services(ctx)?.deps.pool).await.map_err(fault)?;
    Ok(current.into())
}

/// Mutations of the engine's settings.
#[derive(Default)]
pub struct EngineSettingsMutation;

#[Object]
impl EngineSettingsMutation {
    /// Changes how much the engine does at a time, in every process within seconds; for administrators. Nothing that
    /// runs is broken off. The audit trail has what each setting was and is.
    async fn set_engine_settings(
        &self,
        ctx: &Context<'_>,
        input: SetEngineSettingsInput,
    ) -> Result<SetEngineSettingsPayload> {
        let ask = &Ask::of_admin(ctx, &input, input.idempotency_key.as_ref())?;
        let revision = input.revision.map(|Long(revision)| revision);
        let act = |metadata: Metadata| async move {
            let change = match change(input) {
                Ok(change) => change,
                Err(refusal) => return Ok(Answer::refused(refusal)),
            };
            let command = EngineCommand::ChangeSettings { change, revision, at: metadata.recorded_at };
            execute(ask, command, &metadata).await
        };
        let answer = ask.once(ENGINE, act).await?;
        Ok(SetEngineSettingsPayload { engine_settings: shown(ctx).await?, user_errors: answer.user_errors })
    }
}

/// The change that is asked for; whether it may be made is decided by the engine.
fn change(input: SetEngineSettingsInput) -> Result<SettingsChange, UserError> {
    let reason = input.pause_reason.unwrap_or_default();
    Ok(SettingsChange {
        max_running: input.max_running.map(i64::from),
        max_running_per_bot: input.max_running_per_bot.map(i64::from),
        paused: input.jobs_paused.map(|is_paused| is_paused.then_some(reason)),
        requests_per_minute: input.requests_per_minute.map(i64::from),
        bots: input.bots.unwrap_or_default().into_iter().map(bot_change).collect::<Result<_, _>>()?,
    })
}

fn bot_change(input: SetBotEngineSettingsInput) -> Result<BotChange, UserError> {
    let Some(bot) = Kind::Bot.uuid(&input.bot_id) else {
        return Err(UserError::not_found("bot", &["bots", "botId"]));
    };
    let is_paused = input.jobs_paused.unwrap_or(false);
    Ok(BotChange {
        bot_id: BotId::from_uuid(bot),
        max_running: input.max_running.map(i64::from),
        weight: input.weight.map(i64::from),
        paused: is_paused.then(|| input.pause_reason.unwrap_or_default()),
    })
}

/// Asks the engine itself, as one stream has all its changes.
pub async fn execute(ask: &Ask<'_>, command: EngineCommand, metadata: &Metadata) -> Result<Answer> {
    match ask.services.deps.bus.execute::<Engine>(STREAM_ID, command, metadata).await {
        Ok(executed) => Ok(Answer::done(executed.position)),
        Err(ExecuteError::Refused(refusal)) => Ok(Answer::refused(&refusal)),
        Err(ExecuteError::Store(error)) => Err(fault(error)),
    }
}
