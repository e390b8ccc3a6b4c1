//! The GraphQL schema and how it is reached. The nouns have a file each; this one puts them together.

// The library's macros want `async` and `Result` where a field needs neither.
#![expect(clippy::unused_async, reason = "fields of the schema are async functions")]

mod account;
mod action;
mod ask;
mod audit;
mod behaviour;
mod bot;
mod campaign;
mod connection;
mod counters;
mod document;
mod engine_settings;
mod error;
mod event;
mod global_id;
pub(crate) mod http;
mod in_doubt;
mod job;
mod job_bulk;
mod job_history;
mod job_waiting;
mod limits;
mod loader;
mod mutation;
mod names;
mod nulls;
pub(crate) mod open_sockets;
mod plan;
mod query;
mod respond;
mod scalars;
mod schedule;
pub(crate) mod socket;
mod subscription;
mod targeting;
mod user;
mod verdict;

use std::sync::Arc;

use async_graphql::{SDLExportOptions, Schema, SchemaBuilder};
use domain::ids::UserId;

use crate::deps::Services;
use action::Action;
use audit::AuditEntry;
use campaign::{Campaign, CampaignRun};
use connection::List;
use event::BotEvent;
use global_id::Kind;
use in_doubt::InDoubtAction;
use job::Job;
use job_bulk::{JobBulkOperation, JobBulkResult};
use job_history::JobEvent;
use mutation::Mutation;
use query::Query;
use subscription::Subscription;
use user::User;

/// Fields times the lengths of the lists that they are in.
const MOST_COMPLEX: usize = 6_000;
const DEEPEST_RECURSION: usize = 40;

/// The schema with what it works with.
pub(crate) type GraphqlSchema = Schema<Query, Mutation, Subscription>;

/// The schema over `services`.
pub(crate) fn schema(services: Arc<Services>) -> GraphqlSchema {
    builder().data(services).finish()
}

/// The schema as text: the contract that clients are built on.
#[must_use]
pub fn schema_sdl() -> String {
    builder().finish().sdl_with_options(
        SDLExportOptions::new()
            .include_specified_by()
            .prefer_single_line_descriptions()
            .use_space_ident()
            .indent_width(2),
    )
}

/// The global id of a user, for answers outside of the schema.
pub(crate) fn user_id(user_id: UserId) -> String {
    Kind::User.id(user_id.uuid()).0
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .override_output_type_description::<List<Action>>("A page of actions.")
        .override_output_type_description::<List<AuditEntry>>("A page of the audit trail.")
        .override_output_type_description::<List<BotEvent>>("A page of a bot's events.")
        .override_output_type_description::<List<Campaign>>("A page of campaigns.")
        .override_output_type_description::<List<CampaignRun>>("A page of campaign runs.")
        .override_output_type_description::<List<Job>>("A page of jobs.")
        .override_output_type_description::<List<InDoubtAction>>("A page of actions in doubt.")
        .override_output_type_description::<List<JobBulkOperation>>("A page of changes of many jobs.")
        .override_output_type_description::<List<JobBulkResult>>("A page of what became of jobs.")
        .override_output_type_description::<List<JobEvent>>("A page of a job's history.")
        .override_output_type_description::<List<User>>("A page of users.")
        .limit_complexity(MOST_COMPLEX)
        .limit_recursive_depth(DEEPEST_RECURSION)
        .limit_directives(20)
}
