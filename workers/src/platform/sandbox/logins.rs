//! Sessions, on both sides: those that the gateway keeps in memory and loses when it restarts, and
//! those that the platform holds valid until it ends them. A session's text proves itself, so
//! that an export made before a restart can be imported after it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::ledger::hash;

/// What the gateway keeps of a session.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) account: u64,
    pub(super) settings: Value,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Logins {
    seed: u64,
    /// How often each account has logged in.
    numbers: HashMap<u64, u64>,
    /// Hashes of the sessions that the platform has ended.
    ended: HashSet<String>,
    /// What the gateway has in memory, by the decoded session id.
    stored: HashMap<String, Stored>,
    /// Accounts whose logins meet a challenge until it is settled.
    pub(super) challenged: BTreeSet<u64>,
}

impl Logins {
    pub(super) fn new(seed: u64, challenged: BTreeSet<u64>) -> Self {
        Self { seed, numbers: HashMap::new(), ended: HashSet::new(), stored: HashMap::new(), challenged }
    }

    /// Logs an account in on a new device; gives the session's decoded id and the login's number.
    pub(super) fn log_in(&mut self, account: u64, now: DateTime<Utc>, locale: &str, offset_s: i64) -> (String, u64) {
        let number = self.numbers.get(&account).copied().unwrap_or_default() + 1;
        self.restore_number(account, number);
        let key = self.key(account, number);
        let settings = self.settings(&key, account, number, now, locale, offset_s);
        self.stored.insert(key.clone(), Stored { account, settings });
        (key, number)
    }

    pub(super) fn restore_number(&mut self, account: u64, number: u64) {
        self.numbers.insert(account, number);
    }

    /// Puts a session into the gateway's memory; `None` when its text is no session of ours.
    pub(super) fn store(&mut self, key: &str, settings: Value) -> Option<u64> {
        let account = self.account_of(key)?;
        self.stored.insert(key.to_owned(), Stored { account, settings });
        Some(account)
    }

    pub(super) fn stored(&self, key: &str) -> Option<&Stored> {
        self.stored.get(key)
    }

    /// The gateway forgets the sessions of an account, or all of them.
    pub(super) fn lose(&mut self, account: Option<u64>) {
        self.stored.retain(|_, stored| account.is_some_and(|account| stored.account != account));
    }

    /// The platform ends a session; gives the hash to remember.
    pub(super) fn end(&mut self, key: &str) -> String {
        let hash = hash(key);
        self.restore_ended(hash.clone());
        hash
    }

    pub(super) fn restore_ended(&mut self, hash: String) {
        self.ended.insert(hash);
    }

    /// The sessions of an account that the gateway has in memory.
    pub(super) fn keys_of(&self, account: u64) -> Vec<String> {
        self.stored.iter().filter(|(_, stored)| stored.account == account).map(|(key, _)| key.clone()).collect()
    }

    /// Whether the platform still takes the session.
    pub(super) fn is_valid(&self, key: &str) -> bool {
        self.account_of(key).is_some() && !self.ended.contains(&hash(key))
    }

    fn account_of(&self, key: &str) -> Option<u64> {
        let (account, rest) = key.split_once(':')?;
        let (_, number) = rest.split_once(':')?;
        let (account, number) = (account.parse().ok()?, number.parse().ok()?);
        (self.key(account, number) == key).then_some(account)
    }

    fn key(&self, account: u64, number: u64) -> String {
        let token = hash(&format!("session {} {account} {number}", self.seed));
        format!("{account}:{}:{number}", token.get(..28).unwrap_or_default())
    }

    /// The export of a session: its login, and the identity of the device that the login invented.
    fn settings(&self, key: &str, account: u64, number: u64, now: DateTime<Utc>, locale: &str, offset_s: i64) -> Value {
        let id = |what: &str| {
            let hash = hash(&format!("{what} {} {account} {number}", self.seed));
            let part = |from, to| hash.get(from..to).unwrap_or_default().to_owned();
            format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
        };
        json!({
            "uuids": {
                "phone_id": id("phone"), "uuid": id("uuid"), "client_session_id": id("client"),
                "advertising_id": id("advertising"), "android_device_id": format!("android-{}", &id("android")[..8]),
                "request_id": id("request"), "tray_session_id": id("tray"),
            },
            "mid": null, "ig_u_rur": null, "ig_www_claim": null,
            "authorization_data": {
                "ds_user_id": account.to_string(), "sessionid": encoded(key), "should_use_header_over_cookies": true,
            },
            "cookies": {},
            "last_login": f64::from(u32::try_from(now.timestamp()).unwrap_or_default()),
            "device_settings": {
                "manufacturer": "OnePlus", "model": "ONEPLUS A3010", "android_version": 26, "android_release": "8.0.0",
                "app_version": "364.0.0.35.86", "dpi": "480dpi", "resolution": "1080x1920", "cpu": "qcom",
            },
            "user_agent": "Instagram 364.0.0.35.86 Android (26/8.0.0; 480dpi; 1080x1920; OnePlus; ONEPLUS A3010)",
            "country": "US", "country_code": 1,
            "locale": if locale.is_empty() { "en_US" } else { locale },
            "timezone_offset": offset_s, "timezone_name": null,
            "push_disabled": false, "request_timeout": 1, "public_request_timeout": 10,
            "session_retry_total": 3, "public_transport": null, "tls_verify": true,
        })
    }
}

/// The form in which the gateway gives a session id out.
pub(super) fn encoded(key: &str) -> String {
    key.replace(':', "%3A")
}

/// Both forms of a session id are the same session.
pub(super) fn decoded(text: &str) -> String {
    text.trim().replace("%3A", ":").replace("%3a", ":")
}
