//! The workers on a real database and the real sandbox.

mod flow;
mod scene;
mod silence;
mod time;
