//! How much the engine does at a time, over HTTP: who may change it, what is refused, and what the audit trail says.

use domain::user::Role;
use serde_json::{Value, json};

use crate::support::poll::until;
use crate::support::{Person, Server, TestApp};

const SETTINGS: &str = "revision maxRunning maxRunningPerBot jobsPaused pauseReason requestsPerMinute updatedBy
     bots { botId maxRunning weight jobsPaused pauseReason }";

async fn settings(person: &Person) -> Value {
    let query = format!("{{ engineSettings {{ {SETTINGS} }} }}");
    person.client.query(&query, json!({})).await["engineSettings"].take()
}

async fn set(person: &Person, input: Value) -> Value {
    let fields = format!("engineSettings {{ {SETTINGS} }}");
    person.client.done("setEngineSettings", input, &fields).await["engineSettings"].take()
}

async fn trail(person: &Person) -> Value {
    let query = "{ auditTrail(filter: { events: [\"EngineSettingsChanged\", \"ClockSpeedChanged\"] }, first: 100) {
        totalCount nodes { event actor userId streamType streamId sequence summary payload } } }";
    until("the audit trail", || async {
        let mut trail = person.client.query(query, json!({})).await["auditTrail"].take();
        let nodes = trail["nodes"].take();
        assert_eq!(
            nodes.as_array().map(Vec::len),
            trail["totalCount"].as_u64().and_then(|count| count.try_into().ok())
        );
        nodes.as_array().is_some_and(|nodes| !nodes.is_empty()).then_some(nodes)
    })
    .await
}

async fn bot(person: &Person) -> String {
    let found = person.client.query("{ viewer { bot { id } } }", json!({})).await;
    found["viewer"]["bot"]["id"].as_str().expect("everybody has a bot").to_owned()
}

#[tokio::test]
async fn a_change_is_shown_at_once_and_is_in_the_audit_trail_with_what_was_before() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    let ada = app.user("ada").await;
    let before = settings(&root).await;
    assert_eq!(
        (&before["revision"], &before["maxRunning"], &before["updatedBy"]),
        (&json!(0), &json!(512), &json!(null))
    );
    let own = json!({ "botId": bot(&ada).await, "maxRunning": 2, "weight": 3 });
    let after = set(&root, json!({ "maxRunning": 8, "requestsPerMinute": 90, "bots": [own] })).await;
    assert_eq!(
        (&after["revision"], &after["maxRunning"], &after["requestsPerMinute"]),
        (&json!(1), &json!(8), &json!(90))
    );
    assert_eq!(after["bots"][0]["weight"], 3);
    assert_eq!(after["updatedBy"], format!("admin:{}", root.id));
    assert_eq!(settings(&root).await, after);
    let entry = trail(&root).await[0].take();
    assert_eq!(entry["actor"], format!("admin:{}", root.id));
    assert_eq!(
        (&entry["userId"], &entry["streamType"], &entry["streamId"]),
        (&Value::Null, &json!("Engine"), &json!("settings"))
    );
    let changes = &entry["payload"]["changes"];
    assert_eq!(changes[0], json!({ "setting": "MAX_RUNNING", "old": 512, "new": 8 }));
    assert_eq!(changes[1], json!({ "setting": "REQUESTS_PER_MINUTE", "old": null, "new": 90 }));
    assert_eq!((&changes[2]["old"]["weight"], &changes[2]["new"]["weight"]), (&json!(null), &json!(3)));
    let told = format!(
        "changed the engine's settings (revision 1): jobs at a time from 512 to 8; requests a minute from no limit to 90; \
         bot {} from as all to at most 2 jobs, weight 3",
        ada.id
    );
    assert_eq!(entry["summary"], told);
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_trace() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    set(&root, json!({ "maxRunning": 8 })).await;
    let again = set(&root, json!({ "maxRunning": 8 })).await;
    assert_eq!(again["revision"], 1);
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Engine'").await, 1);
}

#[tokio::test]
async fn only_administrators_see_and_change_them() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let mutation = "mutation { setEngineSettings(input: { maxRunning: 1 }) { userErrors { code } } }";
    for query in ["{ engineSettings { maxRunning } }", mutation] {
        let answer = ada.client.graphql(query, json!({})).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN", "{}", answer.body);
        let answer = app.server.stranger().graphql(query, json!({})).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{}", answer.body);
    }
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Engine'").await, 0);
}

#[tokio::test]
async fn a_change_of_what_somebody_else_changed_is_refused() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    let other = app.person("other", Role::Admin).await;
    let seen = settings(&root).await["revision"].take();
    set(&other, json!({ "maxRunning": 8, "revision": seen })).await;
    let input = json!({ "maxRunning": 9, "revision": seen });
    let refused = root.client.refused("setEngineSettings", input).await;
    assert_eq!(refused, ("ENGINE_SETTINGS_OUTDATED".to_owned(), json!(["input", "revision"])));
    assert_eq!(set(&root, json!({ "maxRunning": 9, "revision": 1 })).await["revision"], 2);
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_made_one_after_the_other() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    let (one, two, three) = tokio::join!(
        set(&root, json!({ "maxRunning": 8 })),
        set(&root, json!({ "maxRunningPerBot": 4 })),
        set(&root, json!({ "jobsPaused": true, "pauseReason": "a look" })),
    );
    let mut revisions = [&one, &two, &three].map(|after| after["revision"].as_i64().expect("a number"));
    revisions.sort_unstable();
    assert_eq!(revisions[2], 3);
    let after = settings(&root).await;
    assert_eq!((&after["maxRunning"], &after["maxRunningPerBot"]), (&json!(8), &json!(4)));
    assert_eq!((&after["jobsPaused"], &after["pauseReason"]), (&json!(true), &json!("a look")));
}

#[tokio::test]
async fn bad_values_are_refused_with_their_place_and_change_nothing() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    let bot = bot(&root).await;
    let long = "x".repeat(501);
    for (input, code, path) in [
        (json!({ "maxRunning": 0 }), "ENGINE_SETTING_OUT_OF_RANGE", json!(["input", "maxRunning"])),
        (
            json!({ "maxRunning": 8, "maxRunningPerBot": 1_001 }),
            "ENGINE_SETTING_OUT_OF_RANGE",
            json!(["input", "maxRunningPerBot"]),
        ),
        (json!({ "requestsPerMinute": -1 }), "ENGINE_SETTING_OUT_OF_RANGE", json!(["input", "requestsPerMinute"])),
        (json!({ "jobsPaused": true, "pauseReason": long }), "ENGINE_REASON_TOO_LONG", json!(["input", "pauseReason"])),
        (
            json!({ "bots": [{ "botId": bot, "weight": 11 }] }),
            "ENGINE_SETTING_OUT_OF_RANGE",
            json!(["input", "bots", "weight"]),
        ),
        (json!({ "bots": [{ "botId": "nobody" }] }), "NOT_FOUND", json!(["input", "bots", "botId"])),
    ] {
        let refused = root.client.refused("setEngineSettings", input.clone()).await;
        assert_eq!(refused, (code.to_owned(), path), "{input}");
    }
    assert_eq!(settings(&root).await["revision"], 0);
}

#[tokio::test]
async fn a_repeated_key_changes_once() {
    let app = TestApp::start().await;
    let root = app.admin().await;
    let input = json!({ "maxRunning": 8, "idempotencyKey": "one" });
    set(&root, input.clone()).await;
    set(&root, json!({ "maxRunning": 9 })).await;
    assert_eq!(set(&root, input).await["maxRunning"], 9);
}

#[tokio::test]
async fn a_change_of_the_clocks_speed_is_in_the_audit_trail() {
    let app = TestApp::start().await;
    let mut root = app.admin().await;
    let mut deps = app.world.deps();
    deps.clock_control = Some(app.world.clock.clone());
    let sandbox = Server::start(deps).await;
    root.client.address = sandbox.address;
    root.client.done("setClockSpeed", json!({ "speed": 60.0 }), "engine { clockSpeed }").await;
    let entry = trail(&root).await[0].take();
    assert_eq!((&entry["event"], &entry["actor"]), (&json!("ClockSpeedChanged"), &json!(format!("admin:{}", root.id))));
    assert_eq!((&entry["payload"]["old"], &entry["payload"]["new"]), (&json!(1.0), &json!(60.0)));
    assert_eq!(entry["summary"], "changed the clock's speed from 1 to 60");
}
