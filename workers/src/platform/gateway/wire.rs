//! What carries requests instead of the network, so that a simulation needs no socket and no real time.

use async_trait::async_trait;

/// The connection ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Carries requests to a gateway in the same process.
#[async_trait]
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// The status and the body of the answer.
    async fn carry(&self, request: reqwest::Request) -> Result<(u16, Vec<u8>), Broken>;
}
