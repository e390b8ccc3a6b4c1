//! Subscriptions over `graphql-transport-ws`: the protocol, exactly-once events, and the end of a session.

use std::sync::Arc;

use domain::bot::{BotCommand, Limits};
use domain::clock::Clock;
use domain::job::Origin;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::jobs::id_of;
use crate::support::client::Answer;
use crate::support::poll::until;
use crate::support::socket::{Heard, Socket, handshake};
use crate::support::{PASSWORD, Person, TestApp};

const EVENTS: &str = "subscription($after: String) { events(after: $after) { cursor node { sequence name } } }";

async fn with_bot(app: &TestApp) -> Person {
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    person
}

async fn add_event(app: &TestApp, person: &Person) {
    app.world.bot(person.id, BotCommand::ChangeLimits { limits: Limits::default(), at: app.world.clock.now() }).await;
}

async fn first_cursor(person: &Person) -> Value {
    let query = "{ viewer { bot { events(last: 1) { pageInfo { endCursor } } } } }";
    person.client.query(query, json!({})).await["viewer"]["bot"]["events"]["pageInfo"]["endCursor"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_once_and_in_order_however_often_the_socket_is_cut() {
    const ALL: usize = 300;
    let app = Arc::new(TestApp::start().await);
    let person = Arc::new(with_bot(&app).await);
    let mut cursor = first_cursor(&person).await;
    let writer = tokio::spawn({
        let (app, person) = (Arc::clone(&app), Arc::clone(&person));
        async move {
            for _ in 0..ALL {
                add_event(&app, &person).await;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.len() < ALL {
        let mut socket = Socket::ready(&person.client).await;
        socket.subscribe("one", EVENTS, json!({ "after": cursor })).await;
        for _ in 0..(ALL - seen.len()).min(11) {
            let mut payload = socket.next("one").await;
            let message = payload["data"]["events"].take();
            seen.push(message["node"]["sequence"].as_i64().unwrap());
            cursor = message["cursor"].clone();
        }
        // Dropped in the middle, without a word.
    }
    writer.await.unwrap();
    assert_eq!(seen, (2..2 + i64::try_from(ALL).unwrap()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cursor_only_what_happens_from_now_on_is_told() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    socket.subscribe("one", EVENTS, json!({})).await;
    socket.subscribe("now", "{ viewer { bot { sequence } } }", json!({})).await;
    assert_eq!(socket.next("now").await["data"]["viewer"]["bot"]["sequence"], 1);
    assert_eq!(socket.hear().await, Heard::Message(json!({ "type": "complete", "id": "now" })));
    add_event(&app, &person).await;
    assert_eq!(socket.next("one").await["data"]["events"]["node"], json!({ "sequence": 2, "name": "LimitsChanged" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_is_told_as_it_is_and_after_each_change() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    socket.subscribe("bot", "subscription { bot { state sequence } }", json!({})).await;
    assert_eq!(socket.next("bot").await["data"]["bot"], json!({ "state": "LOGGED_OUT", "sequence": 1 }));
    app.world.bot(person.id, BotCommand::FailBot { reason: "test".to_owned(), at: app.world.clock.now() }).await;
    assert_eq!(socket.next("bot").await["data"]["bot"], json!({ "state": "ERROR", "sequence": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_another_bot() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let other = app.user("other").await;
    let mut socket = Socket::ready(&other.client).await;
    socket.subscribe("one", EVENTS, json!({})).await;
    socket.subscribe("bot", "subscription { bot { state } }", json!({})).await;
    assert_eq!(socket.next("bot").await["data"]["bot"]["state"], "NOT_INITIALIZED");
    add_event(&app, &person).await;
    other.client.done("initializeBot", json!({}), "bot { state }").await;
    let mut heard = Vec::new();
    for _ in 0..2 {
        let Heard::Message(message) = socket.hear().await else { panic!("the socket is closed") };
        heard.push(message["payload"]["data"].clone());
    }
    let expected =
        [json!({ "bot": { "state": "LOGGED_OUT" } }), json!({ "events": { "node": { "name": "BotInitialized" } } })];
    assert!(heard.contains(&expected[0]), "{heard:?}");
    assert!(heard.iter().any(|data| data["events"]["node"]["name"] == "BotInitialized"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_nothing_is_an_error_and_ends_the_operation_alone() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    socket.subscribe("one", EVENTS, json!({ "after": "nonsense" })).await;
    let Heard::Message(message) = socket.hear().await else { panic!("the socket is closed") };
    assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("one")));
    assert_eq!(message["payload"][0]["extensions"]["code"], "INVALID_CURSOR");
    for (query, code) in [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_SYNTAX_ERROR"),
        ("mutation { initializeBot(input: {}) { userErrors { code } } }", "MUTATION_NEEDS_POST"),
    ] {
        socket.subscribe("two", query, json!({})).await;
        let Heard::Message(message) = socket.hear().await else { panic!("the socket is closed") };
        assert_eq!((&message["type"], &message["payload"][0]["extensions"]["code"]), (&json!("error"), &json!(code)));
    }
    socket.subscribe("one", "{ __typename }", json!({})).await;
    assert_eq!(socket.next("one").await["data"]["__typename"], "Query");
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_is_kept_and_whoever_breaks_it_is_closed() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    socket.say(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.hear().await, Heard::Message(json!({ "type": "pong", "payload": { "a": 1 } })));
    socket.say(json!({ "type": "pong" })).await;
    socket.subscribe("one", EVENTS, json!({})).await;
    socket.say(json!({ "type": "complete", "id": "one" })).await;
    socket.subscribe("one", "{ __typename }", json!({})).await;
    assert_eq!(socket.next("one").await["data"]["__typename"], "Query");

    let mut early = Socket::open(&person.client).await;
    early.subscribe("one", EVENTS, json!({})).await;
    assert_eq!(early.hear().await, Heard::Closed(4401));

    let mut twice = Socket::ready(&person.client).await;
    twice.say(json!({ "type": "connection_init" })).await;
    assert_eq!(twice.hear().await, Heard::Closed(4429));

    let mut doubled = Socket::ready(&person.client).await;
    doubled.subscribe("one", EVENTS, json!({})).await;
    doubled.subscribe("one", EVENTS, json!({})).await;
    assert_eq!(doubled.hear().await, Heard::Closed(4409));

    for nonsense in ["hello", "{}", r#"{"type":"subscribe"}"#, r#"{"type":"shout"}"#] {
        let mut socket = Socket::ready(&person.client).await;
        socket.say_text(nonsense).await;
        assert_eq!(socket.hear().await, Heard::Closed(4400), "{nonsense}");
    }

    let mut other = Socket::try_open(handshake(&person.client, "graphql-ws")).await;
    match &mut other {
        Ok(socket) => assert_eq!(socket.hear().await, Heard::Closed(4406)),
        // The client library itself refuses an answer without the protocol that it asked for.
        Err(Error::Protocol(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_a_socket_are_limited() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    for number in 0..20 {
        socket.subscribe(&format!("o{number}"), EVENTS, json!({})).await;
    }
    socket.subscribe("more", EVENTS, json!({})).await;
    let Heard::Message(message) = socket.hear().await else { panic!("the socket is closed") };
    assert_eq!(
        (&message["id"], &message["payload"][0]["extensions"]["code"]),
        (&json!("more"), &json!("QUERY_TOO_WIDE"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_a_user_are_limited() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(Socket::ready(&person.client).await);
    }
    let one_more = Socket::try_open(handshake(&person.client, "graphql-transport-ws")).await;
    assert!(matches!(one_more, Err(Error::Http(response)) if response.status().as_u16() == 429));
    open.pop();
    until("the closed socket made room", || async {
        Socket::try_open(handshake(&person.client, "graphql-transport-ws")).await.ok().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_pages_of_others_get_no_socket() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let status = |opened: Result<Socket, Error>| match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    };
    let stranger = handshake(&app.server.stranger(), "graphql-transport-ws");
    assert_eq!(status(Socket::try_open(stranger).await), 401);
    let mut foreign = handshake(&person.client, "graphql-transport-ws");
    foreign.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    assert_eq!(status(Socket::try_open(foreign).await), 403);
    let mut own = handshake(&person.client, "graphql-transport-ws");
    own.headers_mut().insert("origin", format!("http://{}", person.client.address).parse().unwrap());
    assert_eq!(status(Socket::try_open(own).await), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_socket_feels_the_end_of_its_session() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let ready = || async {
        let client = app.server.stranger().signed_in("marta", PASSWORD).await;
        let mut socket = Socket::ready(&client).await;
        socket.subscribe("one", EVENTS, json!({})).await;
        (client, socket)
    };
    let (client, mut socket) = ready().await;
    Answer::of(client.post("/auth/logout", &json!({}))).await;
    assert_eq!(socket.hear().await, Heard::Closed(4403), "signed out");

    let (_, mut socket) = ready().await;
    let changed = person.client.change_password(PASSWORD, "another good one").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(socket.hear().await, Heard::Closed(4403), "password changed elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_socket_feels_the_end_of_its_session_in_another_process() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    app.world.users().deactivate(person.id, &app.world.metadata()).await.unwrap();
    assert_eq!(socket.hear().await, Heard::Closed(4403));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_closed_when_the_server_stops() {
    let app = TestApp::start().await;
    let person = with_bot(&app).await;
    let mut socket = Socket::ready(&person.client).await;
    drop(app.server);
    assert_eq!(socket.hear().await, Heard::Closed(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_must_change_its_password_hears_nothing() {
    let app = TestApp::start().await;
    app.world.users().ensure_first_admin(app.world.clock.as_ref()).await.unwrap();
    let admin = app.server.stranger().signed_in("admin", "admin").await;
    let mut socket = Socket::ready(&admin).await;
    socket.subscribe("one", "subscription { bot { state } }", json!({})).await;
    let Heard::Message(message) = socket.hear().await else { panic!("the socket is closed") };
    assert_eq!(
        (&message["type"], &message["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("PASSWORD_CHANGE_REQUIRED"))
    );
}

const JOB_EVENTS: &str = "subscription($id: ID!, $after: String) {
    jobEvents(jobId: $id, after: $after) { cursor node { sequence type actor summary } } }";

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_job_comes_once_and_in_order_and_goes_on_after_a_cursor() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let job = app.world.begun(person.id, Origin::Person).await;
    let id = id_of(job);
    let mut socket = Socket::ready(&person.client).await;
    socket.subscribe("new", JOB_EVENTS, json!({ "id": id })).await;
    socket.subscribe("now", "{ engine { clockSpeed } }", json!({})).await;
    socket.next("now").await;
    socket.hear().await;
    person.client.done("pauseJob", json!({ "jobId": id, "reason": "a look" }), "job { state }").await;
    let told = socket.next("new").await["data"]["jobEvents"].take();
    let paused = json!({
        "sequence": 3, "type": "JobPaused", "actor": format!("user:{}", person.id), "summary": "paused the job: a look"
    });
    assert_eq!(told["node"], paused);
    drop(socket);
    person.client.done("resumeJob", json!({ "jobId": id }), "job { state }").await;
    let mut again = Socket::ready(&person.client).await;
    again.subscribe("on", JOB_EVENTS, json!({ "id": id, "after": told["cursor"] })).await;
    assert_eq!(again.next("on").await["data"]["jobEvents"]["node"]["type"], "JobResumed");
    // A cursor of the history is one of the subscription too.
    let query = "query($id: ID!) { node(id: $id) { ... on Job { history(first: 1) { pageInfo { endCursor } } } } }";
    let first = person.client.query(query, json!({ "id": id })).await;
    let after = &first["node"]["history"]["pageInfo"]["endCursor"];
    again.subscribe("all", JOB_EVENTS, json!({ "id": id, "after": after })).await;
    for name in ["JobStarted", "JobPaused", "JobResumed"] {
        assert_eq!(again.next("all").await["data"]["jobEvents"]["node"]["type"], name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_is_told_as_it_is_and_after_each_change() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let id = id_of(app.world.begun(person.id, Origin::Person).await);
    let mut socket = Socket::ready(&person.client).await;
    socket.subscribe("job", "subscription($id: ID!) { job(id: $id) { state priority } }", json!({ "id": id })).await;
    let running = json!({ "state": "RUNNING", "priority": "HIGH" });
    assert_eq!(socket.next("job").await["data"]["job"], running);
    person.client.done("prioritizeJob", json!({ "jobId": id, "priority": "LOW" }), "job { state }").await;
    assert_eq!(socket.next("job").await["data"]["job"], json!({ "state": "RUNNING", "priority": "LOW" }));
    person.client.done("terminateJob", json!({ "jobId": id }), "job { state }").await;
    assert_eq!(socket.next("job").await["data"]["job"]["state"], "TERMINATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_others_and_cursors_that_are_none_are_told_to_nobody() {
    let app = TestApp::start().await;
    let (person, tom) = (app.user("marta").await, app.user("tom").await);
    let id = id_of(app.world.begun(person.id, Origin::Person).await);
    let mut socket = Socket::ready(&tom.client).await;
    socket.subscribe("events", JOB_EVENTS, json!({ "id": id })).await;
    assert_eq!(refusal(&mut socket).await, "NOT_FOUND");
    socket.subscribe("job", "subscription($id: ID!) { job(id: $id) { state } }", json!({ "id": id })).await;
    assert_eq!(refusal(&mut socket).await, "NOT_FOUND");
    let mut own = Socket::ready(&person.client).await;
    own.subscribe("events", JOB_EVENTS, json!({ "id": id, "after": "OTk5" })).await;
    assert_eq!(refusal(&mut own).await, "INVALID_CURSOR");
}

/// The code with which an operation ends.
async fn refusal(socket: &mut Socket) -> Value {
    let Heard::Message(mut message) = socket.hear().await else { panic!("the socket is closed") };
    assert_eq!(message["type"], "error", "{message}");
    message["payload"][0]["extensions"]["code"].take()
}
