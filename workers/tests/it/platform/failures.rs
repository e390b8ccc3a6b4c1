//! Every row of the contract's failure tables, over HTTP. The tables are written out here once
//! more, by hand, so that a change of the client's own table shows.

use domain::bot::FailureClass::{self, *};
use workers::platform::{
    Platform, PlatformErrorKind, Sent,
    sandbox::{Fault, FaultKind},
};

use super::support::{RawServer, World, call, client};

/// The last table of the contract: what the client does, by name.
const NAMED: &[(&str, FailureClass)] = &[
    ("ChallengeRequired", PersonNeeded),
    ("ChallengeError", PersonNeeded),
    ("ChallengeRedirection", PersonNeeded),
    ("ChallengeSelfieCaptcha", PersonNeeded),
    ("ChallengeUnknownStep", PersonNeeded),
    ("RecaptchaChallengeForm", PersonNeeded),
    ("SelectContactPointRecoveryForm", PersonNeeded),
    ("SubmitPhoneNumberForm", PersonNeeded),
    ("LegacyForceSetNewPasswordForm", PersonNeeded),
    ("CheckpointRequired", PersonNeeded),
    ("CaptchaChallengeRequired", PersonNeeded),
    ("ConsentRequired", PersonNeeded),
    ("GeoBlockRequired", PersonNeeded),
    ("AccountSuspended", PersonNeeded),
    ("TermsAccept", PersonNeeded),
    ("TermsUnblock", PersonNeeded),
    ("AboutUsError", PersonNeeded),
    ("SentryBlock", PersonNeeded),
    ("ProxyAddressIsBlocked", PersonNeeded),
    ("LoginRequired", LoginEnded),
    ("ClientLoginRequired", LoginEnded),
    ("ClientUnauthorizedError", LoginEnded),
    ("PreLoginRequired", LoginEnded),
    ("BadPassword", LoginEnded),
    ("BadCredentials", LoginEnded),
    ("InvalidNonce", LoginEnded),
    ("ReloginAttemptExceeded", LoginEnded),
    ("TwoFactorRequired", LoginEnded),
    ("FeedbackRequired", ActionBlocked),
    ("PleaseWaitFewMinutes", SlowDown),
    ("RateLimitError", SlowDown),
    ("ClientThrottledError", SlowDown),
    ("UserNotFound", SkipTarget),
    ("MediaNotFound", SkipTarget),
    ("MediaUnavailable", SkipTarget),
    ("InvalidMediaId", SkipTarget),
    ("InvalidTargetUser", SkipTarget),
    ("PrivateAccount", SkipTarget),
    ("CommentsDisabled", SkipTarget),
    ("CommentUnavailable", SkipTarget),
    ("StoryNotFound", SkipTarget),
    ("HashtagNotFound", SkipTarget),
    ("LocationNotFound", SkipTarget),
    ("HashtagPageWarning", SkipTarget),
    ("IsRegulatedC18Error", SkipTarget),
    ("DirectThreadNotFound", SkipTarget),
    ("ClientNotFoundError", SkipTarget),
    ("ConnectProxyError", Transport),
    ("ClientConnectionError", Transport),
    ("ClientRequestTimeout", Transport),
    ("ClientUnknownError", Transport),
    ("ClientIncompleteReadError", Transport),
    ("ClientJSONDecodeError", Transport),
    ("ValidationError", ContractBroken),
    ("ResponseValidationError", ContractBroken),
    ("KeyError", ContractBroken),
    ("AssertionError", ContractBroken),
    ("TypeError", ContractBroken),
    ("WrongCursorError", ContractBroken),
    ("UnknownError", Unknown),
    ("ClientForbiddenError", Unknown),
    ("ClientBadRequestError", Unknown),
    ("ClientStatusFail", Unknown),
    ("ClientErrorWithTitle", Unknown),
    ("ClientGraphqlError", Unknown),
    ("ProxyError", Unknown),
    ("SomethingQuiteNew", Unknown),
    ("Exception", Unknown),
];

/// Failures after which a write may have taken effect: no answer, or an answer that tells nothing.
const UNSETTLED: &[FailureClass] = &[Transport, ContractBroken];

/// No answer can be told from a refusal here either.
const UNSETTLED_NAMES: &[&str] =
    &["ClientStatusFail", "ClientErrorWithTitle", "ClientGraphqlError", "ProxyError", "SomethingQuiteNew", "Exception"];

fn fail(exc_type: &str) -> FaultKind {
    FaultKind::Fail { exc_type: exc_type.to_owned(), detail: None }
}

#[tokio::test]
async fn a_write_is_classed_by_the_name_and_is_sent_once() {
    let world = World::new().await;
    let media = world.media().await;
    for (index, (exc_type, class)) in NAMED.iter().enumerate() {
        world.sandbox.inject(Fault::new(fail(exc_type)).on("POST /media/like"));
        let error = world.gateway.like(call(), &world.session, &media).await.expect_err(exc_type);
        assert_eq!(error.class, *class, "{exc_type}");
        let unsettled = UNSETTLED.contains(class) || UNSETTLED_NAMES.contains(exc_type);
        assert_eq!(error.sent, if unsettled { Sent::MaybeSent } else { Sent::NotSent }, "{exc_type}");
        assert_eq!(world.sandbox.requests("POST /media/like"), index as u64 + 1, "{exc_type}");
    }
    assert_eq!(world.sandbox.totals(None).effective, 0);
}

#[tokio::test]
async fn a_read_is_tried_again_after_transport_failures_only() {
    let world = World::new().await;
    for (exc_type, class) in NAMED {
        let before = world.sandbox.requests("GET /account");
        world.sandbox.inject(Fault::new(fail(exc_type)).on("GET /account"));
        let answer = world.gateway.account(call(), &world.session).await;
        let tries = world.sandbox.requests("GET /account") - before;
        if *class == Transport {
            answer.unwrap_or_else(|error| panic!("{exc_type}: {error}"));
            assert_eq!(tries, 2, "{exc_type}");
        } else {
            assert_eq!(answer.expect_err(exc_type).class, *class, "{exc_type}");
            assert_eq!(tries, 1, "{exc_type}");
        }
    }
}

#[tokio::test]
async fn the_name_decides_and_the_status_does_not() {
    for status in [400, 401, 403, 404, 422, 429, 500, 503] {
        let server = RawServer::answering(status, r#"{"detail":"x","exc_type":"PleaseWaitFewMinutes"}"#).await;
        let session = workers::platform::SessionId::new("1:a:1");
        let error = client(&server.url).account(call(), &session).await.expect_err("a failure");
        assert_eq!(error.class, SlowDown, "{status}");
        assert_eq!(error.status, Some(status));
    }
}

#[tokio::test]
async fn the_friendship_call_hides_every_failure_and_reads_as_slow_down() {
    let world = World::new().await;
    let person = world.person(false).await;
    for exc_type in ["RateLimitError", "LoginRequired", "ChallengeRequired", "UserNotFound", "ClientUnknownError"] {
        world.sandbox.inject(Fault::new(fail(exc_type)).on("GET /user/friendship"));
        let error = world.gateway.friendship(call(), &world.session, &person).await.expect_err(exc_type);
        assert_eq!((error.class, error.kind), (SlowDown, PlatformErrorKind::FriendshipHidden), "{exc_type}");
    }
    assert_eq!(world.sandbox.requests("GET /user/friendship"), 5);
}

/// Failures that carry no name: status, body, what it is, whether a write may have taken effect.
const NAMELESS: &[(u16, &str, FailureClass, Sent)] = &[
    (401, r#"{"detail":"Session ID required"}"#, ContractBroken, Sent::NotSent),
    (404, r#"{"detail":"Not Found"}"#, ContractBroken, Sent::NotSent),
    (405, r#"{"detail":"Method Not Allowed"}"#, ContractBroken, Sent::NotSent),
    (422, r#"{"detail":"Provide user_id or username"}"#, ContractBroken, Sent::NotSent),
    (
        422,
        r#"{"detail":[{"type":"missing","loc":["body","text"],"msg":"Field required","input":null}]}"#,
        ContractBroken,
        Sent::NotSent,
    ),
    (500, "Internal Server Error", Transport, Sent::MaybeSent),
    (502, "<html>bad gateway</html>", Transport, Sent::MaybeSent),
    (503, "", Transport, Sent::MaybeSent),
    (500, r#"{"detail":"no name"}"#, Transport, Sent::MaybeSent),
    (500, r#"{"detail":null,"exc_type":null}"#, Transport, Sent::MaybeSent),
    (429, "slow down", Unknown, Sent::MaybeSent),
    (403, "{}", Unknown, Sent::MaybeSent),
    (302, "", ContractBroken, Sent::MaybeSent),
    (204, "", ContractBroken, Sent::MaybeSent),
    (200, "not json", ContractBroken, Sent::MaybeSent),
    (200, "", ContractBroken, Sent::MaybeSent),
    (200, r#""yes""#, ContractBroken, Sent::MaybeSent),
    (200, "null", ContractBroken, Sent::MaybeSent),
];

#[tokio::test]
async fn failures_without_a_name_are_classed_too() {
    for (status, body, class, sent) in NAMELESS {
        let server = RawServer::answering(*status, *body).await;
        let session = workers::platform::SessionId::new("1:a:1");
        let media = "11_22".parse().expect("an id");
        let error = client(&server.url).like(call(), &session, &media).await.expect_err(body);
        assert_eq!((error.class, error.sent), (*class, *sent), "{status} {body}");
        assert_eq!(server.seen().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_read_without_a_usable_answer_is_tried_three_times() {
    for (status, body, class, _) in NAMELESS {
        let server = RawServer::answering(*status, *body).await;
        let session = workers::platform::SessionId::new("1:a:1");
        let error = client(&server.url).account(call(), &session).await.expect_err(body);
        assert_eq!(error.class, *class, "{status} {body}");
        assert_eq!(error.sent, Sent::NotSent, "a read has no effect: {status} {body}");
        assert_eq!(server.seen().len(), if *class == Transport { 3 } else { 1 }, "{status} {body}");
    }
}

#[test]
fn every_name_has_a_code_of_its_own() {
    let kinds = || PlatformErrorKind::NAMED.iter().map(|(_, kind)| kind).chain(PlatformErrorKind::OWN);
    let codes: std::collections::BTreeSet<&str> = kinds().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), kinds().count());
    for kind in kinds() {
        assert!(kind.code().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{}", kind.code());
        assert!(!kind.words().is_empty());
    }
}
