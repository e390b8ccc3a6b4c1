//! The sandbox's ledger: it sees every write, counts what came twice, and survives a crash.

use std::time::Duration;

use workers::platform::{
    Platform, PlatformErrorKind, SessionId,
    sandbox::{Fault, FaultKind, LedgerEntry, LedgerOutcome, Sandbox, SandboxConfig},
};

use super::support::{ACCOUNT, TestClock, World, call, client, control, eventually};

fn brief(entry: &LedgerEntry) -> (&str, LedgerOutcome, bool) {
    (entry.kind.as_str(), entry.outcome, entry.duplicate)
}

#[tokio::test]
async fn every_write_has_an_entry_and_reads_have_none() {
    let world = World::new().await;
    let (gateway, session) = (&world.gateway, &world.session);
    let media = world.medias().await.into_iter().find(|media| media.comments_disabled == Some(false)).expect("a media");
    let (person, teller) = (world.person(false).await, world.storyteller().await);
    let story = gateway.user_stories(call(), session, &teller).await.expect("stories").remove(0);
    let story_id = story.id().expect("an owner");

    gateway.like(call(), session, &media.id()).await.expect("a like");
    gateway.follow(call(), session, &person).await.expect("a follow");
    gateway.send_direct_message(call(), session, &person, "hello").await.expect("a message");
    let comment = gateway.comment(call(), session, &media.id(), "nice").await.expect("a comment");
    gateway.see_stories(call(), session, std::slice::from_ref(&story.pk)).await.expect("seen");
    gateway.like_story(call(), session, &story_id).await.expect("a story like");
    gateway.unlike_story(call(), session, &story_id).await.expect("no story like");
    gateway.delete_comment(call(), session, &media.id(), &comment.pk).await.expect("no comment");
    gateway.unfollow(call(), session, &person).await.expect("no follow");
    gateway.unlike(call(), session, &media.id()).await.expect("no like");

    let ledger = world.sandbox.ledger(Some(ACCOUNT));
    let kinds: Vec<&str> = ledger.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "LIKE",
            "FOLLOW",
            "DIRECT_MESSAGE",
            "COMMENT",
            "STORY_SEEN",
            "STORY_LIKE",
            "STORY_UNLIKE",
            "DELETE_COMMENT",
            "UNFOLLOW",
            "UNLIKE"
        ]
    );
    assert!(ledger.iter().all(|entry| entry.outcome == LedgerOutcome::Effective && !entry.duplicate));
    assert!(ledger.iter().map(|entry| entry.sequence).eq(1..=10));
    assert_eq!(ledger[0].target, media.pk.to_string());
    assert_eq!(ledger[2].target, person.to_string());
    assert!(ledger[2].text_hash.is_some());
    assert!(!format!("{ledger:?}").contains("hello"));
}

#[tokio::test]
async fn what_comes_twice_is_counted() {
    let world = World::new().await;
    let (gateway, session) = (&world.gateway, &world.session);
    let (media, person) = (world.media().await, world.person(false).await);
    for _ in 0..2 {
        gateway.like(call(), session, &media).await.expect("a like");
        gateway.send_direct_message(call(), session, &person, "hello").await.expect("a message");
    }
    gateway.unlike(call(), session, &media).await.expect("no like");
    gateway.like(call(), session, &media).await.expect("a like that is new again");
    gateway.send_direct_message(call(), session, &person, "something else").await.expect("a message");

    let ledger = world.sandbox.ledger(None);
    assert_eq!(
        ledger.iter().map(brief).collect::<Vec<_>>(),
        [
            ("LIKE", LedgerOutcome::Effective, false),
            ("DIRECT_MESSAGE", LedgerOutcome::Effective, false),
            ("LIKE", LedgerOutcome::NoOp, true),
            ("DIRECT_MESSAGE", LedgerOutcome::Effective, true),
            ("UNLIKE", LedgerOutcome::Effective, false),
            ("LIKE", LedgerOutcome::Effective, false),
            ("DIRECT_MESSAGE", LedgerOutcome::Effective, false),
        ]
    );
    assert_eq!(world.sandbox.totals(None).duplicates, 2);
}

#[tokio::test]
async fn a_second_delivery_by_the_sandbox_itself_is_told_apart() {
    let world = World::new().await;
    let person = world.person(false).await;
    world.sandbox.inject(Fault::new(FaultKind::Duplicate).on("POST /direct/message"));
    world.gateway.send_direct_message(call(), &world.session, &person, "hello").await.expect("a message");
    let totals = world.sandbox.totals(None);
    assert_eq!((totals.entries, totals.duplicates, totals.injected), (2, 0, 1));
}

#[tokio::test]
async fn a_refused_write_is_seen_and_has_no_effect() {
    let world = World::new().await;
    let media = world.media().await;
    let fail = FaultKind::Fail { exc_type: "FeedbackRequired".to_owned(), detail: None };
    world.sandbox.inject(Fault::new(fail).on("POST /media/like"));
    world.gateway.like(call(), &world.session, &media).await.expect_err("blocked");
    world.gateway.follow(call(), &world.session, &1.into()).await.expect_err("nobody");
    let ledger = world.sandbox.ledger(None);
    let reasons: Vec<_> = ledger.iter().map(|entry| (entry.outcome, entry.reason.as_deref())).collect();
    assert_eq!(
        reasons,
        [(LedgerOutcome::Refused, Some("FeedbackRequired")), (LedgerOutcome::Refused, Some("ClientNotFoundError"))]
    );
    assert_eq!(world.gateway.media(call(), &world.session, &media.pk()).await.expect("a read").has_liked, Some(false));
}

#[tokio::test]
async fn a_late_success_takes_effect_after_the_client_has_given_up() {
    let world = World::new().await;
    let media = world.media().await;
    let late = FaultKind::LateSuccess { delay_ms: 80, exc_type: None };
    world.sandbox.inject(Fault::new(late).on("POST /media/like"));
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!(error.kind, PlatformErrorKind::AnswerLost);
    assert!(world.sandbox.ledger(None).is_empty(), "not yet");
    eventually(|| world.sandbox.ledger(None).pop()).await;
    assert_eq!(world.gateway.media(call(), &world.session, &media.pk()).await.expect("a read").has_liked, Some(true));
}

#[tokio::test]
async fn a_call_is_carried_out_although_its_client_has_gone() {
    let world = World::new().await;
    let media = world.media().await;
    let latency = FaultKind::Latency { delay_ms: 150 };
    world.sandbox.inject(Fault::new(latency).on("POST /media/like"));
    let hasty = super::support::client_with(&world.sandbox.url(), |config| {
        config.call_timeout = Duration::from_millis(50);
    });
    hasty.build(call()).await.expect("a build");
    let error = hasty.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!(error.kind, PlatformErrorKind::NoAnswer);
    eventually(|| world.sandbox.ledger(None).pop()).await;
}

#[tokio::test]
async fn a_lost_request_has_no_effect() {
    let world = World::new().await;
    let media = world.media().await;
    world.sandbox.inject(Fault::new(FaultKind::LostRequest).on("POST /media/like"));
    let error = world.gateway.like(call(), &world.session, &media).await.expect_err("no answer");
    assert_eq!(error.kind, PlatformErrorKind::AnswerLost);
    assert!(world.sandbox.ledger(None).is_empty());
}

#[tokio::test]
async fn a_restart_keeps_ledger_world_and_logins_and_loses_the_gateways_sessions() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ledger.jsonl");
    let world = World::kept_in(Some(file.clone())).await;
    let (media, person, private) = (world.media().await, world.person(false).await, world.person(true).await);
    let blob = world.gateway.export_session(call(), &world.session).await.expect("an export");
    world.gateway.like(call(), &world.session, &media).await.expect("a like");
    world.gateway.follow(call(), &world.session, &private).await.expect("a request");
    let sent = world.gateway.send_direct_message(call(), &world.session, &person, "hello").await.expect("a message");
    let before = world.sandbox.ledger(None);
    world.sandbox.stop().await;

    // A crash in the middle of a line: its write was never answered.
    let mut text = std::fs::read_to_string(&file).expect("a file");
    text.push_str(r#"{"Write":{"entry":{"sequence":4,"#);
    std::fs::write(&file, text).expect("a file");

    let config = SandboxConfig { ledger_file: Some(file), ..SandboxConfig::new(TestClock::shared()) };
    let sandbox = Sandbox::start(config).await.expect("a start");
    assert_eq!(sandbox.ledger(None), before);
    let gateway = client(&sandbox.url());
    let error = gateway.account(call(), &world.session).await.expect_err("lost");
    assert_eq!(error.kind, PlatformErrorKind::SessionLost);
    let session: SessionId = gateway.import_session(call(), &blob).await.expect("an import");
    assert_eq!(gateway.media(call(), &session, &media.pk()).await.expect("a read").has_liked, Some(true));
    let friendship = gateway.friendship(call(), &session, &private).await.expect("a read");
    assert_eq!(friendship.outgoing_request, Some(true));
    let thread = sent.thread_id.expect("a thread");
    let messages = gateway.direct_messages(call(), &session, thread, 20).await.expect("messages");
    assert_eq!((messages[0].text.as_deref(), &messages[0].id), (Some("hello"), &sent.id));
    gateway.like(call(), &session, &media).await.expect("a like");
    let last = sandbox.ledger(None).pop().expect("an entry");
    assert_eq!((last.sequence, last.duplicate), (4, true));
}

#[tokio::test]
async fn a_ledger_that_is_not_understood_stops_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ledger.jsonl");
    let config =
        |seed| SandboxConfig { seed, ledger_file: Some(file.clone()), ..SandboxConfig::new(TestClock::shared()) };
    Sandbox::start(config(1)).await.expect("a start").stop().await;
    let error = Sandbox::start(config(2)).await.expect_err("another seed");
    assert_eq!(error.code(), "SANDBOX_OTHER_SEED");
    std::fs::write(&file, "not a ledger\n").expect("a file");
    let error = Sandbox::start(config(1)).await.expect_err("no ledger");
    assert_eq!(error.code(), "SANDBOX_LEDGER_CORRUPT");
    let folder = SandboxConfig { ledger_file: Some(dir.path().into()), ..SandboxConfig::new(TestClock::shared()) };
    assert_eq!(Sandbox::start(folder).await.expect_err("a folder").code(), "SANDBOX_LEDGER_UNUSABLE");
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ledger.jsonl");
    let world = World::kept_in(Some(file.clone())).await;
    let media = world.media().await;
    world.gateway.like(call(), &world.session, &media).await.expect("a like");
    control(&world.sandbox, "POST", "/sandbox/reset", Some(serde_json::json!({ "seed": 5 }))).await;
    assert!(world.sandbox.ledger(None).is_empty());
    let error = world.gateway.account(call(), &world.session).await.expect_err("lost");
    assert_eq!(error.kind, PlatformErrorKind::SessionLost);
    assert_eq!(std::fs::read_to_string(file).expect("a file").lines().count(), 1);
}

#[tokio::test]
async fn the_ledger_is_read_by_account_over_http() {
    let world = World::new().await;
    let media = world.media().await;
    world.gateway.like(call(), &world.session, &media).await.expect("a like");
    let mine = control(&world.sandbox, "GET", "/sandbox/ledger?account=demo.account", None).await;
    assert_eq!(mine["totals"]["by_kind"]["LIKE"], 1);
    assert_eq!(mine["entries"][0]["target"], media.pk().to_string());
    let others = control(&world.sandbox, "GET", "/sandbox/ledger?account=two.factor", None).await;
    assert_eq!(others["totals"]["entries"], 0);
    let requests = control(&world.sandbox, "GET", "/sandbox/requests?account=demo.account", None).await;
    assert_eq!(requests["routes"]["POST /media/like"], 1);
}
