//! Lists stay as they are while something is added: nothing is skipped, nothing comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::bot::{BotCommand, Limits};
use domain::clock::Clock;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::{Person, TestApp};

const EVENTS: &str = "query($first: Int, $after: String, $last: Int, $before: String) { viewer { bot {
    events(first: $first, after: $after, last: $last, before: $before) {
        totalCount edges { cursor node { sequence } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }";

async fn page(client: &Client, variables: Value) -> Value {
    client.query(EVENTS, variables).await["viewer"]["bot"]["events"].take()
}

fn sequences(page: &Value) -> Vec<i64> {
    let edges = page["edges"].as_array().expect("a list of edges");
    edges.iter().map(|edge| edge["node"]["sequence"].as_i64().expect("a number")).collect()
}

/// Adds `count` events to a person's bot.
async fn add_events(app: &TestApp, person: &Person, count: usize) {
    for _ in 0..count {
        app.world
            .bot(person.id, BotCommand::ChangeLimits { limits: Limits::default(), at: app.world.clock.now() })
            .await;
    }
}

async fn with_events(count: usize) -> (TestApp, Person) {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    add_events(&app, &person, count - 1).await;
    (app, person)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_stable_while_a_writer_runs() {
    let (app, person) = with_events(200).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (app, person) = (Arc::new(app), Arc::new(person));
    let writer = tokio::spawn({
        let (app, person, stop) = (Arc::clone(&app), Arc::clone(&person), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::SeqCst) {
                add_events(&app, &person, 1).await;
            }
        }
    });
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = page(&person.client, json!({ "first": 7, "after": after })).await;
        seen.extend(sequences(&page));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    let newest = seen[0];
    assert!(newest >= 200);
    assert_eq!(seen, (1..=newest).rev().collect::<Vec<_>>());
    let total = page(&person.client, json!({ "first": 1 })).await["totalCount"].as_i64().unwrap();
    assert!(total > newest, "the writer wrote while pages were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_from_both_ends() {
    let (_app, person) = with_events(10).await;
    let newest = page(&person.client, json!({ "first": 3 })).await;
    assert_eq!(sequences(&newest), [10, 9, 8]);
    assert_eq!(newest["totalCount"], 10);
    let info = &newest["pageInfo"];
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
    assert_eq!(info["startCursor"], newest["edges"][0]["cursor"]);
    let back = page(&person.client, json!({ "last": 3 })).await;
    assert_eq!(sequences(&back), [3, 2, 1]);
    assert_eq!((&back["pageInfo"]["hasPreviousPage"], &back["pageInfo"]["hasNextPage"]), (&json!(true), &json!(false)));
    let before = page(&person.client, json!({ "last": 4, "before": back["pageInfo"]["startCursor"] })).await;
    assert_eq!(sequences(&before), [7, 6, 5, 4]);
    let all = page(&person.client, json!({ "first": 100 })).await;
    assert_eq!((sequences(&all).len(), &all["pageInfo"]["hasNextPage"]), (10, &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_pages_with_its_own_cursors() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    for number in 0..5 {
        let source = json!({ "location": { "locationPk": "212988663", "tab": "TOP" } });
        let input = json!({ "name": format!("C{number}"), "module": "FOLLOW", "source": source, "maxTargets": 5 });
        admin.done("defineCampaign", input, "campaign { id }").await;
        admin.done("registerUser", json!({ "username": format!("user{number}") }), "user { id }").await;
    }
    let lists = [
        (
            "viewer { bot { list: campaigns(first: 2, after: $after) { edges { cursor node { name } } pageInfo { hasNextPage endCursor } } } }",
            5,
        ),
        (
            "list: users(first: 2, after: $after) { edges { cursor node { username } } pageInfo { hasNextPage endCursor } }",
            6,
        ),
    ];
    for (list, count) in lists {
        let query = format!("query($after: String) {{ {list} }}");
        let mut after = Value::Null;
        let mut nodes = Vec::new();
        loop {
            let data = admin.query(&query, json!({ "after": after })).await;
            let found = data.get("list").unwrap_or(&data["viewer"]["bot"]["list"]).clone();
            nodes.extend(found["edges"].as_array().unwrap().iter().map(|edge| edge["node"].to_string()));
            after = found["pageInfo"]["endCursor"].clone();
            if found["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(nodes.len(), count, "{nodes:?}");
        nodes.dedup();
        assert_eq!(nodes.len(), count);
        assert!(nodes.is_sorted(), "{nodes:?}");
    }
    let query = "query($after: String) { users(after: $after) { totalCount } }";
    let foreign = admin.query("{ viewer { bot { campaigns { pageInfo { endCursor } } } } }", json!({})).await;
    let cursor = foreign["viewer"]["bot"]["campaigns"]["pageInfo"]["endCursor"].clone();
    // A cursor of another list reads as some name or not at all; it shows nothing that the caller may not see.
    let answer = admin.graphql(query, json!({ "after": cursor })).await;
    assert!(answer.code() == "INVALID_CURSOR" || answer.body["data"]["users"]["totalCount"] == 6, "{}", answer.body);
}
