//! What the tests of the whole share: the binary, and the files of the repository.

pub mod binary;
pub mod error_codes;
pub mod service;
pub mod source;
