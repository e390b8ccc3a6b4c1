//! The decoder: what it reads, what it refuses, golden rows, upcasting.

mod decoding;
mod golden;
mod upcasting;
