//! What makes a generic JSON reader stumble, and the client not.

use chrono::{DateTime, Utc};
use domain::bot::FailureClass;
use workers::platform::{FollowState, Media, Platform, SessionId, Tab, ThreadId, UserShort, WriteAnswer};

use super::support::{HASHTAG, RawServer, World, call, client};

const LONGEST_THREAD: &str = "340282366841710301244259509938705598974";

fn session() -> SessionId {
    SessionId::new("77:abc:1")
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

async fn media_from(body: &str) -> Media {
    let server = RawServer::answering(200, body).await;
    client(&server.url).media(call(), &session(), &1.into()).await.expect("a media")
}

#[tokio::test]
async fn a_thread_id_of_39_digits_keeps_every_digit() {
    let thread: ThreadId = LONGEST_THREAD.parse().expect("an id");
    for id in [LONGEST_THREAD.to_owned(), format!("\"{LONGEST_THREAD}\"")] {
        let body = format!(r#"[{{"id":"31","thread_id":{id},"timestamp":"2024-05-06T07:08:09.123456","text":null}}]"#);
        let server = RawServer::answering(200, body).await;
        let messages = client(&server.url).direct_messages(call(), &session(), thread, 20).await.expect("messages");
        assert_eq!(messages[0].thread_id.map(|id| id.to_string()).as_deref(), Some(LONGEST_THREAD));
        assert_eq!(messages[0].timestamp, Some(instant("2024-05-06T07:08:09.123456Z")));
        assert!(server.seen()[0].query.contains(LONGEST_THREAD));
    }
    assert_eq!(serde_json::to_string(&thread).expect("text"), format!("\"{LONGEST_THREAD}\""));
    assert_eq!(serde_json::from_str::<ThreadId>(&format!("\"{LONGEST_THREAD}\"")).expect("an id"), thread);
}

#[tokio::test]
async fn the_sandbox_sends_thread_ids_as_bare_integers_of_39_digits() {
    let world = World::new().await;
    let person = world.person(false).await;
    let sent = world.gateway.send_direct_message(call(), &world.session, &person, "hello").await.expect("sent");
    let thread = sent.thread_id.expect("a thread");
    assert_eq!(thread.to_string().len(), 39);
    assert_eq!(sent.text, None, "the answer to a sent message has no text");
    assert_eq!(world.gateway.thread_with(call(), &world.session, &person).await.expect("a read"), Some(thread));
    let messages = world.gateway.direct_messages(call(), &world.session, thread, 20).await.expect("messages");
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].text.as_deref(), messages[0].is_sent_by_viewer), (Some("hello"), Some(true)));
    assert!(messages[0].timestamp.is_some());
}

#[tokio::test]
async fn a_thread_is_found_in_every_form_of_the_answer() {
    let thread: ThreadId = LONGEST_THREAD.parse().expect("an id");
    for body in [
        format!(r#"{{"thread_id":"{LONGEST_THREAD}","users":[]}}"#),
        format!(r#"{{"thread_id":{LONGEST_THREAD}}}"#),
        format!(r#"{{"thread":{{"thread_id":"{LONGEST_THREAD}"}},"status":"ok"}}"#),
        format!(r#"{{"thread":{{"id":{LONGEST_THREAD}}}}}"#),
    ] {
        let server = RawServer::answering(200, &body).await;
        let found = client(&server.url).thread_with(call(), &session(), &5.into()).await.expect("a read");
        assert_eq!(found, Some(thread), "{body}");
    }
}

#[tokio::test]
async fn a_conversation_that_is_not_there_is_not_an_error() {
    let world = World::new().await;
    let person = world.person(false).await;
    assert_eq!(world.gateway.thread_with(call(), &world.session, &person).await.expect("a read"), None);
    let missing = r#"{"detail":"x","exc_type":"DirectThreadNotFound"}"#;
    let server = RawServer::answering(500, missing).await;
    assert_eq!(client(&server.url).thread_with(call(), &session(), &5.into()).await.expect("a read"), None);
}

#[tokio::test]
async fn a_media_pk_is_an_integer_or_a_string() {
    let number = media_from(r#"{"pk":3200000000000000123,"user":{"pk":"42"}}"#).await;
    let text = media_from(r#"{"pk":"3200000000000000123","id":"3200000000000000123_42"}"#).await;
    assert_eq!(number.pk, text.pk);
    assert_eq!(number.id().as_str(), "3200000000000000123_42");
    assert_eq!(number.id(), text.id());
}

#[tokio::test]
async fn both_forms_of_a_pk_come_from_the_sandbox() {
    let world = World::new().await;
    for media in world.medias().await {
        assert!(media.id().owner().is_some());
        assert_eq!(media.id().pk(), media.pk);
        assert!(media.taken_at.is_some());
    }
    let page = world.gateway.hashtag_medias(call(), &world.session, HASHTAG, Tab::Top, 50, None).await.expect("a page");
    assert!(page.items.iter().any(|media| media.location.is_some()));
    assert!(page.items.iter().any(|media| media.location.is_none()));
}

#[tokio::test]
async fn optional_fields_may_be_null_absent_or_odd_and_unknown_ones_appear() {
    let nulls = media_from(
        r#"{"pk":"1","id":null,"code":null,"taken_at":null,"media_type":null,"user":null,"caption_text":null,
            "like_count":null,"comment_count":null,"has_liked":null,"comments_disabled":null,"location":null}"#,
    )
    .await;
    let absent = media_from(r#"{"pk":"1"}"#).await;
    let odd = media_from(
        r#"{"pk":"1","like_count":"many","taken_at":"soon","user":[],"location":7,"brand_new":{"deep":[1]}}"#,
    )
    .await;
    assert_eq!(nulls, absent);
    assert_eq!(odd, absent);
    assert_eq!(absent.has_liked, None, "absent is not no");
}

#[tokio::test]
async fn a_key_field_that_is_missing_breaks_the_contract() {
    let server = RawServer::answering(200, r#"{"username":"no.pk"}"#).await;
    let error = client(&server.url).account(call(), &session()).await.expect_err("no key");
    assert_eq!(error.class, FailureClass::ContractBroken);
    let server = RawServer::answering(200, r#"{"outgoing_request":false}"#).await;
    let error = client(&server.url).friendship(call(), &session(), &5.into()).await.expect_err("no key");
    assert_eq!(error.class, FailureClass::ContractBroken, "a missing `following` must not read as no");
}

#[tokio::test]
async fn a_relationship_says_when_it_does_not_tell() {
    for (body, state) in [
        (r#"{"following":true,"outgoing_request":null}"#, FollowState::Following),
        (r#"{"following":false,"outgoing_request":true}"#, FollowState::Requested),
        (r#"{"following":false,"outgoing_request":false}"#, FollowState::NotFollowing),
        (r#"{"following":false,"outgoing_request":null}"#, FollowState::Unclear),
        (r#"{"following":false}"#, FollowState::Unclear),
    ] {
        let server = RawServer::answering(200, body).await;
        let friendship = client(&server.url).friendship(call(), &session(), &5.into()).await.expect("a relationship");
        assert_eq!(friendship.follow_state(), state, "{body}");
    }
}

#[tokio::test]
async fn a_follow_of_a_private_account_is_unconfirmed_and_its_request_is_out() {
    let world = World::new().await;
    let private = world.person(true).await;
    let answer = world.gateway.follow(call(), &world.session, &private).await.expect("an answer");
    assert_eq!(answer, WriteAnswer::Unconfirmed);
    let friendship = world.gateway.friendship(call(), &world.session, &private).await.expect("a relationship");
    assert_eq!(friendship.follow_state(), FollowState::Requested);

    let public = world.person(false).await;
    let answer = world.gateway.follow(call(), &world.session, &public).await.expect("an answer");
    assert_eq!(answer, WriteAnswer::Confirmed);
    let both = [private, public];
    let states = world.gateway.friendships(call(), &world.session, &both).await.expect("relationships");
    let states: Vec<FollowState> = states.iter().map(|state| state.relationship.follow_state()).collect();
    assert_eq!(states, [FollowState::Requested, FollowState::Following]);
}

#[tokio::test]
async fn a_null_list_of_messages_is_an_empty_one() {
    let body =
        format!(r#"{{"items":[{{"id":"{LONGEST_THREAD}","pk":1,"users":null,"messages":null}}],"next_cursor":null}}"#);
    let server = RawServer::answering(200, body).await;
    let page = client(&server.url).inbox(call(), &session(), None).await.expect("a page");
    assert!(page.items[0].messages.is_empty());
    assert_eq!(page.next, None);
}

#[test]
fn only_digits_are_ids() {
    for text in ["", "12a", "1_2", " 1", "-1", "１２", &"9".repeat(65)] {
        assert!(text.parse::<workers::platform::UserPk>().is_err(), "{text:?}");
        assert!(text.parse::<ThreadId>().is_err(), "{text:?}");
    }
    for text in ["1_", "_1", "1_2_3", "a_1", "1_a"] {
        assert!(text.parse::<workers::platform::MediaId>().is_err(), "{text:?}");
    }
    let person: UserShort = serde_json::from_str(r#"{"pk":18446744073709551615}"#).expect("a person");
    assert_eq!(person.pk.as_str(), "18446744073709551615");
}
