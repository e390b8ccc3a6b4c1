//! What kinds of platform failure there are, and so what a careful client does.

use super::state::UnknownName;
use super::state::named;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

named!(
    /// The class of a failure; the policy follows from it alone.
    FailureClass {
        /// Every module stops until the person settles it in Instagram's own app.
        PersonNeeded = "PERSON_NEEDED",
        /// The person logs in again.
        LoginEnded = "LOGIN_ENDED",
        /// This kind of action stops for a day or more.
        ActionBlocked = "ACTION_BLOCKED",
        /// The account pauses, longer each time.
        SlowDown = "SLOW_DOWN",
        /// This target is skipped.
        SkipTarget = "SKIP_TARGET",
        /// No answer; after a write the outcome is unknown.
        Transport = "TRANSPORT",
        /// The gateway lost the session; it is imported once.
        SessionLost = "SESSION_LOST",
        /// The gateway broke its contract; not the account's fault.
        ContractBroken = "CONTRACT_BROKEN",
        Unknown = "UNKNOWN",
    }
);
