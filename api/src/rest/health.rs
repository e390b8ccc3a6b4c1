//! `/health/live`: the process answers. `/health/ready`: so does everything that it needs, each named with its state.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use projections::checkpoint::{self, Standing};
use projections::{RunnerState, RunnerStatus, catalogue};
use serde::Serialize;

use crate::deps::{Probe, ProbeResult};
use crate::router::Api;

const LONGEST: Duration = Duration::from_secs(3);

/// A projection that is farther behind shows what is not so any more.
const FARTHEST_BEHIND: i64 = 1_000;

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    state: &'static str,
    detail: String,
}

/// `GET /health/live`
pub async fn live() -> Response {
    Json(Live { status: "live" }).into_response()
}

/// `GET /health/ready`: 503 while anything is not.
pub async fn ready(State(api): State<Api>) -> Response {
    let database = Database(&api);
    let projections = ProjectionLag(&api);
    let ours: [&dyn Probe; 2] = [&database, &projections];
    let others = api.services.deps.probes.iter().map(AsRef::as_ref);
    let checks: Vec<Check> = join_all(ours.into_iter().chain(others).map(asked)).await;
    let ready = checks.iter().all(|check| check.state == "ready");
    let (code, status) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (code, Json(Readiness { status, checks })).into_response()
}

async fn asked(probe: &dyn Probe) -> Check {
    let result = tokio::time::timeout(LONGEST, probe.check()).await.unwrap_or_else(|_| ProbeResult {
        ready: false,
        detail: format!("no answer within {} seconds", LONGEST.as_secs()),
    });
    Check { name: probe.name(), state: if result.ready { "ready" } else { "not ready" }, detail: result.detail }
}

struct Database<'a>(&'a Api);

#[async_trait::async_trait]
impl Probe for Database<'_> {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> ProbeResult {
        let asked = sqlx::query("SELECT 1").execute(&self.0.services.deps.pool).await;
        match asked {
            Ok(_) => ProbeResult { ready: true, detail: "answers".to_owned() },
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
                ProbeResult { ready: false, detail: "does not answer".to_owned() }
            }
        }
    }
}

struct ProjectionLag<'a>(&'a Api);

#[async_trait::async_trait]
impl Probe for ProjectionLag<'_> {
    fn name(&self) -> &'static str {
        "projections"
    }

    async fn check(&self) -> ProbeResult {
        let deps = &self.0.services.deps;
        let standings = match checkpoint::standings(&deps.pool).await {
            Ok(standings) => standings,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "the projections cannot be looked at");
                return ProbeResult { ready: false, detail: "cannot be looked at".to_owned() };
            }
        };
        let troubled = deps.projections.runners().into_iter().filter_map(troubled);
        let behind = standings.iter().filter(|standing| standing.behind_events() > FARTHEST_BEHIND);
        let behind =
            behind.map(|standing| format!("{} is {} events behind", standing.projection, standing.behind_events()));
        let missing = catalogue::read_models().into_iter().map(|projection| projection.name());
        let missing = missing.filter(|name| !standings.iter().any(|standing| standing.projection == *name));
        let missing = missing.map(|name| format!("{name} never began"));
        let trouble: Vec<String> = troubled.chain(behind).chain(missing).collect();
        let farthest = standings.iter().map(Standing::behind_events).max().unwrap_or_default();
        let parked: i64 = standings.iter().map(|standing| standing.parked_streams).sum();
        let detail = if trouble.is_empty() {
            format!("at most {farthest} events behind, {parked} streams parked")
        } else {
            trouble.join("; ")
        };
        ProbeResult { ready: trouble.is_empty(), detail }
    }
}

/// What is wrong with a runner of this process.
fn troubled(runner: RunnerStatus) -> Option<String> {
    match runner.state {
        RunnerState::Following => None,
        state => Some(format!("{} is {}", runner.projection, state.as_str())),
    }
}
