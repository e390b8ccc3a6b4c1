//! Everything that can be changed, one noun a file. A mutation turns its input into one command.

mod account;
mod automation;
mod bot;
mod campaign;
mod engine;
mod in_doubt;
mod job;
mod job_bulk;
mod payload;
mod schedule;
mod user;

use async_graphql::MergedObject;

use super::engine_settings::EngineSettingsMutation;

/// Everything that can be changed. Each mutation takes one `input` and gives what it changed, or `userErrors`.
#[derive(Default, MergedObject)]
pub struct Mutation(
    bot::BotMutation,
    account::AccountMutation,
    campaign::CampaignMutation,
    schedule::ScheduleMutation,
    automation::AutomationMutation,
    user::UserMutation,
    engine::EngineMutation,
    job::JobMutation,
    job_bulk::JobBulkMutation,
    in_doubt::InDoubtMutation,
    EngineSettingsMutation,
);
