//! The control surface under `/sandbox`: what a test or a demo asks of the sandbox itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Fault, LedgerEntry, LedgerTotals, PASSWORD,
    server::Server,
    shapes,
    state::State,
    world::{LoginKind, World},
};

/// As many accounts are listed.
const SHOWN: usize = 40;
const LONGEST_OUTAGE_MS: u64 = 600_000;

type Shown = Json<Value>;
type Controlled = Result<Shown, (StatusCode, Shown)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Length {
    ms: u64,
}

pub(super) fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/ledger", get(ledger))
        .route("/requests", get(requests))
        .route("/faults", get(faults).post(arm).delete(disarm))
        .route("/sessions/lose", post(lose))
        .route("/sessions/end", post(end))
        .route("/challenges/raise", post(raise))
        .route("/challenges/settle", post(settle))
        .route("/outage", post(outage))
        .route("/reset", post(reset))
        .with_state(server)
}

/// The entries of one account, given as pk or user name, or of all.
pub(super) fn entries(state: &State, account: Option<&str>) -> Vec<LedgerEntry> {
    let pk = account.map(|text| state.account_named(text).map_or_else(|| text.to_owned(), |pk| pk.to_string()));
    let is_asked = |entry: &&LedgerEntry| pk.as_ref().is_none_or(|pk| entry.account == *pk);
    state.ledger.entries().iter().filter(is_asked).cloned().collect()
}

fn done() -> Shown {
    Json(json!({ "ok": true }))
}

fn account_of(state: &State, text: &str) -> Result<u64, (StatusCode, Shown)> {
    state
        .account_named(text)
        .ok_or_else(|| (StatusCode::NOT_FOUND, Json(json!({ "error": "no such account in the sandbox" }))))
}

async fn about(Shared(server): Shared<Arc<Server>>) -> Shown {
    let state = server.state();
    let accounts: Vec<Value> = state
        .world
        .people
        .values()
        .take(SHOWN)
        .map(|person| {
            let login = match person.login {
                LoginKind::Plain => "PLAIN",
                LoginKind::TwoFactor => "TWO_FACTOR",
                LoginKind::Challenge => "CHALLENGE",
                LoginKind::WrongPassword => "WRONG_PASSWORD",
            };
            json!({ "pk": person.pk.to_string(), "username": person.username, "login": login,
                    "is_private": person.is_private, "has_story": !state.world.stories_of(person.pk, server.now()).is_empty() })
        })
        .collect();
    Json(json!({
        "seed": state.seed,
        "epoch": shapes::time(state.epoch),
        "now": shapes::time(server.now()),
        "password": PASSWORD,
        "accounts": accounts,
        "people": state.world.people.len(),
        "hashtags": World::hashtags(),
        "places": state.world.places.values().map(shapes::location).collect::<Vec<_>>(),
    }))
}

async fn ledger(Shared(server): Shared<Arc<Server>>, Query(which): Query<Which>) -> Shown {
    let entries = entries(&server.state(), which.account.as_deref());
    let totals = LedgerTotals::of(&entries);
    Json(json!({ "entries": entries, "totals": totals }))
}

async fn requests(Shared(server): Shared<Arc<Server>>, Query(which): Query<Which>) -> Controlled {
    let state = server.state();
    let account = which.account.map(|text| account_of(&state, &text)).transpose()?;
    let mut routes: BTreeMap<&str, u64> = BTreeMap::new();
    for ((route, asked_by), count) in &state.requests {
        if account.is_none() || *asked_by == account {
            *routes.entry(route).or_default() += count;
        }
    }
    Ok(Json(json!({ "routes": routes, "total": routes.values().sum::<u64>() })))
}

async fn faults(Shared(server): Shared<Arc<Server>>) -> Shown {
    Json(json!({ "faults": server.state().faults.waiting() }))
}

async fn arm(Shared(server): Shared<Arc<Server>>, Json(fault): Json<Fault>) -> Shown {
    server.state().faults.arm(fault);
    done()
}

async fn disarm(Shared(server): Shared<Arc<Server>>) -> Shown {
    server.state().faults.clear();
    done()
}

async fn lose(Shared(server): Shared<Arc<Server>>, Json(which): Json<Which>) -> Controlled {
    let mut state = server.state();
    let account = which.account.map(|text| account_of(&state, &text)).transpose()?;
    state.logins.lose(account);
    Ok(done())
}

async fn end(Shared(server): Shared<Arc<Server>>, Json(one): Json<One>) -> Controlled {
    let mut state = server.state();
    let account = account_of(&state, &one.account)?;
    for key in state.logins.keys_of(account) {
        state.end_session(&key);
    }
    Ok(done())
}

async fn raise(Shared(server): Shared<Arc<Server>>, Json(one): Json<One>) -> Controlled {
    let mut state = server.state();
    let account = account_of(&state, &one.account)?;
    state.logins.challenged.insert(account);
    Ok(done())
}

async fn settle(Shared(server): Shared<Arc<Server>>, Json(one): Json<One>) -> Controlled {
    let mut state = server.state();
    let account = account_of(&state, &one.account)?;
    state.logins.challenged.remove(&account);
    Ok(done())
}

async fn outage(Shared(server): Shared<Arc<Server>>, Json(length): Json<Length>) -> Shown {
    server.outage().begin(Duration::from_millis(length.ms.min(LONGEST_OUTAGE_MS))).await;
    done()
}

async fn reset(Shared(server): Shared<Arc<Server>>, Json(reset): Json<Reset>) -> Shown {
    let mut state = server.state();
    let seed = reset.seed.unwrap_or(state.seed);
    state.reset(seed, server.now());
    done()
}
