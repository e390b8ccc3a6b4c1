//! The routes that are not GraphQL: signing in and out, health, metrics.

pub mod auth;
pub mod health;
pub mod metrics;
