//! The projections crate.

pub mod reactor;
