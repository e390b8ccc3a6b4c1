//! Logins and sessions.

use serde_json::{Value, json};

use super::Answer;
use crate::platform::sandbox::{
    PASSWORD, VERIFICATION_CODE,
    logins::{decoded, encoded},
    params::Params,
    reply::{Refusal, Reply},
    shapes,
    state::{Asking, State},
    world::LoginKind,
};

pub(super) fn login(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let username = params.required("username")?;
    let password = params.required("password")?;
    let code = params.text("verification_code").unwrap_or_default();
    // The gateway's answer to an unknown name misleads just so.
    let person = state
        .world
        .person_named(username.trim())
        .ok_or_else(|| Refusal::with_detail("ProxyAddressIsBlocked", "The IP address has been blocked."))?;
    let (account, kind) = (person.pk, person.login);
    if kind == LoginKind::WrongPassword || password != PASSWORD {
        return Err(Refusal::named("BadPassword"));
    }
    if state.logins.challenged.contains(&account) {
        return Err(Refusal::named("ChallengeRequired"));
    }
    if kind == LoginKind::TwoFactor {
        match code {
            "" => return Err(Refusal::named("TwoFactorRequired")),
            VERIFICATION_CODE => {}
            _ => return Err(Refusal::with_detail("UnknownError", "Please check the security code and try again.")),
        }
    }
    let offset_s = params.integer::<i64>("timezone").ok().flatten().unwrap_or_default();
    let locale = params.text("locale").unwrap_or_default();
    Ok(Reply::ok(&state.log_in(account, asking.now, locale, offset_s)))
}

/// A new device identity over the old session: the saved settings are lost.
pub(super) fn login_by_session(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let text = params.required("sessionid")?;
    let key = decoded(text);
    if key.len() <= 30 || !key.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(Refusal::named("AssertionError"));
    }
    if !state.logins.is_valid(&key) {
        return Err(Refusal::named("LoginRequired"));
    }
    let account = key.split(':').next().and_then(|pk| pk.parse().ok()).unwrap_or_default();
    let made = state.log_in(account, asking.now, "", 0);
    let mut settings = state.logins.stored(&decoded(&made)).map(|stored| stored.settings.clone()).unwrap_or_default();
    settings["authorization_data"]["sessionid"] = json!(encoded(&key));
    state.logins.store(&key, settings);
    Ok(Reply::ok(&encoded(&key)))
}

/// Settings hold no password, so this cannot work.
pub(super) fn relogin(_: &mut State, _: &Asking, _: &Params) -> Answer {
    Err(Refusal::with_detail("BadCredentials", "Both username and password must be provided."))
}

pub(super) fn export(state: &mut State, asking: &Asking, _: &Params) -> Answer {
    let stored = state.logins.stored(asking.session()?).ok_or_else(Refusal::session_not_found)?;
    Ok(Reply::ok(&stored.settings))
}

pub(super) fn import(state: &mut State, asking: &Asking, params: &Params) -> Answer {
    let changes = ["proxy", "locale", "timezone"].iter().any(|name| params.text(name).is_some());
    match (params.text("settings"), &asking.session) {
        (Some(settings), _) => import_settings(state, settings),
        (None, None) => Err(Refusal::invalid("settings is required when importing a new session")),
        (None, Some(_)) if !changes => Err(Refusal::invalid("settings, proxy, locale, or timezone is required")),
        (None, Some(key)) => Ok(Reply::ok(&encoded(key))),
    }
}

fn import_settings(state: &mut State, settings: &str) -> Answer {
    let settings: Value = serde_json::from_str(settings).map_err(|_| Refusal::named("JSONDecodeError"))?;
    let key = settings["authorization_data"]["sessionid"]
        .as_str()
        .map(decoded)
        .ok_or_else(|| Refusal::named("PreLoginRequired"))?;
    if !state.logins.is_valid(&key) {
        return Err(Refusal::named("LoginRequired"));
    }
    state.logins.store(&key, settings);
    Ok(Reply::ok(&encoded(&key)))
}

pub(super) fn resolve_challenge(_: &mut State, _: &Asking, params: &Params) -> Answer {
    params.required("last_json")?;
    match params.text("security_code") {
        None | Some("") => Err(Refusal::named("ChallengeRequired")),
        Some(_) => Ok(Reply::ok(&true)),
    }
}

pub(super) fn totp_code(_: &mut State, _: &Asking, params: &Params) -> Answer {
    params.required("seed")?;
    Ok(Reply::ok(&VERIFICATION_CODE))
}

pub(super) fn account(state: &mut State, asking: &Asking, _: &Params) -> Answer {
    let person = state.world.person(asking.account()?).ok_or_else(|| Refusal::named("UserNotFound"))?;
    Ok(Reply::ok(&shapes::account(person)))
}
