//! The routes, and what all of them share.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use uuid::Uuid;

use crate::auth::throttle::Limiter;
use crate::deps::{ApiDeps, ApiError, Services};
use crate::graphql::open_sockets::OpenSockets;
use crate::graphql::{self, GraphqlSchema};
use crate::http::{self, HttpMetrics};
use crate::rest;

/// Every path there is. Others are counted and logged as one.
pub(crate) const ROUTES: &[&str] = &[
    "/auth/login",
    "/auth/logout",
    "/auth/change-password",
    "/auth/register",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/graphql",
    "/graphql/ws",
];

/// What every route reaches. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub services: Arc<Services>,
    pub schema: GraphqlSchema,
    pub metrics: HttpMetrics,
    pub peers: Arc<Limiter<Option<IpAddr>>>,
    pub sessions: Arc<Limiter<Uuid>>,
    pub open_sockets: OpenSockets,
}

/// The API's routes.
///
/// Serve them with `into_make_service_with_connect_info::<SocketAddr>()`: the peer's address is what limits and the
/// metrics' door go by.
pub fn router(deps: ApiDeps) -> Result<Router, ApiError> {
    let metrics = HttpMetrics::try_new(&deps.registry)?;
    let peers = Arc::new(Limiter::new(deps.settings.peer_rate));
    let sessions = Arc::new(Limiter::new(deps.settings.session_rate));
    let services = Arc::new(Services::try_new(deps)?);
    let schema = graphql::schema(Arc::clone(&services));
    let open_sockets = OpenSockets::new(metrics.sockets.clone());
    let api = Api { services, schema, metrics, peers, sessions, open_sockets };
    let routes = Router::new()
        .route("/auth/login", post(rest::auth::login))
        .route("/auth/logout", post(rest::auth::logout))
        .route("/auth/change-password", post(rest::auth::change_password))
        .route("/auth/register", post(rest::auth::register))
        .route("/health/live", get(rest::health::live))
        .route("/health/ready", get(rest::health::ready))
        .route("/metrics", get(rest::metrics::metrics))
        .route("/graphql", get(graphql::http::get).post(graphql::http::post))
        .route("/graphql/ws", any(graphql::socket::upgrade))
        .layer(from_fn_with_state(api.clone(), http::guard))
        .with_state(api.clone());
    Ok(routes)
}
