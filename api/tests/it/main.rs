//! Tests of the API through real HTTP and sockets, over a real PostgreSQL; one binary.

mod auth;
mod bots;
mod campaigns;
mod connections;
mod engine_settings;
mod graphql_over_http;
mod guard;
mod health;
mod idempotency;
mod isolation;
mod job_bulk;
mod jobs;
mod schedules;
mod sockets;
mod support;
