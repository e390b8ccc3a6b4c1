//! The API: REST for signing in and for machines, GraphQL for everything else.
//!
//! It turns inputs into commands and read models into answers. It decides nothing about bots and calls no platform.

mod accounts;
pub mod auth;
mod code;
mod deps;
mod graphql;
mod http;
mod idempotency;
mod maintenance;
mod rest;
mod router;

pub use deps::{ApiDeps, ApiError, ApiSettings, ClockControl, ClockSpeedError, Probe, ProbeResult};
pub use graphql::schema_sdl;
pub use http::CSRF_HEADER;
pub use maintenance::maintain;
pub use router::router;
