//! GraphQL responses over HTTP: codes for every error, and the status that the media type asks for.

use async_graphql::{PathSegment, Response as GraphqlResponse, ServerError, Value as GraphqlValue};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::document::Refused;
use super::nulls;
use crate::code::Code;
use crate::http::Problem;

/// How the response is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
    /// `application/json`: 200 for whatever was understood as GraphQL.
    Json,
}

impl MediaType {
    /// What the client prefers; without a word of it, JSON.
    pub fn negotiate(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut best: Option<(Self, u16)> = None;
        let mut any = false;
        for line in headers.get_all(header::ACCEPT) {
            for range in line.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths);
                any |= !name.is_empty();
                let media = match name.as_str() {
                    "application/graphql-response+json" => Self::GraphqlResponse,
                    "application/json" | "application/*" | "*/*" => Self::Json,
                    _ => continue,
                };
                if quality > 0 && best.is_none_or(|(_, before)| quality > before) {
                    best = Some((media, quality));
                }
            }
        }
        match best {
            Some((media, _)) => Ok(media),
            None if !any => Ok(Self::Json),
            None => Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                Code::NotAcceptable,
                "answers are application/graphql-response+json or application/json",
            )),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// A response, executed or not.
    pub fn respond(self, body: &Value) -> Response {
        let executed = body.get("data").is_some();
        let status = if executed || self == Self::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        let kind = HeaderValue::from_static(self.name());
        (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
    }
}

fn thousandths(quality: &str) -> u16 {
    let value: f64 = quality.trim().parse().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1,000")]
    let thousandths = (value.clamp(0.0, 1.0) * 1_000.0) as u16;
    thousandths
}

/// The body for a document that is not executed.
pub fn refused(refused: &Refused, request_id: Uuid) -> Value {
    let mut error = json!({
        "message": refused.message,
        "extensions": { "code": refused.code.code(), "requestId": request_id.to_string() },
    });
    if let Some(position) = refused.position {
        error["locations"] = json!([{ "line": position.line, "column": position.column }]);
    }
    json!({ "errors": [error] })
}

/// What was executed.
#[derive(Debug, Clone)]
pub struct Executed {
    pub query: String,
    pub operation_name: Option<String>,
    pub request_id: Uuid,
}

/// The body of what the schema answered. Without execution there is no `data`, not even `null`.
pub fn body(response: GraphqlResponse, request: &Executed) -> Value {
    let GraphqlResponse { data, errors, extensions, .. } = response;
    let executed = data != GraphqlValue::Null || errors.iter().any(|error| !error.path.is_empty());
    let request_id = request.request_id;
    let mut body = Map::new();
    if executed || errors.is_empty() {
        let mut data = data.into_json().unwrap_or(Value::Null);
        nulls::complete(&mut data, &errors, &request.query, request.operation_name.as_deref());
        body.insert("data".to_owned(), data);
    }
    if !errors.is_empty() {
        let errors = errors.into_iter().map(|error| written(error, executed, request_id)).collect();
        body.insert("errors".to_owned(), Value::Array(errors));
    }
    if !extensions.is_empty() {
        let extensions = extensions.into_iter().map(|(name, value)| (name, value.into_json().unwrap_or(Value::Null)));
        body.insert("extensions".to_owned(), Value::Object(extensions.collect()));
    }
    Value::Object(body)
}

/// One error: resolvers give theirs a code, what the library reports gets one here.
fn written(error: ServerError, executed: bool, request_id: Uuid) -> Value {
    let mut extensions = Map::new();
    if let Some(given) = &error.extensions
        && let Ok(Value::Object(given)) = serde_json::to_value(given)
    {
        extensions = given;
    }
    extensions.entry("code").or_insert_with(|| code_of(&error.message, executed).code().into());
    extensions.insert("requestId".to_owned(), request_id.to_string().into());
    let mut written = json!({ "message": error.message, "extensions": extensions });
    if !error.locations.is_empty() {
        let locations = error.locations.iter().map(|at| json!({ "line": at.line, "column": at.column }));
        written["locations"] = Value::Array(locations.collect());
    }
    if !error.path.is_empty() {
        let path = error.path.into_iter().map(|segment| match segment {
            PathSegment::Field(name) => Value::from(name),
            PathSegment::Index(index) => Value::from(index),
        });
        written["path"] = Value::Array(path.collect());
    }
    written
}

fn code_of(message: &str, executed: bool) -> Code {
    match message {
        "Query is too complex." => Code::QueryTooComplex,
        "Query is nested too deep." => Code::QueryTooDeep,
        // A value that only its resolver could read.
        _ if executed => Code::BadInput,
        _ => Code::GraphqlValidationFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &'static str) -> Option<MediaType> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        MediaType::negotiate(&headers).ok()
    }

    #[test]
    fn media_type_is_what_the_client_prefers() {
        assert_eq!(MediaType::negotiate(&HeaderMap::new()), Ok(MediaType::Json));
        assert_eq!(negotiated("*/*"), Some(MediaType::Json));
        assert_eq!(negotiated("application/json"), Some(MediaType::Json));
        assert_eq!(
            negotiated("application/graphql-response+json, application/json;q=0.9"),
            Some(MediaType::GraphqlResponse)
        );
        assert_eq!(negotiated("application/graphql-response+json;q=0.5, application/json"), Some(MediaType::Json));
        assert_eq!(negotiated("text/html"), None);
        assert_eq!(negotiated("application/json;q=0"), None);
    }

    fn executed(query: &str) -> Executed {
        Executed { query: query.to_owned(), operation_name: None, request_id: Uuid::nil() }
    }

    #[test]
    fn what_was_not_executed_has_no_data() {
        let invalid = GraphqlResponse::from_errors(vec![ServerError::new("Unknown field", None)]);
        let body = body(invalid, &executed("{ nothing }"));
        assert_eq!(body.get("data"), None);
        assert_eq!(body["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(MediaType::GraphqlResponse.respond(&body).status(), StatusCode::BAD_REQUEST);
        assert_eq!(MediaType::Json.respond(&body).status(), StatusCode::OK);
    }

    #[test]
    fn a_field_that_failed_was_executed() {
        let error = ServerError::new("no", None).with_path(vec![PathSegment::Field("viewer".to_owned())]);
        let body = body(GraphqlResponse::from_errors(vec![error]), &executed("{ viewer { user { id } } }"));
        assert_eq!(body.get("data"), Some(&Value::Null));
        assert_eq!(MediaType::GraphqlResponse.respond(&body).status(), StatusCode::OK);
    }
}
