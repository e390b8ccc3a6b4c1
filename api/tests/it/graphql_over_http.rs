//! GraphQL over HTTP as its specification has it, and the limits.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::TestApp;
use crate::support::client::{Answer, Client};

const RESPONSE: &str = "application/graphql-response+json";

async fn accepting(client: &Client, accept: &str, query: &str) -> Answer {
    Answer::of(client.post("/graphql", &json!({ "query": query })).header("accept", accept)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_the_media_type_promises() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let good = "{ viewer { user { username } } }";
    let failing = "{ users { totalCount } }";
    let unknown = "{ nothing }";
    let broken = "{ viewer {";
    for (accept, query, status, has_data) in [
        (RESPONSE, good, 200, true),
        (RESPONSE, failing, 200, true),
        (RESPONSE, unknown, 400, false),
        (RESPONSE, broken, 400, false),
        ("application/json", good, 200, true),
        ("application/json", unknown, 200, false),
        ("application/json", broken, 200, false),
        ("*/*", good, 200, true),
    ] {
        let answer = accepting(&marta, accept, query).await;
        assert_eq!(answer.status.as_u16(), status, "{accept} {query}: {}", answer.body);
        assert_eq!(answer.body.get("data").is_some(), has_data, "{accept} {query}: {}", answer.body);
        let kind = if accept == RESPONSE { RESPONSE } else { "application/json" };
        assert_eq!(answer.header("content-type"), format!("{kind}; charset=utf-8"));
    }
    let none = accepting(&marta, "text/html", good).await;
    assert_eq!((none.status, none.code()), (StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_code_and_the_requests_id() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    for (query, code) in [
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer {", "GRAPHQL_SYNTAX_ERROR"),
        ("{ viewer { bot { actions(first: 0) { totalCount } } } }", "INVALID_PAGE"),
        ("{ viewer { bot { actions(first: 101) { totalCount } } } }", "INVALID_PAGE"),
        ("{ viewer { bot { actions(first: 1, last: 1) { totalCount } } } }", "INVALID_PAGE"),
        (r#"{ viewer { bot { actions(after: "x") { totalCount } } } }"#, "INVALID_CURSOR"),
        (r#"{ viewer { bot { events(after: "NQ") { totalCount } } } }"#, "INVALID_CURSOR"),
        (r#"{ viewer { bot { counters(from: "tomorrow") { localDay } } } }"#, "BAD_INPUT"),
        ("mutation { defineCampaign(input: {}) { userErrors { code } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ users { totalCount } }", "FORBIDDEN"),
        ("{ auditTrail { totalCount } }", "FORBIDDEN"),
        ("subscription { bot { state } }", "SUBSCRIPTION_NEEDS_SOCKET"),
    ] {
        let answer = marta.graphql(query, json!({})).await;
        assert_eq!(answer.code(), code, "{query}: {}", answer.body);
        let id = &answer.body["errors"][0]["extensions"]["requestId"];
        assert_eq!(id.as_str(), Some(answer.header("x-request-id")), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_the_wrong_type_are_refused_before_anything_is_done() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let query = "mutation Do($input: DefineCampaignInput!) { defineCampaign(input: $input) { campaign { id } } }";
    let source = json!({ "hashtag": { "name": "coffee" } });
    for input in [
        json!(null),
        json!({ "name": 7, "module": "LIKE", "source": source, "maxTargets": 5 }),
        json!({ "name": "x", "module": "EAT", "source": source, "maxTargets": 5 }),
        json!({ "name": "x", "module": "LIKE", "source": source, "maxTargets": -5 }),
        json!({ "name": "x", "module": "LIKE", "source": source, "maxTargets": 1.5 }),
        json!({ "name": "x", "module": "LIKE", "source": {}, "maxTargets": 5 }),
        json!({ "name": "x", "module": "LIKE", "source": source, "maxTargets": 5, "other": true }),
    ] {
        let answer = marta.graphql(query, json!({ "input": input })).await;
        assert!(["GRAPHQL_VALIDATION_FAILED", "BAD_INPUT"].contains(&answer.code()), "{input}: {}", answer.body);
    }
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Campaign'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_graphql_requests_are_refused() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let query = "{ viewer { user { id } } }";
    for (body, code) in [
        (json!([{ "query": query }]), "BATCHING_NOT_SUPPORTED"),
        (json!({}), "BODY_INVALID"),
        (json!({ "query": 7 }), "BODY_INVALID"),
        (json!({ "query": query, "variables": [] }), "BODY_INVALID"),
        (json!({ "query": query, "operationName": {} }), "BODY_INVALID"),
        (json!("query"), "BODY_INVALID"),
    ] {
        let answer = Answer::of(marta.post("/graphql", &body)).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, code), "{body}");
    }
    let typed = marta.bare_post("/graphql").header(api::CSRF_HEADER, "1").header("content-type", "text/plain");
    assert_eq!(Answer::of(typed.body(query)).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_may_be_asked_by_get_and_mutations_may_not() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let get = |query: &str, variables: &str| marta.get("/graphql").query(&[("query", query), ("variables", variables)]);
    let answer = Answer::of(get("query($id: ID!) { node(id: $id) { id } }", r#"{"id":"x"}"#)).await;
    assert_eq!(answer.body, json!({ "data": { "node": null } }));
    let mutation = Answer::of(get("mutation { initializeBot(input: {}) { userErrors { code } } }", "")).await;
    assert_eq!((mutation.status, mutation.code()), (StatusCode::METHOD_NOT_ALLOWED, "MUTATION_NEEDS_POST"));
    assert_eq!(mutation.header("allow"), "POST");
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Bot'").await, 0);
    assert_eq!(Answer::of(marta.get("/graphql")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_to_strangers_and_the_schema_to_everybody_else() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let query = "{ __schema { queryType { fields { name type { kind ofType { kind ofType { kind name } } } } } } }";
    let stranger = app.server.stranger().graphql(query, json!({})).await;
    assert_eq!((stranger.status, stranger.code()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    let seen = marta.query(query, json!({})).await;
    assert!(seen["__schema"]["queryType"]["fields"].as_array().unwrap().len() >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_as_usual_clients_ask_it_is_within_the_limits() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let of_type = "kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
                   ofType { kind name ofType { kind name } } } } } } }";
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
           types {{ ...FullType }} directives {{ name description locations args {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description specifiedByURL
           fields(includeDeprecated: true) {{ name description args {{ ...InputValue }} type {{ ...TypeRef }}
             isDeprecated deprecationReason }}
           inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
           possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
         fragment TypeRef on __Type {{ {of_type} }}"
    );
    let seen = marta.query(&query, json!({})).await;
    assert!(seen["__schema"]["types"].as_array().unwrap().len() > 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_ask_for_too_much_are_not_executed() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let many = |field: &str, count: usize| {
        let fields = (0..count).map(|number| ["a", &number.to_string(), ": ", field, " "].concat());
        fields.collect::<String>()
    };
    let page = "viewer { bot { campaigns(first: 100) { nodes { runs(first: 100) { nodes { id } } } } } }";
    for (query, code) in [
        (format!("{{ {page} }}"), "QUERY_TOO_COMPLEX"),
        (format!("{{ {} }}", many("__typename", 21)), "QUERY_TOO_WIDE"),
        (format!("{{ viewer {{ {} }} }}", many("sessionExpiresAt", 61)), "QUERY_TOO_WIDE"),
        (format!("{{ {} }}", "viewer ".repeat(4_000)), "QUERY_TOO_LONG"),
        ("{ viewer".repeat(3_000), "QUERY_TOO_DEEP"),
    ] {
        let answer = accepting(&marta, RESPONSE, &query).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, code));
        assert!(answer.body.get("data").is_none());
    }
}
