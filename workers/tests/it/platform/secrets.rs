//! No secret gets out: not by `Debug`, not by `Display`, not through an error that was made while
//! one was near.

use proptest::prelude::*;
use tokio::runtime::Runtime;
use workers::platform::{ExcType, GatewayConfig, LoginCredentials, Platform, PlatformError, SessionBlob, SessionId};

use super::support::{RawServer, call, client};

/// Long enough not to appear by chance.
fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9%]{12,40}"
}

fn shown(error: &PlatformError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error} {error:?} {} {} {source}", error.code(), error.kind.code())
}

proptest! {
    #[test]
    fn secrets_hide_themselves(secret in secret()) {
        let credentials = LoginCredentials::new(secret.as_str(), secret.as_str()).with_code(secret.as_str());
        let session = SessionId::new(secret.as_str());
        let blob = SessionBlob::new(secret.as_str());
        let text = format!("{credentials:?} {session:?} {blob:?} {credentials:#?} {session:#?} {blob:#?}");
        prop_assert!(!text.contains(&secret));
    }

    #[test]
    fn a_name_of_an_exception_carries_no_secret(secret in secret()) {
        prop_assume!(secret.bytes().any(|byte| !byte.is_ascii_alphabetic()));
        prop_assert!(ExcType::try_new(&secret).is_none());
        let named = format!("{secret}Error");
        prop_assert!(ExcType::try_new(&named).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the gateway answers, with the secrets echoed in every field of it.
    #[test]
    fn no_error_repeats_what_was_near_it(
        secret in secret().prop_filter("digits", |text| text.bytes().any(|byte| byte.is_ascii_digit())),
        status in prop::sample::select(vec![200_u16, 302, 401, 403, 404, 422, 429, 500, 503]),
        exc_type in prop::sample::select(vec!["BadPassword", "Exception", "ValidationError", "NewError", "ECHO"]),
    ) {
        let name = if exc_type == "ECHO" { secret.as_str() } else { exc_type };
        let body = serde_json::json!({
            "detail": format!("proxy http://user:{secret}@10.0.0.1 failed"), "exc_type": name, "hint": secret,
        });
        let errors = Runtime::new().expect("a runtime").block_on(async {
            let server = RawServer::answering(status, body.to_string()).await;
            let gateway = client(&server.url);
            let session = SessionId::new(secret.as_str());
            let credentials = LoginCredentials::new(secret.as_str(), secret.as_str()).with_code(secret.as_str());
            let blob = SessionBlob::new(serde_json::json!({ "cookies": secret }).to_string());
            [
                gateway.login(call(), &credentials).await.err(),
                gateway.import_session(call(), &blob).await.err(),
                gateway.account(call(), &session).await.err(),
                gateway.send_direct_message(call(), &session, &5.into(), &secret).await.err(),
                gateway.user_by_name(call(), &session, &secret).await.err(),
                // Not a legal header: it is refused before it is sent.
                gateway.account(call(), &SessionId::new(format!("{secret}\n"))).await.err(),
            ]
        });
        for error in errors {
            let error = error.expect("no such answer is a success");
            prop_assert!(!shown(&error).contains(&secret), "{}", shown(&error));
            prop_assert!(!shown(&error).contains("10.0.0.1"));
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_leaks_nothing_either() {
    let gateway = client("http://127.0.0.1:9");
    let credentials = LoginCredentials::new("name-of-somebody", "hunter2hunter2");
    let error = gateway.login(call(), &credentials).await.expect_err("nobody listens");
    let text = format!("{} {gateway:?} {:?}", shown(&error), GatewayConfig::new("http://127.0.0.1:9"));
    assert!(!text.contains("hunter2") && !text.contains("somebody"));
}
