//! The tests of the workers crate, as one binary.

mod platform;
