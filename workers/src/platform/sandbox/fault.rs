//! Faults on demand: which calls they meet and what they do to them.

use domain::splitmix::SplitMix64;
use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum FaultKind {
    /// The gateway answers with this failure, such as `FeedbackRequired`; nothing takes effect.
    Fail {
        exc_type: String,
        #[serde(default)]
        detail: Option<String>,
    },
    /// The platform ends the session, for good; the account has to log in again.
    SessionDeath,
    /// The gateway forgets the session; an import brings it back.
    SessionLost,
    /// It takes effect, but the reply is lost: the connection drops, or the gateway answers with
    /// `exc_type`.
    LostReply {
        #[serde(default)]
        exc_type: Option<String>,
    },
    /// The connection drops and nothing takes effect.
    LostRequest,
    /// As `LostReply`, but it takes effect only after the delay, when the client has given up.
    LateSuccess {
        delay_ms: u64,
        #[serde(default)]
        exc_type: Option<String>,
    },
    /// The platform gets it twice and answers once.
    Duplicate,
    /// The call takes longer by this much. It is carried out even when the client has gone.
    Latency { delay_ms: u64 },
    /// The gateway answers with this, whatever it is; nothing takes effect.
    Raw {
        status: u16,
        #[serde(default)]
        content_type: Option<String>,
        body: String,
    },
}

/// A fault and the calls that it meets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A pk or a user name; absent for every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Such as `POST /media/like`; absent for every call that logs in or names a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How many matching calls go by first.
    #[serde(default)]
    pub skip: u32,
    /// How many calls it meets; absent for one, or for all when there is a probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Of meeting a matching call; absent for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Of the numbers behind the probability.
    #[serde(default)]
    pub seed: u64,
    pub fault: FaultKind,
}

impl Fault {
    /// Meets the next call, whatever it is.
    #[must_use]
    pub fn new(fault: FaultKind) -> Self {
        Self { account: None, route: None, skip: 0, times: None, probability: None, seed: 0, fault }
    }

    /// Meets only calls of this route, such as `POST /media/like`.
    #[must_use]
    pub fn on(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// Meets only calls of this account, by pk or user name.
    #[must_use]
    pub fn of_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Meets so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// A call, as far as faults look at it.
pub(super) struct Met<'a> {
    pub(super) route: &'a str,
    /// The gateway about itself, such as `GET /build`; only a fault that names the route meets it.
    pub(super) is_service: bool,
    pub(super) account_pk: Option<&'a str>,
    pub(super) account_name: Option<&'a str>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    skip: u32,
    remaining: Option<u32>,
    rng: SplitMix64,
}

/// The faults that wait for their calls, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Armed>);

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        let remaining = fault.times.or_else(|| fault.probability.is_none().then_some(1));
        let rng = SplitMix64::new(fault.seed);
        self.0.push(Armed { skip: fault.skip, remaining, rng, fault });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn waiting(&self) -> Vec<Fault> {
        self.0.iter().map(|armed| Fault { times: armed.remaining, ..armed.fault.clone() }).collect()
    }

    /// The fault that this call meets, if any; the first that matches.
    pub(super) fn meet(&mut self, call: &Met<'_>) -> Option<FaultKind> {
        let index = self.0.iter_mut().position(|armed| armed.meets(call))?;
        let armed = self.0.get_mut(index)?;
        let kind = armed.fault.fault.clone();
        if let Some(remaining) = &mut armed.remaining {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                self.0.remove(index);
            }
        }
        Some(kind)
    }
}

impl Armed {
    fn meets(&mut self, call: &Met<'_>) -> bool {
        let account_fits = match self.fault.account.as_deref() {
            Some(account) => call.account_pk == Some(account) || call.account_name == Some(account),
            None => true,
        };
        let route_fits = match self.fault.route.as_deref() {
            Some(route) => route == call.route,
            None => !call.is_service,
        };
        if !account_fits || !route_fits {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.fault.probability.is_none_or(|probability| self.rng.unit() < probability)
    }
}
