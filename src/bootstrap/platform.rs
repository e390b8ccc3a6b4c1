//! The platform of this process: the gateway that is named, else a sandbox of its own behind the same client.

use std::path::PathBuf;
use std::sync::Arc;

use domain::clock::Clock;
use workers::platform::sandbox::{Sandbox, SandboxConfig, SandboxHandle};
use workers::platform::{Gateway, GatewayConfig};

use crate::config::Config;
use crate::failure::Failure;

/// The client, and the sandbox if this process runs one.
pub struct PlatformParts {
    pub gateway: Arc<Gateway>,
    pub sandbox: Option<SandboxHandle>,
}

impl PlatformParts {
    /// Contacts nobody: a gateway that is down now may be up when it is needed.
    pub async fn start(config: &Config, clock: &Arc<dyn Clock>, ledger: PathBuf) -> Result<Self, Failure> {
        let (url, sandbox) = if let Some(url) = &config.gateway_url {
            (url.clone(), None)
        } else {
            let sandbox = Sandbox::start(SandboxConfig {
                addr: config.sandbox_listen,
                ledger_file: Some(ledger),
                ..SandboxConfig::new(Arc::clone(clock))
            })
            .await?;
            (sandbox.url(), Some(sandbox))
        };
        let config = GatewayConfig { call_timeout: config.call_limit, ..GatewayConfig::new(url) };
        let gateway = Arc::new(Gateway::try_new(config)?);
        Ok(Self { gateway, sandbox })
    }
}
