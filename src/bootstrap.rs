//! The only place that wires: which parts run, what each gets, and in which order they stop.

pub mod core;
pub mod database;
pub mod keys;
pub mod platform;
pub mod running;
