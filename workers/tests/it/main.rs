//! The tests of the workers crate, as one binary.

mod engine;
mod platform;
mod simulation;
