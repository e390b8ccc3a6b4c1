//! Tests of the whole from outside: the binary as a person runs it, and the rules that the source must keep.

mod architecture;
mod chaos;
mod cli;
mod errors;
mod projections;
mod replay;
mod schema;
mod support;
mod up;
