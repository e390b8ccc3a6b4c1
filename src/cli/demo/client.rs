//! A client of the public API: what any program of a user's could be.

use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

const CALL_LIMIT: Duration = Duration::from_secs(20);

/// A signed-in user of the API.
pub struct Client {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

/// A mutation that the domain refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: String,
    pub message: String,
}

/// What a mutation came to.
pub type Answer = Result<Value, Refusal>;

impl Client {
    /// Signs in at the API that listens under `base`.
    pub async fn sign_in(base: &str, username: &str, password: &str) -> Result<Self, Failure> {
        let http = plain()?;
        let base = base.trim_end_matches('/').to_owned();
        let response = http
            .post(format!("{base}/auth/login"))
            .header("x-reprise-csrf", "1")
            .json(&json!({ "username": username, "password": password }))
            .send()
            .await
            .map_err(|error| unreachable(&base, error))?;
        let cookie = cookie_of(response.headers());
        let status = response.status();
        match cookie {
            Some(cookie) if status.is_success() => Ok(Self { http, base, cookie }),
            _ => {
                let body: Value = response.json().await.unwrap_or_default();
                let said = body["error"]["message"].as_str().unwrap_or("no reason was given");
                let message = format!("signing in as {username} did not work ({status}): {said}");
                Err(Failure::new("DEMO_SIGN_IN", Exit::NoPermission, message)
                    .hint("give --username and --password of a user, or leave both out"))
            }
        }
    }

    /// The data that a query or mutation gives.
    pub async fn ask(&self, document: &str, variables: Value) -> Result<Value, Failure> {
        let response = self
            .http
            .post(format!("{}/graphql", self.base))
            .header(COOKIE, &self.cookie)
            .header("x-reprise-csrf", "1")
            .json(&json!({ "query": document, "variables": variables }))
            .send()
            .await
            .map_err(|error| unreachable(&self.base, error))?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| unreachable(&self.base, error))?;
        if let Some(error) = body["errors"].as_array().and_then(|errors| errors.first()) {
            let said = error["message"].as_str().unwrap_or_default();
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            return Err(Failure::new("DEMO_API", Exit::Software, format!("the API answered {status} {code}: {said}"))
                .hint("see the log of `reprise up` for the request"));
        }
        Ok(body["data"].clone())
    }

    /// Runs the mutation `name`, whose payload is asked for `fields`.
    pub async fn mutate(&self, name: &str, input: Value, fields: &str) -> Result<Answer, Failure> {
        let mut letters = name.chars();
        let kind: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let document = format!(
            "mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {fields} userErrors {{ code message path }} }} }}"
        );
        let data = self.ask(&document, json!({ "input": input })).await?;
        let payload = &data[name];
        let refused = payload["userErrors"].as_array().and_then(|errors| errors.first());
        Ok(match refused {
            Some(error) => Err(Refusal {
                code: error["code"].as_str().unwrap_or_default().to_owned(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
            None => Ok(payload.clone()),
        })
    }

    /// As [`Client::mutate`], where a refusal ends the demo.
    pub async fn must(&self, name: &str, input: Value, fields: &str) -> Result<Value, Failure> {
        self.mutate(name, input, fields).await?.map_err(|refusal| {
            let message = format!("{name} was refused: {} ({})", refusal.message, refusal.code);
            Failure::new("DEMO_REFUSED", Exit::Software, message)
        })
    }
}

/// A client without a session, for the sandbox's own book.
pub fn plain() -> Result<reqwest::Client, Failure> {
    reqwest::Client::builder()
        .timeout(CALL_LIMIT)
        .build()
        .map_err(|error| Failure::new("DEMO_CLIENT", Exit::Software, "no HTTP client could be made").caused_by(error))
}

/// The answer of a GET as JSON.
pub async fn get_json(http: &reqwest::Client, url: &str) -> Result<Value, Failure> {
    let response = http.get(url).send().await.map_err(|error| unreachable(url, error))?;
    response.json().await.map_err(|error| unreachable(url, error))
}

fn unreachable(base: &str, error: reqwest::Error) -> Failure {
    Failure::new("DEMO_UNREACHABLE", Exit::Unavailable, format!("nothing answers as it should at {base}"))
        .hint("start the service with `make up` in another terminal, and wait until it says that it is ready")
        .caused_by(error.without_url())
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let set = headers.get(SET_COOKIE)?.to_str().ok()?;
    set.split(';').next().map(str::to_owned)
}
