//! The clocks of the process.

use chrono::{DateTime, Utc};

/// The machine's time. Only this module asks for it.
#[expect(clippy::disallowed_methods, reason = "this is the owner of the machine's clock")]
pub fn wall() -> DateTime<Utc> {
    Utc::now()
}
