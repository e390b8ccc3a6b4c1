//! The projections' tests against a real PostgreSQL, in one binary.

mod agreement;
mod audit;
mod jobs;
mod parking;
mod reactors;
mod read_models;
mod rebuilding;
mod running;
mod schedules;
mod support;
