//! How much the engine does at a time: shown to administrators, and changed by them while jobs run.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::BotId;
use domain::metadata::Metadata;
use store::engine_settings::{self, BotSettings, EngineSettings as Settings, StoredSettings};

use super::ask::{Answer, Ask};
use super::error::{UserError, admin, fault, services};
use super::global_id::Kind;
use crate::code::Code;

const MOST_RUNNING: i32 = 10_000;
const MOST_RUNNING_PER_BOT: i32 = 1_000;
const MOST_REQUESTS: i32 = 100_000;
const HEAVIEST: i32 = 10;
const LONGEST_REASON: usize = 500;
const MOST_BOTS: usize = 1_000;

/// How much the engine does at a time.
#[derive(SimpleObject)]
pub struct EngineSettings {
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
    /// Who changed them last.
    updated_by: String,
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

impl From<StoredSettings> for EngineSettings {
    fn from(stored: StoredSettings) -> Self {
        let StoredSettings { settings, updated_at, updated_by, .. } = stored;
        let bots = settings.bots.into_iter().map(|(bot, own)| BotEngineSettings {
            bot_id: Kind::Bot.id(bot.uuid()),
            max_running: own.max_running,
            weight: own.weight.unwrap_or(1),
            jobs_paused: own.paused.is_some(),
            pause_reason: own.paused,
        });
        Self {
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
    let stored = engine_settings::load(&services(ctx)?.deps.pool).await.map_err(fault)?;
    Ok(stored.into())
}

/// Mutations of the engine's settings.
#[derive(Default)]
pub struct EngineSettingsMutation;

#[Object]
impl EngineSettingsMutation {
    /// Changes how much the engine does at a time, in every process within seconds; for administrators. Nothing that
    /// runs is broken off.
    async fn set_engine_settings(
        &self,
        ctx: &Context<'_>,
        input: SetEngineSettingsInput,
    ) -> Result<SetEngineSettingsPayload> {
        let ask = &Ask::of_admin(ctx, &input, input.idempotency_key.as_ref())?;
        let pool = &ask.services.deps.pool;
        let act = |metadata: Metadata| async move {
            let change = match checked(input) {
                Ok(change) => change,
                Err(refusal) => return Ok(Answer::refused(refusal)),
            };
            let Metadata { actor, recorded_at, .. } = metadata;
            let apply = |settings: &mut Settings| change.apply(settings);
            engine_settings::change(pool, &actor.to_string(), recorded_at, apply).await.map_err(fault)?;
            Ok(Answer::default())
        };
        let answer = ask.once(&[], act).await?;
        Ok(SetEngineSettingsPayload { engine_settings: shown(ctx).await?, user_errors: answer.user_errors })
    }
}

/// A change that may be made.
#[derive(Default)]
#[expect(clippy::option_option, reason = "left as it is, taken away, or set")]
struct Change {
    max_running: Option<u32>,
    max_running_per_bot: Option<u32>,
    paused: Option<Option<String>>,
    requests_per_minute: Option<Option<u32>>,
    bots: Vec<(BotId, BotSettings)>,
}

impl Change {
    fn apply(self, settings: &mut Settings) {
        if let Some(most) = self.max_running {
            settings.max_running = most;
        }
        if let Some(most) = self.max_running_per_bot {
            settings.max_running_per_bot = most;
        }
        if let Some(paused) = self.paused {
            settings.paused = paused;
        }
        if let Some(requests) = self.requests_per_minute {
            settings.requests_per_minute = requests;
        }
        settings.bots.extend(self.bots);
    }
}

fn checked(input: SetEngineSettingsInput) -> Result<Change, UserError> {
    let requests = number(input.requests_per_minute, 0, MOST_REQUESTS, "requestsPerMinute")?;
    let bots = input.bots.unwrap_or_default();
    if bots.len() > MOST_BOTS {
        return Err(UserError::new(Code::BadInput, "at most 1,000 bots at a time", &["bots"]));
    }
    Ok(Change {
        max_running: number(input.max_running, 1, MOST_RUNNING, "maxRunning")?,
        max_running_per_bot: number(input.max_running_per_bot, 1, MOST_RUNNING_PER_BOT, "maxRunningPerBot")?,
        paused: match input.jobs_paused {
            None => None,
            Some(is_paused) => Some(reason(is_paused, input.pause_reason)?),
        },
        requests_per_minute: requests.map(|requests| Some(requests).filter(|requests| *requests > 0)),
        bots: bots.into_iter().map(checked_bot).collect::<Result<_, _>>()?,
    })
}

fn checked_bot(input: SetBotEngineSettingsInput) -> Result<(BotId, BotSettings), UserError> {
    let Some(bot) = Kind::Bot.uuid(&input.bot_id) else {
        return Err(UserError::not_found("bot", &["bots", "botId"]));
    };
    let own = BotSettings {
        max_running: number(input.max_running, 1, MOST_RUNNING_PER_BOT, "bots")?,
        weight: number(input.weight, 1, HEAVIEST, "bots")?,
        paused: reason(input.jobs_paused.unwrap_or(false), input.pause_reason)?,
    };
    Ok((BotId::from_uuid(bot), own))
}

fn number(value: Option<i32>, least: i32, most: i32, field: &str) -> Result<Option<u32>, UserError> {
    match value {
        None => Ok(None),
        Some(value) if (least..=most).contains(&value) => Ok(u32::try_from(value).ok()),
        Some(value) => {
            let message = format!("{value} is not from {least} to {most}");
            Err(UserError::new(Code::BadInput, message, &[field]))
        }
    }
}

fn reason(is_paused: bool, reason: Option<String>) -> Result<Option<String>, UserError> {
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > LONGEST_REASON {
        return Err(UserError::new(Code::BadInput, "a reason has at most 500 characters", &["pauseReason"]));
    }
    Ok(is_paused.then_some(reason))
}
