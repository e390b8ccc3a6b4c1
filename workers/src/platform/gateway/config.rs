//! Where the gateway is and how long to wait for it.

use std::time::Duration;

use domain::ids::AccountId;

/// Stands in a URL for the account that a call is for.
const ACCOUNT_MARK: &str = "{account}";

/// The settings of the client. `new` gives those that the contract asks for.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// One URL for all accounts, or one with `{account}` in it.
    pub url: String,
    pub connect_timeout: Duration,
    /// For one whole request, its answer included.
    pub call_timeout: Duration,
    /// How long to wait after each failed try of a read. There are as many tries as entries; the
    /// last one is not waited but told to the caller.
    pub read_retry_delays: Vec<Duration>,
    /// A longer answer is refused.
    pub max_answer_bytes: usize,
}

impl GatewayConfig {
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(120),
            read_retry_delays: [5, 30, 180].map(Duration::from_secs).to_vec(),
            max_answer_bytes: 8 * 1024 * 1024,
        }
    }

    pub(super) fn check(&self) -> Result<(), GatewayConfigError> {
        let sample = self.url.replace(ACCOUNT_MARK, "account");
        let url = reqwest::Url::parse(&sample).map_err(|_| GatewayConfigError::Url)?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
        let unnamed = url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && plain && unnamed { Ok(()) } else { Err(GatewayConfigError::Url) }
    }

    pub(super) fn is_per_account(&self) -> bool {
        self.url.contains(ACCOUNT_MARK)
    }

    /// The base of the URLs of one account; `None` when the call names none but the URL needs one.
    pub(super) fn base(&self, account: Option<AccountId>) -> Option<String> {
        let url = match (self.is_per_account(), account) {
            (false, _) => self.url.clone(),
            (true, Some(account)) => self.url.replace(ACCOUNT_MARK, &account.to_string()),
            (true, None) => return None,
        };
        Some(url.trim_end_matches('/').to_owned())
    }
}

/// Why no client can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum GatewayConfigError {
    #[error("the gateway's URL must be http or https, without user, query or fragment")]
    Url,
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl GatewayConfigError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url => "GATEWAY_URL_INVALID",
            Self::Client(_) => "GATEWAY_CLIENT_FAILED",
        }
    }
}
