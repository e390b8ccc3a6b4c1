//! Reactors: projections whose rows are commands for the workers.

pub mod work;
