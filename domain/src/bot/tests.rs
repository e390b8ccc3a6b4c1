//! Given, when, then; the state table; properties.
