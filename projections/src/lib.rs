//! The projections crate.
