//! The workers crate.

pub mod platform;
