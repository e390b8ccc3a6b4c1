//! Nobody sees or changes what is somebody else's; it looks as if it were not there.

use domain::bot::BotState;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::poll::until;
use crate::support::{Person, TestApp};

async fn with_bot(app: &TestApp, name: &str) -> Person {
    let person = app.user(name).await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    person
}

fn account(username: &str) -> Value {
    json!({ "username": username, "password": "insta-secret", "timeZone": "UTC", "consent": "yes" })
}

fn campaign() -> Value {
    json!({ "name": "Coffee", "module": "LIKE", "source": { "hashtag": { "name": "coffee" } }, "maxTargets": 5 })
}

async fn node(client: &Client, id: &Value) -> Value {
    client.query("query($id: ID!) { node(id: $id) { __typename id } }", json!({ "id": id })).await["node"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_things_look_like_missing_ones() {
    let app = TestApp::start().await;
    let (ada, bob) = (with_bot(&app, "ada").await, with_bot(&app, "bob").await);
    ada.client.done("linkAccount", account("ada.cooks"), "bot { state }").await;
    let defined = ada.client.done("defineCampaign", campaign(), "campaign { id }").await;
    let own = ada.client.query("{ viewer { user { id } bot { id account { id } } } }", json!({})).await;
    let ids = [
        defined["campaign"]["id"].clone(),
        own["viewer"]["bot"]["id"].clone(),
        own["viewer"]["bot"]["account"]["id"].clone(),
        own["viewer"]["user"]["id"].clone(),
    ];
    for id in &ids {
        assert_eq!(node(&ada.client, id).await["id"], *id);
        assert_eq!(node(&bob.client, id).await, json!(null), "{id}");
    }
    let many = bob.client.query("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids })).await;
    assert_eq!(many["nodes"], json!([null, null, null, null]));
    let foreign = ids[0].clone();
    let missing = json!("Q2FtcGFpZ246MDE5M2ExYjItYzNkNC03MDAwLTgwMDAtMDAwMDAwMDBhYmNk");
    for id in [foreign, missing] {
        let mut revision = campaign();
        revision["campaignId"] = id.clone();
        for (mutation, input) in [("reviseCampaign", revision), ("archiveCampaign", json!({ "campaignId": id }))] {
            let refused = bob.client.refused(mutation, input).await;
            assert_eq!(refused, ("NOT_FOUND".to_owned(), json!(["input", "campaignId"])), "{mutation}");
        }
        let runs = bob
            .client
            .query("query($id: ID!) { viewer { bot { runs(campaignId: $id) { totalCount } } } }", json!({ "id": id }))
            .await;
        assert_eq!(runs["viewer"]["bot"]["runs"]["totalCount"], 0);
    }
    assert_eq!(node(&ada.client, &ids[0]).await["id"], ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_only_what_is_ones_own() {
    let app = TestApp::start().await;
    let (ada, bob) = (with_bot(&app, "ada").await, with_bot(&app, "bob").await);
    for _ in 0..3 {
        ada.client.done("defineCampaign", campaign(), "campaign { id }").await;
    }
    let query = "{ viewer { bot { campaigns { totalCount nodes { id } } events { totalCount } } } }";
    let seen = bob.client.query(query, json!({})).await;
    assert_eq!(
        seen["viewer"]["bot"],
        json!({ "campaigns": { "totalCount": 0, "nodes": [] }, "events": { "totalCount": 1 } })
    );
    assert_eq!(ada.client.query(query, json!({})).await["viewer"]["bot"]["campaigns"]["totalCount"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instagram_account_has_one_user() {
    let app = TestApp::start().await;
    let (ada, bob) = (with_bot(&app, "ada").await, with_bot(&app, "bob").await);
    ada.client.done("linkAccount", account("coffee.lover"), "bot { state }").await;
    let (code, path) = bob.client.refused("linkAccount", account("@Coffee.Lover")).await;
    assert_eq!((code.as_str(), path), ("ACCOUNT_TAKEN", json!(["input", "username"])));
    ada.client.done("linkAccount", account("coffee.lover"), "bot { state }").await;
    let (code, _) = ada.client.refused("linkAccount", account("tea.lover")).await;
    assert_eq!(code, "BOT_ACCOUNT_ALREADY_LINKED");
    bob.client.done("linkAccount", account("tea.lover"), "bot { state }").await;
    ada.client.done("unlinkAccount", json!({}), "bot { state }").await;
    bob.client.done("unlinkAccount", json!({}), "bot { state }").await;
    bob.client.done("linkAccount", account("coffee.lover"), "bot { account { username } }").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_of_a_deactivated_user_can_be_linked_again() {
    let app = TestApp::start().await;
    let (ada, bob) = (with_bot(&app, "ada").await, with_bot(&app, "bob").await);
    ada.client.done("linkAccount", account("coffee.lover"), "bot { state }").await;
    app.world.users().deactivate(ada.id, &app.world.metadata()).await.unwrap();
    assert_eq!(bob.client.refused("linkAccount", account("coffee.lover")).await.0, "ACCOUNT_TAKEN");
    app.world.execute("UPDATE identity_claims SET claimed_at = claimed_at - interval '2 minutes'").await;
    bob.client.done("linkAccount", account("coffee.lover"), "bot { state }").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_sees_names_states_and_counters_of_all_and_not_their_bots() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    let ada = with_bot(&app, "ada").await;
    ada.client.done("linkAccount", account("ada.cooks"), "bot { state }").await;
    let query = "{ users(first: 10) { totalCount nodes { id username role active botState botMode instagramUsername countersToday { kind } } } }";
    let nodes = until("the link is in the list", || async {
        let seen = admin.query(query, json!({})).await;
        let nodes = seen["users"]["nodes"].as_array().unwrap().clone();
        nodes.iter().any(|node| node["instagramUsername"] == "ada.cooks").then_some(nodes)
    })
    .await;
    let listed = nodes.iter().find(|node| node["username"] == "ada").unwrap();
    assert_eq!(listed["botState"], BotState::LoggedOut.as_str());
    assert_eq!(
        (&listed["role"], &listed["active"], &listed["countersToday"]),
        (&json!("USER"), &json!(true), &json!([]))
    );
    assert_eq!(nodes.iter().find(|node| node["username"] == "root").unwrap()["botState"], "NOT_INITIALIZED");
    assert_eq!(node(&admin, &listed["id"]).await["__typename"], "User");
    let own = ada.client.query("{ viewer { bot { id account { id } } } }", json!({})).await;
    assert_eq!(node(&admin, &own["viewer"]["bot"]["id"]).await, json!(null));
    assert_eq!(node(&admin, &own["viewer"]["bot"]["account"]["id"]).await, json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_reads_in_the_audit_trail_who_did_what() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let made = admin.client.done("registerUser", json!({ "username": "bob" }), "user { id }").await;
    let id = made["user"]["id"].clone();
    let query = "query($filter: AuditFilter) { auditTrail(filter: $filter) { totalCount nodes { event actor summary userId } } }";
    let nodes = until("the registration is in the trail", || async {
        let filter = json!({ "filter": { "userId": id, "events": ["UserRegistered"] } });
        let seen = admin.client.query(query, filter).await;
        let nodes = seen["auditTrail"]["nodes"].as_array().unwrap().clone();
        (!nodes.is_empty()).then_some(nodes)
    })
    .await;
    assert_eq!(nodes.len(), 1);
    assert_eq!((&nodes[0]["actor"], &nodes[0]["userId"]), (&json!(format!("admin:{}", admin.id)), &id));
    let none = admin.client.query(query, json!({ "filter": { "userId": "nobody" } })).await;
    assert_eq!(none["auditTrail"], json!({ "totalCount": 0, "nodes": [] }));
    let wrong = admin.client.graphql(query, json!({ "filter": { "actor": "somebody" } })).await;
    assert_eq!(wrong.code(), "BAD_INPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_of_administrators_are_closed_to_users() {
    let app = TestApp::start().await;
    let ada = with_bot(&app, "ada").await;
    let id = ada.client.query("{ viewer { user { id } } }", json!({})).await["viewer"]["user"]["id"].take();
    for mutation in [
        format!("deactivateUser(input: {{ userId: {id} }})"),
        format!("resetUserPassword(input: {{ userId: {id} }})"),
        r#"registerUser(input: { username: "eve", role: ADMIN })"#.to_owned(),
    ] {
        let answer =
            ada.client.graphql(&format!("mutation {{ {mutation} {{ userErrors {{ code }} }} }}"), json!({})).await;
        assert_eq!(answer.code(), "FORBIDDEN", "{mutation}");
    }
    ada.client.query("{ viewer { bot { state } } }", json!({})).await;
}
