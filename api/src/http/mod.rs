//! What every request goes through before it reaches its route, and every answer after it.

mod body;
mod caller;
mod context;
mod cookie;
mod metrics;
mod origin;
mod problem;

pub(crate) use body::JsonBody;
pub(crate) use caller::Caller;
pub(crate) use context::{RequestContext, guard};
pub use cookie::CookieKind;
pub(crate) use metrics::HttpMetrics;
pub use origin::{CSRF_HEADER, PublicOrigins};
pub(crate) use problem::Problem;
