//! Poison: an event that cannot be taken parks its stream in one projection, visibly, and nothing else stops.

use domain::ids::{CredentialId, UserId, derive};
use domain::user::{Role, UserEvent};
use projections::users::{self, Users};
use projections::{actions::Actions, audit_trail::AuditTrail, bot_status::BotStatuses, parked};
use serde_json::json;
use serde_json::value::RawValue;

use crate::support::life::Life;
use crate::support::{World, at};

fn user(name: &str) -> UserId {
    UserId::from_uuid(derive(&["user", name]))
}

fn credential(name: &str) -> CredentialId {
    CredentialId::from_uuid(derive(&["credential", name]))
}

fn registered(id: &str, username: &str) -> UserEvent {
    UserEvent::UserRegistered {
        user_id: user(id),
        username: username.to_owned(),
        role: Role::User,
        credential_id: credential("first"),
        must_change_password: true,
        at: at(0),
    }
}

fn changed() -> UserEvent {
    UserEvent::PasswordChanged { credential_id: credential("second"), must_change_password: false, at: at(1) }
}

#[tokio::test]
async fn undecodable_event_parks_its_stream_and_the_others_go_on() {
    let world = World::create().await;
    let (mut ada, mut bob) = (Life::of("ada"), Life::of("bob"));
    world.append("Bot", &ada.id(), &ada.link()).await;
    let poison = world.append_raw("Bot", &ada.id(), "Nonsense", &json!({ "type": "Nonsense" })).await;
    world.append("Bot", &bob.id(), &bob.link()).await;
    let behind = world.append("Bot", &ada.id(), &ada.link_again()).await;
    let last = world.append("Bot", &bob.id(), &bob.link_again()).await;

    let reached = world.runner(BotStatuses).catch_up().await.expect("it goes on");
    assert_eq!(reached, last.last_position);
    let waiting = parked::events(world.pool(), "bot_status", "Bot", &ada.id()).await.expect("the query runs");
    let seen: Vec<_> = waiting.iter().map(|event| (event.position, event.code.as_str())).collect();
    assert_eq!(
        seen,
        [(poison.first_position, "EVENT_INVALID_PAYLOAD"), (behind.first_position, "PROJECTION_STREAM_PARKED")]
    );
    let sequences: Vec<(uuid::Uuid, i64)> =
        sqlx::query_as("SELECT bot_id, last_sequence FROM bot_status").fetch_all(world.pool()).await.expect("it runs");
    assert!(sequences.contains(&(ada.bot_id.uuid(), 2)), "ada stays where the poison came");
    assert!(sequences.contains(&(bob.bot_id.uuid(), 3)), "bob goes on");
}

#[tokio::test]
async fn event_that_does_not_even_parse_is_parked() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    world.append("Bot", &life.id(), &life.link()).await;
    // Valid JSON, with a number that no program of ours can hold.
    let payload = RawValue::from_string("{\"at\": 1e999}".to_owned()).expect("it is JSON");
    let event = store::event::NewEvent::try_new("Huge".to_owned(), "1".to_owned(), &*payload).expect("it serialises");
    world.append_events("Bot", "another", vec![event]).await;
    let last = world.append("Bot", &life.id(), &life.link_again()).await.last_position;

    for reached in [
        world.runner(BotStatuses).catch_up().await.expect("it goes on"),
        world.runner(AuditTrail).catch_up().await.expect("it goes on"),
    ] {
        assert_eq!(reached, last);
    }
    let firsts = parked::streams(world.pool(), None).await.expect("the query runs");
    let seen: Vec<_> = firsts.iter().map(|event| (event.projection.as_str(), event.aggregate_id.as_str())).collect();
    assert_eq!(seen, [("audit_trail", "another"), ("bot_status", "another")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_runner_goes_past_an_event_that_does_not_parse() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    let runner = world.runner(BotStatuses);
    let mut position = runner.position();
    let stop = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(runner.run(stop.clone()));
    let payload = RawValue::from_string("1e999".to_owned()).expect("it is JSON");
    let event = store::event::NewEvent::try_new("Huge".to_owned(), "1".to_owned(), &*payload).expect("it serialises");
    world.append_events("Bot", "another", vec![event]).await;
    let last = world.append("Bot", &life.id(), &life.link()).await.last_position;
    let reached = position.wait_for(|at| *at >= last);
    tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("in time").expect("it runs");
    stop.cancel();
    task.await.expect("it ends");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM bot_status").await, 1);
}

#[tokio::test]
async fn event_that_breaks_a_rule_parks_its_stream_in_that_projection_alone() {
    let world = World::create().await;
    world.append("User", &user("ada").to_string(), &[registered("ada", "ada")]).await;
    world.append("User", &user("eve").to_string(), &[registered("eve", "ada"), changed()]).await;
    world.append("User", &user("bob").to_string(), &[registered("bob", "bob")]).await;
    world.catch_up().await;

    let firsts = parked::streams(world.pool(), None).await.expect("the query runs");
    let seen: Vec<_> = firsts.iter().map(|event| (event.projection.as_str(), event.code.as_str())).collect();
    assert_eq!(seen, [("users", "PROJECTION_DATABASE")]);
    assert!(firsts[0].reason.contains("users_username_key"), "{}", firsts[0].reason);
    assert!(users::by_id(world.pool(), user("bob")).await.expect("the query runs").is_some());
    assert_eq!(world.value::<i64>("SELECT count(*) FROM audit_trail").await, 4);
}

#[tokio::test]
async fn retried_stream_catches_up_in_order() {
    let world = World::create().await;
    let eve = user("eve").to_string();
    world.append("User", &user("ada").to_string(), &[registered("ada", "ada")]).await;
    world.append("User", &eve, &[registered("eve", "ada"), changed()]).await;
    world.runner(Users).catch_up().await.expect("it goes on");

    // Still in the way: nothing changes but the reason.
    let again = parked::retry(world.pool(), &Users, 0, "User", &eve).await.expect("it runs");
    assert_eq!((again.applied, again.left), (0, 2));
    assert!(users::by_id(world.pool(), user("eve")).await.expect("the query runs").is_none());

    world.execute("UPDATE users SET username = 'ada.first'").await;
    let again = parked::retry(world.pool(), &Users, 0, "User", &eve).await.expect("it runs");
    assert_eq!((again.applied, again.left), (2, 0));
    let eve_row = users::by_id(world.pool(), user("eve")).await.expect("the query runs").expect("a row");
    assert_eq!(eve_row.credential_id, credential("second"));
    assert!(!eve_row.must_change_password);

    // The stream is an ordinary one again.
    world.append("User", &eve, &[UserEvent::UserDeactivated { at: at(2) }]).await;
    world.runner(Users).catch_up().await.expect("it goes on");
    assert!(!users::by_id(world.pool(), user("eve")).await.expect("the query runs").expect("a row").active);
}

#[tokio::test]
async fn stream_that_changes_a_lost_row_is_parked_and_a_retry_stops_where_it_must() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    world.append("Bot", &life.id(), &events).await;
    world.runner(Actions).catch_up().await.expect("it goes on");
    let (first, acted) = life.act(domain::bot::Outcome::Performed { evidence: "seen".to_owned() });
    world.append("Bot", &life.id(), &acted[..1]).await;
    world.runner(Actions).catch_up().await.expect("it goes on");
    world.execute("DELETE FROM actions").await;
    world.append("Bot", &life.id(), &acted[1..]).await;
    life.now += 3_600;
    let (_, more) = life.act(domain::bot::Outcome::Performed { evidence: "seen".to_owned() });
    world.append("Bot", &life.id(), &more).await;
    world.runner(Actions).catch_up().await.expect("it goes on");

    let waiting = parked::events(world.pool(), "actions", "Bot", &life.id()).await.expect("the query runs");
    assert_eq!(waiting.len(), 3);
    assert_eq!(waiting[0].code, "PROJECTION_ROW_MISSING");
    assert!(waiting[0].reason.contains(&first.to_string()), "{}", waiting[0].reason);
    let retried = parked::retry(world.pool(), &Actions, 0, "Bot", &life.id()).await.expect("it runs");
    assert_eq!((retried.applied, retried.left), (0, 3));
}

#[tokio::test]
async fn what_a_projection_does_not_read_cannot_park_anything_in_it() {
    let world = World::create().await;
    world.append_raw("Bot", "nobody", "Nonsense", &json!({})).await;
    world.append_raw("Job", "nothing", "Nonsense", &json!({})).await;
    assert_eq!(world.runner(projections::users::Users).catch_up().await.expect("it goes on"), 2);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    world.runner(projections::jobs::Jobs).catch_up().await.expect("it goes on");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 1);
}
