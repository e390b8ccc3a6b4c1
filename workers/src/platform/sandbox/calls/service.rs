//! What the gateway tells about itself.

#![expect(clippy::unnecessary_wraps, reason = "every handler has the same form")]

use serde_json::json;

use super::Answer;
use crate::platform::sandbox::{
    VERSION,
    params::Params,
    reply::Reply,
    state::{Asking, State},
};

pub(super) fn build(_: &mut State, _: &Asking, _: &Params) -> Answer {
    Ok(Reply::ok(&json!({
        "name": "aiograpi-rest", "version": VERSION, "python_version": "3.13.5", "git_sha": null, "build_time": null,
    })))
}

pub(super) fn health(_: &mut State, _: &Asking, _: &Params) -> Answer {
    Ok(Reply::ok(&json!({ "status": "ok" })))
}

pub(super) fn ready(_: &mut State, _: &Asking, _: &Params) -> Answer {
    let checks = json!({ "storage": { "status": "ok" }, "dependencies": { "status": "ok", "missing": [] } });
    Ok(Reply::ok(&json!({ "status": "ok", "checks": checks })))
}

pub(super) fn deps(_: &mut State, _: &Asking, _: &Params) -> Answer {
    Ok(Reply::ok(&json!({ "aiograpi": "1.0.9", "fastapi": "0.136.1", "uvicorn": null })))
}

pub(super) fn metrics(state: &mut State, _: &Asking, _: &Params) -> Answer {
    let requests: u64 = state.requests.values().sum();
    Ok(Reply::text(
        200,
        &format!(
            "# TYPE aiograpi_rest_info gauge\naiograpi_rest_info{{version=\"{VERSION}\"}} 1\n\
             # TYPE aiograpi_rest_requests_total counter\naiograpi_rest_requests_total {requests}\n"
        ),
    ))
}
