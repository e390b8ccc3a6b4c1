//! Mutations of the engine, in a sandbox.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use domain::engine::EngineCommand;
use domain::metadata::Metadata;

use crate::code::Code;
use crate::graphql::ask::{Answer, Ask};
use crate::graphql::engine_settings::execute;
use crate::graphql::error::UserError;
use crate::graphql::query::Engine;

/// How fast the engine's clock runs.
#[derive(Debug, InputObject)]
pub struct SetClockSpeedInput {
    /// How many times faster than the world.
    speed: f64,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// What `setClockSpeed` did.
#[derive(SimpleObject)]
pub struct SetClockSpeedPayload {
    /// The engine as it is now.
    engine: Engine,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<UserError>,
}

/// Mutations of the engine.
#[derive(Default)]
pub struct EngineMutation;

#[Object]
impl EngineMutation {
    /// Makes the engine's clock run faster, so that a demo lives through days in minutes. For everybody on a
    /// sandbox; refused with a gateway.
    async fn set_clock_speed(&self, ctx: &Context<'_>, input: SetClockSpeedInput) -> Result<SetClockSpeedPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let control = ask.services.deps.clock_control.clone();
        let act = |metadata: Metadata| async move {
            let Some(control) = control else {
                let message = "the clock runs with the world; only a sandbox can make it run faster";
                return Ok(Answer::refused(UserError::new(Code::ClockNotAdjustable, message, &["speed"])));
            };
            let old = ask.services.deps.clock.speed();
            match control.set_speed(input.speed) {
                Ok(()) => {
                    let command = EngineCommand::RecordClockSpeed { old, new: input.speed, at: metadata.recorded_at };
                    execute(ask, command, &metadata).await
                }
                Err(error) => {
                    Ok(Answer::refused(UserError::new(Code::ClockSpeedInvalid, error.to_string(), &["speed"])))
                }
            }
        };
        let answer = ask.once(&[], act).await?;
        Ok(SetClockSpeedPayload { engine: Engine::of(ask.services), user_errors: answer.user_errors })
    }
}
