//! The store's tests against a real PostgreSQL, in one binary.

mod embedded;
mod testing;
