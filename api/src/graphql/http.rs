//! `/graphql` over HTTP: one request a body, `POST` for everything, `GET` for queries.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::DataLoader;
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Variables};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::Instrument;

use super::document::{self, Document};
use super::loader::Rows;
use super::respond::{self, Executed, MediaType};
use crate::code::Code;
use crate::http::{Caller, JsonBody, Problem};
use crate::router::Api;

const LONGEST: Duration = Duration::from_secs(30);

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlRequest {
    pub query: String,
    #[serde(default)]
    pub operation_name: Option<String>,
    #[serde(default)]
    pub variables: Option<Map<String, Value>>,
    /// Taken and not looked at.
    #[serde(default, rename = "extensions")]
    _extensions: Option<Map<String, Value>>,
}

impl GraphqlRequest {
    /// What is kept of it to write the answer.
    pub fn executed(&self, caller: &Caller) -> Executed {
        let (query, operation_name) = (self.query.clone(), self.operation_name.clone());
        Executed { query, operation_name, request_id: caller.context.request_id }
    }
}

/// The same in a URL, where objects are JSON text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetParameters {
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
}

/// `POST /graphql`
pub async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    caller: Caller,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Problem> {
    let media = MediaType::negotiate(&headers)?;
    if body.is_array() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            Code::BatchingNotSupported,
            "one request a body; ask for several fields in one document instead",
        ));
    }
    let request: GraphqlRequest = serde_json::from_value(body).map_err(|_| not_a_request())?;
    Ok(answer(&api, &caller, media, request, false).await)
}

/// `GET /graphql?query=…`
pub async fn get(
    State(api): State<Api>,
    headers: HeaderMap,
    caller: Caller,
    parameters: Result<Query<GetParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let media = MediaType::negotiate(&headers)?;
    let Ok(Query(parameters)) = parameters else { return Err(not_a_request()) };
    let variables = match parameters.variables.as_deref() {
        None | Some("") => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|_| not_a_request())?),
    };
    let GetParameters { query, operation_name, .. } = parameters;
    let request = GraphqlRequest { query, operation_name, variables, _extensions: None };
    Ok(answer(&api, &caller, media, request, true).await)
}

fn not_a_request() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        Code::BodyInvalid,
        "a GraphQL request has a `query` (text) and may have `operationName` (text), `variables` and `extensions` (objects)",
    )
}

async fn answer(api: &Api, caller: &Caller, media: MediaType, request: GraphqlRequest, by_get: bool) -> Response {
    let request_id = caller.context.request_id;
    let document = match document::read(&request.query, request.operation_name.as_deref()) {
        Ok(document) => document,
        Err(refused) => return media.respond(&respond::refused(&refused, request_id)),
    };
    if let Err(problem) = check(caller, &document, by_get) {
        let mut response = problem.into_response();
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        return response;
    }
    let (executed, kind) = (request.executed(caller), document.kind);
    let request = prepared(api, request, document, caller.clone());
    let schema = api.schema.clone();
    let execution = async move { tokio::time::timeout(LONGEST, schema.execute(request)).await };
    let response = match kind {
        // A client that goes away leaves nothing half done: the task ends by itself, at the latest in time.
        OperationType::Mutation => tokio::spawn(execution.in_current_span()).await.ok(),
        _ => Some(execution.await),
    };
    match response {
        Some(Ok(response)) => media.respond(&respond::body(response, &executed)),
        Some(Err(_)) => {
            tracing::error!("a GraphQL request took longer than 30 seconds and was given up");
            Problem::unavailable().into_response()
        }
        None => {
            tracing::error!("a mutation ended by a panic");
            Problem::internal().into_response()
        }
    }
}

/// The request as the schema takes it, with the caller in its data.
pub fn prepared(api: &Api, request: GraphqlRequest, document: Document, caller: Caller) -> Request {
    let variables = Variables::from_json(Value::Object(request.variables.unwrap_or_default()));
    // Rows are loaded for one request: nobody sees what was read for another.
    let rows = DataLoader::new(Rows(Arc::clone(&api.services)), tokio::spawn);
    let mut prepared = Request::new(request.query).variables(variables).data(caller).data(rows);
    prepared.operation_name = request.operation_name;
    prepared.set_parsed_query(document.parsed);
    prepared
}

fn check(caller: &Caller, document: &Document, by_get: bool) -> Result<(), Problem> {
    check_restricted(caller, document)?;
    match document.kind {
        OperationType::Query => Ok(()),
        OperationType::Mutation if !by_get => Ok(()),
        OperationType::Mutation => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MutationNeedsPost, "mutations are sent by POST"))
        }
        OperationType::Subscription => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            Code::SubscriptionNeedsSocket,
            "subscriptions need a WebSocket at /graphql/ws, protocol graphql-transport-ws",
        )),
    }
}

/// A session that must change its password may read who it is.
pub fn check_restricted(caller: &Caller, document: &Document) -> Result<(), Problem> {
    let harmless = document.kind == OperationType::Query
        && document.root_fields.iter().all(|field| matches!(field.as_str(), "viewer" | "__typename"));
    if caller.session.must_change_password && !harmless {
        return Err(Problem::password_change_required());
    }
    Ok(())
}
