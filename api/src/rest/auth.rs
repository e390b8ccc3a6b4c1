//! `/auth/…`: sign in, sign out, change the password, register a user (administrators).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::{RequestId, UserId};
use domain::metadata::{Actor, Metadata};
use domain::user::{Role, User};
use serde::{Deserialize, Serialize};

use crate::auth::{NewUser, Password, Session, SignedIn};
use crate::code::Code;
use crate::graphql;
use crate::http::{Caller, JsonBody, Problem, RequestContext};
use crate::router::Api;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    username: String,
    password: Password,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangePasswordBody {
    current_password: Password,
    new_password: Password,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    username: String,
    role: Option<Role>,
    /// Without it, one is made and given back once.
    password: Option<Password>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserBody {
    /// As in GraphQL.
    id: String,
    username: String,
    role: Option<Role>,
    must_change_password: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedInBody {
    user: UserBody,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisteredBody {
    user: UserBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_time_password: Option<String>,
}

impl UserBody {
    fn of(id: UserId, user: &User) -> Self {
        Self {
            id: graphql::user_id(id),
            username: user.username().unwrap_or_default().to_owned(),
            role: user.role(),
            must_change_password: user.must_change_password(),
        }
    }
}

/// `POST /auth/login`
pub async fn login(
    State(api): State<Api>,
    context: RequestContext,
    JsonBody(body): JsonBody<LoginBody>,
) -> Result<Response, Problem> {
    let signed_in = api.services.users.sign_in(&body.username, body.password, context.peer).await?;
    tracing::info!(user.id = %signed_in.user_id, "signed in");
    signed_in_response(&api, &signed_in)
}

/// `POST /auth/logout`
pub async fn logout(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    api.services.users.sessions().close(caller.session.session_id).await?;
    tracing::info!(user.id = %caller.session.user_id, "signed out");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = api.services.cookie.clear() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /auth/change-password`
pub async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody<ChangePasswordBody>,
) -> Result<Response, Problem> {
    let metadata = metadata(&api, &caller);
    let user_id = caller.session.user_id;
    let peer = caller.context.peer;
    let users = &api.services.users;
    let signed_in = users.change_password(user_id, body.current_password, body.new_password, peer, &metadata).await?;
    tracing::info!(user.id = %user_id, "changed the password");
    signed_in_response(&api, &signed_in)
}

/// `POST /auth/register`
pub async fn register(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Response, Problem> {
    let caller = caller.unrestricted()?;
    if caller.session.role != Role::Admin {
        return Err(Problem::new(StatusCode::FORBIDDEN, Code::Forbidden, "only administrators register users"));
    }
    let new = NewUser {
        username: body.username,
        role: body.role.unwrap_or(Role::User),
        password: body.password,
        must_change_password: true,
    };
    let registered = api.services.users.register(new, &metadata(&api, &caller)).await?;
    let body = RegisteredBody {
        user: UserBody::of(registered.user_id, &registered.user),
        one_time_password: registered.one_time_password.map(|password| password.reveal().to_owned()),
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn signed_in_response(api: &Api, signed_in: &SignedIn) -> Result<Response, Problem> {
    let services = &api.services;
    let lives = services.deps.settings.sessions.absolute;
    let cookie: HeaderValue = services.cookie.set(&signed_in.token, lives).ok_or_else(Problem::internal)?;
    let body = SignedInBody { user: UserBody::of(signed_in.user_id, &signed_in.user) };
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

fn metadata(api: &Api, caller: &Caller) -> Metadata {
    let deps = &api.services.deps;
    Metadata {
        correlation_id: caller.context.request_id,
        causation_id: caller.context.request_id,
        actor: actor(&caller.session),
        request_id: RequestId::from_uuid(deps.entropy.uuid()),
        recorded_at: deps.clock.now(),
    }
}

/// Who acts, as events name them.
pub fn actor(session: &Session) -> Actor {
    match session.role {
        Role::User => Actor::User(session.user_id),
        Role::Admin => Actor::Admin(session.user_id),
    }
}
