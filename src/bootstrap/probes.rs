//! What `/health/ready` asks beside the database and the projections: the lease of this process, and the gateway.

use std::sync::Arc;

use api::{Probe, ProbeResult};
use async_trait::async_trait;
use store::writer::Writer;
use workers::platform::{Call, Deadline, Gateway, Platform};

/// Whether this process may write.
pub struct WriterProbe(pub Writer);

#[async_trait]
impl Probe for WriterProbe {
    fn name(&self) -> &'static str {
        "writer"
    }

    async fn check(&self) -> ProbeResult {
        let remaining = self.0.lease().remaining();
        if remaining.is_zero() {
            return ProbeResult { ready: false, detail: "the lease has ended and is not renewed yet".to_owned() };
        }
        ProbeResult { ready: true, detail: format!("the lease lasts {} ms", remaining.as_millis()) }
    }
}

/// Whether the platform's gateway, or the sandbox, answers.
pub struct PlatformProbe(pub Arc<Gateway>);

#[async_trait]
impl Probe for PlatformProbe {
    fn name(&self) -> &'static str {
        "platform"
    }

    async fn check(&self) -> ProbeResult {
        match self.0.health(Call::service(Deadline::NONE)).await {
            Ok(()) => ProbeResult { ready: true, detail: "answers".to_owned() },
            Err(error) => ProbeResult { ready: false, detail: format!("{}: {error}", error.code()) },
        }
    }
}
