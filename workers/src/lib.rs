//! The workers crate.
