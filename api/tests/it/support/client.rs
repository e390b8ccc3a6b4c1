//! A client over real HTTP. It keeps its cookie by hand, so that tests see everything that is sent.

use std::net::SocketAddr;
use std::sync::Once;

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// One client.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub address: SocketAddr,
    pub cookie: Option<String>,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a readable body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// The code of a refusal, of REST or of GraphQL.
    pub fn code(&self) -> &str {
        let rest = &self.body["error"]["code"];
        let graphql = &self.body["errors"][0]["extensions"]["code"];
        rest.as_str().or(graphql.as_str()).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        Self { http: reqwest::Client::new(), address, cookie: None }
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.with_cookie(self.http.get(format!("http://{}{path}", self.address)))
    }

    /// A POST without the header that guards against forgery.
    pub fn bare_post(&self, path: &str) -> RequestBuilder {
        self.with_cookie(self.http.post(format!("http://{}{path}", self.address)))
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.bare_post(path).header(api::CSRF_HEADER, "1").json(body)
    }

    pub async fn sign_in(&self, username: &str, password: &str) -> Answer {
        Answer::of(self.post("/auth/login", &json!({ "username": username, "password": password }))).await
    }

    pub async fn signed_in(mut self, username: &str, password: &str) -> Self {
        let answer = self.sign_in(username, password).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        self.take_cookie(&answer);
        self
    }

    pub fn take_cookie(&mut self, answer: &Answer) {
        let set = answer.headers.get(SET_COOKIE).expect("a cookie is set").to_str().expect("it is text");
        self.cookie = set.split(';').next().map(str::to_owned);
    }

    pub async fn change_password(&self, current: &str, new: &str) -> Answer {
        let body = json!({ "currentPassword": current, "newPassword": new });
        Answer::of(self.post("/auth/change-password", &body)).await
    }

    pub async fn graphql(&self, query: &str, variables: Value) -> Answer {
        Answer::of(self.post("/graphql", &json!({ "query": query, "variables": variables }))).await
    }

    /// The data of a query that has no errors.
    pub async fn query(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.graphql(query, variables).await;
        assert!(answer.body.get("errors").is_none(), "{query}: {}", answer.body);
        answer.body["data"].take()
    }

    /// What a mutation gives: `name` with an `input` of type `Name` + `Input`.
    pub async fn mutate(&self, name: &str, input: Value, fields: &str) -> Value {
        let mut letters = name.chars();
        let first = letters.next().expect("a name").to_ascii_uppercase();
        let kind: String = std::iter::once(first).chain(letters).collect();
        let query = format!(
            "mutation Do($input: {kind}Input!) {{ {name}(input: $input) {{ {fields} userErrors {{ code message path }} }} }}"
        );
        self.query(&query, json!({ "input": input })).await[name].take()
    }

    /// A mutation that must be done.
    pub async fn done(&self, name: &str, input: Value, fields: &str) -> Value {
        let payload = self.mutate(name, input, fields).await;
        assert_eq!(payload["userErrors"], json!([]), "{name}");
        payload
    }

    /// The one code and path with which a mutation is refused.
    pub async fn refused(&self, name: &str, input: Value) -> (String, Value) {
        let mut payload = self.mutate(name, input, "__typename").await;
        let mut error = payload["userErrors"][0].take();
        (error["code"].as_str().unwrap_or_default().to_owned(), error["path"].take())
    }
}
