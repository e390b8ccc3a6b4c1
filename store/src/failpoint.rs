//! Named points at which a test stops or kills this process: `REPRISE_FAILPOINT=name:action`.
//!
//! Actions: `kill` (SIGKILL), `stop` (SIGSTOP), each at the first time the point is reached or, as
//! `name:action@n`, at the n-th. Without the crate feature `failpoints` nothing of this is compiled.

/// Reaches the failpoint of this name.
macro_rules! failpoint {
    ($name:expr) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::reach($name);
    };
}
pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
pub use armed::reach;

/// Every failpoint of the append, in the order in which an append meets them.
pub const APPEND: [&str; 6] = [
    "append.gathered",
    "append.planned",
    "append.sent",
    "append.committed",
    "append.half_acknowledged",
    "append.acknowledged",
];

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    struct Failpoint {
        name: String,
        signal: Signal,
        nth: u64,
        reached: AtomicU64,
    }

    static ARMED: LazyLock<Option<Failpoint>> = LazyLock::new(|| parse(&std::env::var("REPRISE_FAILPOINT").ok()?));

    fn parse(text: &str) -> Option<Failpoint> {
        let (name, action) = text.split_once(':')?;
        let (action, nth) = action.split_once('@').unwrap_or((action, "1"));
        let signal = match action {
            "kill" => Signal::SIGKILL,
            "stop" => Signal::SIGSTOP,
            _ => return None,
        };
        let nth = nth.parse().ok()?;
        Some(Failpoint { name: name.to_owned(), signal, nth, reached: AtomicU64::new(0) })
    }

    /// Reaches the failpoint of this name.
    pub fn reach(name: &str) {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.name == name) else {
            return;
        };
        if armed.reached.fetch_add(1, Ordering::SeqCst) + 1 == armed.nth {
            // A signal that cannot be sent leaves the process running, which the test notices.
            let _ = kill(Pid::this(), armed.signal);
        }
    }
}
