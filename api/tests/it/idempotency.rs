//! A key means one intention: repeated, it is answered and not done again.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Server, TestApp};

fn campaign(name: &str, key: &str) -> Value {
    json!({
        "name": name, "module": "LIKE", "source": { "hashtag": { "name": "coffee" } }, "maxTargets": 5,
        "idempotencyKey": key,
    })
}

const DEFINED: &str = "SELECT count(*) FROM events WHERE event_type = 'CampaignDefined'";

#[tokio::test(flavor = "multi_thread")]
async fn repetition_gets_the_first_answer_also_after_a_restart() {
    let app = TestApp::start().await;
    let mut marta = app.user("marta").await.client;
    let first = marta.done("defineCampaign", campaign("Coffee", "one"), "campaign { id name }").await;
    assert_eq!(marta.done("defineCampaign", campaign("Coffee", "one"), "campaign { id name }").await, first);
    let restarted = Server::start(app.world.deps()).await;
    marta.address = restarted.address;
    assert_eq!(marta.done("defineCampaign", campaign("Coffee", "one"), "campaign { id name }").await, first);
    let other = marta.done("defineCampaign", campaign("Coffee", "two"), "campaign { id }").await;
    assert_ne!(other["campaign"]["id"], first["campaign"]["id"]);
    assert_eq!(app.world.count(DEFINED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_for_another_input_or_mutation_is_a_mismatch_and_does_nothing() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    marta.done("defineCampaign", campaign("Coffee", "one"), "campaign { id }").await;
    let mismatch = ("IDEMPOTENCY_MISMATCH".to_owned(), json!(["input", "idempotencyKey"]));
    assert_eq!(marta.refused("defineCampaign", campaign("Tea", "one")).await, mismatch);
    assert_eq!(marta.refused("initializeBot", json!({ "idempotencyKey": "one" })).await, mismatch);
    assert_eq!(app.world.count(DEFINED).await, 1);
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Bot'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_two_users_have_nothing_to_do_with_each_other() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.user("ada").await.client, app.user("bob").await.client);
    let one = ada.done("defineCampaign", campaign("Coffee", "one"), "campaign { id }").await;
    let two = bob.done("defineCampaign", campaign("Tea", "one"), "campaign { id name }").await;
    assert_eq!(two["campaign"]["name"], "Tea");
    assert_ne!(one["campaign"]["id"], two["campaign"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_are_one() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let mut asks = JoinSet::new();
    for _ in 0..12 {
        let marta = marta.clone();
        asks.spawn(async move { marta.done("defineCampaign", campaign("Coffee", "one"), "campaign { id }").await });
    }
    let mut answers = asks.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(app.world.count(DEFINED).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_died_before_its_answer_was_kept_is_not_done_again() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    admin.done("initializeBot", json!({ "idempotencyKey": "bot" }), "bot { state }").await;
    let defined = admin.done("defineCampaign", campaign("Coffee", "campaign"), "campaign { id }").await;
    let registered = admin
        .done("registerUser", json!({ "username": "bob", "idempotencyKey": "bob" }), "user { id } oneTimePassword")
        .await;
    // As if the process had died between the command and the answer.
    app.world.execute("UPDATE idempotency_keys SET answer = NULL, answer_key = NULL, busy_until = created_at").await;
    let events = app.world.count("SELECT count(*) FROM events").await;
    let again = admin.done("initializeBot", json!({ "idempotencyKey": "bot" }), "bot { state }").await;
    assert_eq!(again["bot"]["state"], "LOGGED_OUT");
    assert_eq!(admin.done("defineCampaign", campaign("Coffee", "campaign"), "campaign { id }").await, defined);
    let bob = admin
        .done("registerUser", json!({ "username": "bob", "idempotencyKey": "bob" }), "user { id } oneTimePassword")
        .await;
    assert_eq!(bob["user"], registered["user"]);
    assert_eq!(app.world.count("SELECT count(*) FROM events").await, events);
    // Nobody was told the first password; the one that was told works.
    let told = bob["oneTimePassword"].as_str().unwrap();
    assert_eq!(app.server.stranger().sign_in("bob", told).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn password_that_is_shown_once_is_shown_to_its_repetition() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    let input = json!({ "username": "bob", "idempotencyKey": "bob" });
    let first = admin.done("registerUser", input.clone(), "user { id username } oneTimePassword").await;
    assert_eq!(admin.done("registerUser", input, "user { id username } oneTimePassword").await, first);
    let password = first["oneTimePassword"].as_str().unwrap();
    let kept: Vec<String> = sqlx::query_scalar("SELECT encode(answer, 'escape') FROM idempotency_keys")
        .fetch_all(app.world.pool())
        .await
        .unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|row| !row.contains(password)), "it is sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_is_an_answer_too() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    let input = json!({ "idempotencyKey": "one" });
    assert_eq!(marta.refused("pauseAutomation", input.clone()).await.0, "BOT_COMMAND_NOT_ALLOWED");
    marta.done("initializeBot", json!({}), "bot { state }").await;
    let mut again = marta.mutate("pauseAutomation", input, "__typename").await;
    let message = again["userErrors"][0]["message"].take();
    assert!(message.as_str().unwrap().contains("NOT_INITIALIZED"), "the first refusal, not a new one: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn password_counts_as_input() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    marta.done("initializeBot", json!({}), "bot { state }").await;
    let link = |password: &str| json!({ "username": "marta", "password": password, "timeZone": "UTC", "consent": "yes", "idempotencyKey": "one" });
    marta.done("linkAccount", link("insta-one"), "bot { state }").await;
    marta.done("linkAccount", link("insta-one"), "bot { state }").await;
    assert_eq!(marta.refused("linkAccount", link("insta-two")).await.0, "IDEMPOTENCY_MISMATCH");
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE event_type = 'AccountLinked'").await, 1);
    assert_eq!(app.world.count("SELECT count(*) FROM account_secrets WHERE erased_at IS NULL").await, 1);
}
