//! The workers on a real database and the real sandbox.

#[cfg(feature = "failpoints")]
mod crash;
mod flow;
mod scene;
mod silence;
mod time;
