//! Signing in and out, passwords, registration, the first administrator.

use api::auth::{AuthError, NewUser, Password};
use domain::clock::Clock;
use domain::user::Role;
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Client};
use crate::support::{PASSWORD, Server, TestApp, World};

const VIEWER: &str = "{ viewer { user { username role mustChangePassword } } }";
const BOT: &str = "{ viewer { bot { state } } }";

async fn first_admin() -> (TestApp, Client) {
    let app = TestApp::start().await;
    let made = app.world.users().ensure_first_admin(app.world.clock.as_ref()).await.expect("it is made");
    assert!(made);
    let client = app.server.stranger().signed_in("admin", "admin").await;
    (app, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn first_admin_may_see_who_it_is_and_nothing_else() {
    let (_app, admin) = first_admin().await;
    let seen = admin.query(VIEWER, json!({})).await;
    assert_eq!(seen["viewer"]["user"], json!({ "username": "admin", "role": "ADMIN", "mustChangePassword": true }));
    let bot = admin.graphql(BOT, json!({})).await;
    assert_eq!(bot.code(), "PASSWORD_CHANGE_REQUIRED");
    assert!(bot.body["data"].is_null());
    for query in [
        "{ users { totalCount } }",
        "{ engine { now } }",
        "mutation { initializeBot(input: {}) { userErrors { code } } }",
    ] {
        let refused = admin.graphql(query, json!({})).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "PASSWORD_CHANGE_REQUIRED"), "{query}");
    }
    let register = Answer::of(admin.post("/auth/register", &json!({ "username": "marta" }))).await;
    assert_eq!((register.status, register.code()), (StatusCode::FORBIDDEN, "PASSWORD_CHANGE_REQUIRED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_admin_is_free_after_changing_the_password() {
    let (app, mut admin) = first_admin().await;
    assert!(app.world.users().first_admin_stands().await.unwrap());
    let old = admin.clone();
    let changed = admin.change_password("admin", PASSWORD).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    admin.take_cookie(&changed);
    admin.query(BOT, json!({})).await;
    assert!(!app.world.users().first_admin_stands().await.unwrap());
    assert_eq!(old.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.server.stranger().sign_in("admin", "admin").await.code(), "AUTH_INVALID_CREDENTIALS");
    let kept = app.world.count("SELECT count(*) FROM user_credentials").await;
    assert_eq!(kept, 1, "the old hash is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_admin_is_made_once_by_many_processes() {
    let world = World::create().await;
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        let (users, clock) = (world.users(), world.clock.clone());
        starts.spawn(async move { users.ensure_first_admin(clock.as_ref()).await.expect("no fault") });
    }
    let made = starts.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 1);
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'UserRegistered'").await, 1);
    let server = Server::start(world.deps()).await;
    server.stranger().signed_in("admin", "admin").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_admin_is_not_made_where_somebody_was_registered_before() {
    let app = TestApp::start().await;
    app.user("marta").await;
    let users = app.world.users();
    assert!(!users.ensure_first_admin(app.world.clock.as_ref()).await.unwrap());
    assert!(!users.first_admin_stands().await.unwrap());
    assert_eq!(app.server.stranger().sign_in("admin", "admin").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_admin_is_made_after_a_start_that_died_in_the_middle() {
    let world = World::create().await;
    let users = world.users();
    users.ensure_first_admin(world.clock.as_ref()).await.unwrap();
    // As if the process had died before the event: only the claims are there.
    let other = World::create().await;
    let claims: Vec<(String, String, uuid::Uuid)> =
        sqlx::query_as("SELECT kind, value, owner FROM identity_claims").fetch_all(world.pool()).await.unwrap();
    for (kind, value, owner) in claims {
        sqlx::query("INSERT INTO identity_claims (kind, value, owner, claimed_at) VALUES ($1, $2, $3, now())")
            .bind(kind)
            .bind(value)
            .bind(owner)
            .execute(other.pool())
            .await
            .unwrap();
    }
    assert!(other.users().ensure_first_admin(other.clock.as_ref()).await.unwrap());
    assert!(other.users().first_admin_stands().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_unknown_name_and_deactivated_user_look_the_same() {
    let app = TestApp::start().await;
    let gone = app.user("gone").await;
    app.user("marta").await;
    app.world.users().deactivate(gone.id, &app.world.metadata()).await.unwrap();
    let stranger = app.server.stranger();
    let mut bodies = Vec::new();
    for (name, password) in [("marta", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("no such name!", "x")] {
        let mut answer = stranger.sign_in(name, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        answer.body["error"]["requestId"].take();
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixth_try_in_a_row_has_to_wait_even_with_the_right_password() {
    let app = TestApp::start().await;
    app.user("marta").await;
    let stranger = app.server.stranger();
    for _ in 0..5 {
        assert_eq!(stranger.sign_in("marta", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let throttled = stranger.sign_in("marta", PASSWORD).await;
    assert_eq!((throttled.status, throttled.code()), (StatusCode::TOO_MANY_REQUESTS, "THROTTLED"));
    let wait: u64 = throttled.header("retry-after").parse().expect("seconds");
    assert!((1..=13).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_for_whoever_has_the_cookie() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await;
    let copy = marta.client.clone();
    let answer = Answer::of(marta.client.post("/auth/logout", &json!({}))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(copy.graphql(VIEWER, json!({})).await.code(), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookie_is_guarded_and_its_token_is_kept_nowhere() {
    let app = TestApp::start().await;
    app.user("marta").await;
    let answer = app.server.stranger().sign_in("marta", PASSWORD).await;
    let set = answer.header("set-cookie").to_owned();
    for part in ["reprise=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = set.split(['=', ';']).nth(1).unwrap().to_owned();
    let stored =
        sqlx::query_scalar::<_, String>("SELECT web_sessions::text FROM web_sessions").fetch_all(app.world.pool());
    assert!(stored.await.unwrap().iter().all(|row| !row.contains(&token)));
}

#[tokio::test(flavor = "multi_thread")]
async fn cookie_for_https_is_tied_to_the_host() {
    let app =
        TestApp::start_with(|deps| deps.settings.public_origins = vec!["https://reprise.example".to_owned()]).await;
    let made = app.world.users().ensure_first_admin(app.world.clock.as_ref()).await.unwrap();
    assert!(made);
    let answer = app.server.stranger().sign_in("admin", "admin").await;
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-reprise=") && set.contains("Secure") && set.contains("Path=/"), "{set}");
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_by_idling_and_for_good() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await;
    let idle = "UPDATE web_sessions SET last_seen_at = last_seen_at - interval '13 hours'";
    assert_eq!(app.world.execute(idle).await, 1);
    assert_eq!(marta.client.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    let again = app.server.stranger().signed_in("marta", PASSWORD).await;
    again.query(VIEWER, json!({})).await;
    app.world.execute("UPDATE web_sessions SET expires_at = clock_timestamp()").await;
    assert_eq!(again.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.world.users().sessions().sweep().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_is_used_does_not_idle() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await;
    app.world.execute("UPDATE web_sessions SET last_seen_at = last_seen_at - interval '11 hours'").await;
    marta.client.query(VIEWER, json!({})).await;
    app.world.execute("UPDATE web_sessions SET last_seen_at = last_seen_at - interval '11 hours'").await;
    marta.client.query(VIEWER, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_password_ends_every_other_session() {
    let app = TestApp::start().await;
    let mut marta = app.user("marta").await.client;
    let elsewhere = app.server.stranger().signed_in("marta", PASSWORD).await;
    let changed = marta.change_password(PASSWORD, "another good one").await;
    marta.take_cookie(&changed);
    marta.query(VIEWER, json!({})).await;
    assert_eq!(elsewhere.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    app.server.stranger().signed_in("marta", "another good one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_changes_of_the_password_change_nothing() {
    let app = TestApp::start().await;
    let marta = app.user("marta").await.client;
    for (current, new, code) in [
        ("wrong", "another good one", "AUTH_WRONG_PASSWORD"),
        (PASSWORD, "short", "AUTH_WEAK_PASSWORD"),
        (PASSWORD, "password123", "AUTH_WEAK_PASSWORD"),
        (PASSWORD, PASSWORD, "AUTH_SAME_PASSWORD"),
    ] {
        assert_eq!(marta.change_password(current, new).await.code(), code);
    }
    marta.query(VIEWER, json!({})).await;
    assert_eq!(app.world.count("SELECT count(*) FROM user_credentials").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_registers_and_nobody_else() {
    let app = TestApp::start().await;
    let (admin, marta) = (app.admin().await.client, app.user("marta").await.client);
    let body = json!({ "username": "Bob" });
    let refused = Answer::of(marta.post("/auth/register", &body)).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
    let made = Answer::of(admin.post("/auth/register", &body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["user"]["username"], "bob");
    let node = admin.query("query($id: ID!) { node(id: $id) { id } }", json!({ "id": made.body["user"]["id"] })).await;
    assert_eq!(node["node"]["id"], made.body["user"]["id"]);
    let password = made.body["oneTimePassword"].as_str().unwrap();
    let bob = app.server.stranger().signed_in("BOB", password).await;
    assert_eq!(bob.graphql(BOT, json!({})).await.code(), "PASSWORD_CHANGE_REQUIRED");
    let taken = Answer::of(admin.post("/auth/register", &json!({ "username": " bob " }))).await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "USER_NAME_TAKEN"));
    for (username, code) in [("x", "USER_INVALID_USERNAME"), ("with space", "USER_INVALID_USERNAME")] {
        let wrong = Answer::of(admin.post("/auth/register", &json!({ "username": username }))).await;
        assert_eq!((wrong.status, wrong.code()), (StatusCode::UNPROCESSABLE_ENTITY, code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_many_ask_for_at_once_is_given_once() {
    let app = TestApp::start().await;
    let mut asks = JoinSet::new();
    for _ in 0..6 {
        let (users, metadata) = (app.world.users(), app.world.metadata());
        asks.spawn(async move {
            let password = Some(Password::from(PASSWORD.to_owned()));
            let new = NewUser { username: "marta".to_owned(), role: Role::User, password, must_change_password: false };
            users.register(new, &metadata).await
        });
    }
    let results = asks.join_all().await;
    let refused = |result: &Result<_, AuthError>| matches!(result, Err(AuthError::UsernameTaken { .. }));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| refused(result)).count(), 5);
    assert_eq!(app.world.count("SELECT count(*) FROM user_credentials").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_registration_that_died_is_free_again_after_a_minute() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    let orphan = "INSERT INTO identity_claims (kind, value, owner, claimed_at)
                  VALUES ('USERNAME', 'marta', '0193a1b2-c3d4-7000-8000-000000000001', clock_timestamp())";
    app.world.execute(orphan).await;
    let body = json!({ "username": "marta" });
    assert_eq!(Answer::of(admin.post("/auth/register", &body)).await.code(), "USER_NAME_TAKEN");
    app.world.execute("UPDATE identity_claims SET claimed_at = claimed_at - interval '2 minutes'").await;
    assert_eq!(Answer::of(admin.post("/auth/register", &body)).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_registration_leaves_the_name_free() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    let weak = Answer::of(admin.post("/auth/register", &json!({ "username": "marta", "password": "short" }))).await;
    assert_eq!(weak.code(), "AUTH_WEAK_PASSWORD");
    let made = Answer::of(admin.post("/auth/register", &json!({ "username": "marta", "password": PASSWORD }))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(made.body.get("oneTimePassword").is_none());
    assert!(app.world.clock.now() > chrono::DateTime::UNIX_EPOCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_password_works_once_and_ends_the_sessions() {
    let app = TestApp::start().await;
    let (admin, marta) = (app.admin().await.client, app.user("marta").await);
    let found = admin.query("{ users { nodes { id username } } }", json!({})).await;
    let nodes = found["users"]["nodes"].as_array().unwrap().clone();
    let id = nodes.iter().find(|node| node["username"] == "marta").unwrap()["id"].clone();
    let reset =
        admin.done("resetUserPassword", json!({ "userId": id }), "oneTimePassword user { mustChangePassword }").await;
    assert_eq!(reset["user"]["mustChangePassword"], true);
    assert_eq!(marta.client.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.server.stranger().sign_in("marta", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let password = reset["oneTimePassword"].as_str().unwrap();
    let mut again = app.server.stranger().signed_in("marta", password).await;
    let changed = again.change_password(password, "another good one").await;
    again.take_cookie(&changed);
    again.query(BOT, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_user_is_out_at_once_and_an_admin_cannot_deactivate_themselves() {
    let app = TestApp::start().await;
    let (admin, marta) = (app.admin().await.client, app.user("marta").await.client);
    let ids = admin.query("{ users { nodes { id } } viewer { user { id } } }", json!({})).await;
    let own = ids["viewer"]["user"]["id"].clone();
    let (code, path) = admin.refused("deactivateUser", json!({ "userId": own })).await;
    assert_eq!((code.as_str(), path), ("USER_OWN_DEACTIVATION", json!(["input", "userId"])));
    let nodes = ids["users"]["nodes"].as_array().unwrap();
    let other = nodes.iter().find(|node| node["id"] != own).unwrap()["id"].clone();
    let done = admin.done("deactivateUser", json!({ "userId": other }), "user { active }").await;
    assert_eq!(done["user"]["active"], false);
    assert_eq!(marta.graphql(VIEWER, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.server.stranger().sign_in("marta", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let (code, _) = admin.refused("deactivateUser", json!({ "userId": other })).await;
    assert_eq!(code, "USER_COMMAND_NOT_ALLOWED");
}
