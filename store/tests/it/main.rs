//! The store's tests against a real PostgreSQL, in one binary.

mod command_queue;
mod embedded;
mod lease;
mod testing;
