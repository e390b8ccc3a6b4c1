//! Named points between the steps of the workers' protocols, at which a test kills the process or stops a worker.
//!
//! Without the crate feature `failpoints` a point does nothing.

use std::fmt;

/// Every point, in the order in which an action meets them; the login's after them.
pub const ALL: [&str; 14] = [
    "action.claimed",
    "action.before_reserve",
    "action.reserved",
    "action.before_call",
    "action.called",
    "action.before_record",
    "action.recorded",
    "action.before_complete",
    "settle.before_read",
    "settle.before_record",
    "run.before_start",
    "run.started",
    "login.reserved",
    "login.called",
];

#[cfg(feature = "failpoints")]
type Hook = std::sync::Arc<dyn Fn(&'static str) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// What a test wants to happen at the points of one worker.
#[derive(Clone, Default)]
pub struct Failpoints {
    #[cfg(feature = "failpoints")]
    hook: Option<Hook>,
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failpoints")
    }
}

#[cfg(feature = "failpoints")]
impl Failpoints {
    /// Awaits what `hook` gives, at every point.
    #[must_use]
    pub fn new(hook: Hook) -> Self {
        Self { hook: Some(hook) }
    }

    /// Reaches the point of this name.
    pub(crate) async fn reach(&self, name: &'static str) {
        store::failpoint::reach(name);
        if let Some(hook) = &self.hook {
            hook(name).await;
        }
    }
}

#[cfg(not(feature = "failpoints"))]
impl Failpoints {
    /// Reaches the point of this name, where nothing happens.
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn reach(&self, _name: &'static str) -> std::future::Ready<()> {
        std::future::ready(())
    }
}
