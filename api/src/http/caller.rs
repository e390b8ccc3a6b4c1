//! Who is asking: the session of the cookie, and how often it may ask.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::context::RequestContext;
use super::problem::Problem;
use crate::auth::Session;
use crate::router::Api;

/// A signed-in caller. Whether the session may do what it asks is for the route.
#[derive(Debug, Clone)]
pub struct Caller {
    pub session: Session,
    pub context: RequestContext,
}

impl Caller {
    /// Refuses a session that may only change its password.
    pub fn unrestricted(self) -> Result<Self, Problem> {
        if self.session.must_change_password { Err(Problem::password_change_required()) } else { Ok(self) }
    }
}

impl FromRequestParts<Api> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(Problem::internal)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, api).await?;
        let token = api.services.cookie.token(&parts.headers).ok_or_else(Problem::unauthenticated)?;
        let found = api.services.users.sessions().find(&token).await?;
        let session = found.ok_or_else(Problem::unauthenticated)?;
        api.sessions.take(session.session_id).map_err(|throttled| Problem::throttled(throttled.seconds()))?;
        Ok(Self { session, context })
    }
}
