//! What happened, from three sides that know nothing of each other: events, counters and the platform's ledger.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::client::Client;
use super::flow::{Played, Player};
use crate::failure::Failure;
use crate::output;

/// The endings of an action, as events and as counters name them.
const ENDINGS: [(&str, &str); 6] = [
    ("ActionReserved", "reserved"),
    ("ActionPerformed", "performed"),
    ("ActionSimulated", "simulated"),
    ("ActionRefused", "refused"),
    ("ActionFailed", "failed"),
    ("ActionInDoubt", "inDoubt"),
];

/// The report; with `--json` it is the one object that is printed last.
#[derive(Debug, Serialize)]
pub struct Report {
    pub agree: bool,
    hashtag: String,
    seconds: f64,
    engine_seconds: i64,
    bots: Vec<Books>,
}

/// What three sides say of one bot.
#[derive(Debug, Serialize)]
pub struct Books {
    user: String,
    account: String,
    events: BTreeMap<String, u64>,
    counters: BTreeMap<String, u64>,
    ledger: Value,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    holds: bool,
    detail: String,
}

/// How often each event of the bot happened, from the first to the last.
pub async fn events(client: &Client) -> Result<BTreeMap<String, u64>, Failure> {
    const PAGE: &str = "query($after: String) { viewer { bot { events(first: 100, after: $after) {
        nodes { name } pageInfo { hasNextPage endCursor }
    } } } }";
    let mut counts = BTreeMap::new();
    let mut after = Value::Null;
    loop {
        let data = client.ask(PAGE, json!({ "after": after })).await?;
        let page = &data["viewer"]["bot"]["events"];
        for event in page["nodes"].as_array().into_iter().flatten() {
            *counts.entry(event["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(counts);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// The counters' sums over all days, kinds and modes, and of live likes alone.
pub async fn counters(client: &Client) -> Result<BTreeMap<String, u64>, Failure> {
    const TOTALS: &str = "{ viewer { bot { totals { kind mode counts {
        reserved performed simulated refused failed inDoubt open suppressed
    } } } } }";
    let data = client.ask(TOTALS, json!({})).await?;
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for total in data["viewer"]["bot"]["totals"].as_array().into_iter().flatten() {
        for (name, count) in total["counts"].as_object().into_iter().flatten() {
            *sums.entry(name.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    Ok(sums)
}

impl Books {
    /// Holds the three sides against each other.
    pub fn of(player: &Player, events: BTreeMap<String, u64>, counters: BTreeMap<String, u64>, ledger: &Value) -> Self {
        Self {
            user: player.username.clone(),
            account: player.account.clone(),
            checks: checks(player, &events, &counters, &ledger["totals"]),
            events,
            counters,
            ledger: ledger["totals"].clone(),
        }
    }
}

impl Report {
    pub fn of(seconds: f64, played: Played, bots: Vec<Books>) -> Self {
        let agree = bots.iter().flat_map(|bot| &bot.checks).all(|check| check.holds);
        Self { agree, hashtag: played.hashtag, seconds, engine_seconds: played.engine_seconds, bots }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let rows = self.bots.iter().map(|bot| {
            let told = |event: &str| of(&bot.events, event).to_string();
            [
                bot.account.clone(),
                told("RunStarted"),
                told("ActionReserved"),
                told("ActionSimulated"),
                told("ActionPerformed"),
                told("ActionRefused"),
                told("ActionFailed"),
                told("ActionInDoubt"),
                bot.ledger["effective"].to_string(),
                bot.ledger["duplicates"].to_string(),
            ]
        });
        let head = [
            "ACCOUNT",
            "RUNS",
            "RESERVED",
            "SIMULATED",
            "PERFORMED",
            "REFUSED",
            "FAILED",
            "IN DOUBT",
            "LEDGER",
            "TWICE",
        ];
        let bots = output::table(head, rows);
        let checks = self.bots.iter().flat_map(|bot| bot.checks.iter().map(|check| (&bot.account, check)));
        let checks = output::table(
            ["ACCOUNT", "CHECK", "HOLDS", "DETAIL"],
            checks.map(|(account, check)| {
                let holds = if check.holds { "yes" } else { "NO" };
                [account.clone(), check.what.to_owned(), holds.to_owned(), check.detail.clone()]
            }),
        );
        let verdict = if self.agree { "events, counters and ledger agree" } else { "they do NOT agree" };
        format!(
            "\n{bots}\n\n{checks}\n\n{verdict}: {} bots on #{}, {:.1} h of engine time in {:.0} s",
            self.bots.len(),
            self.hashtag,
            hours(self.engine_seconds),
            self.seconds,
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few days")]
fn hours(seconds: i64) -> f64 {
    seconds as f64 / 3_600.0
}

fn of(counts: &BTreeMap<String, u64>, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or_default()
}

fn checks(
    player: &Player,
    events: &BTreeMap<String, u64>,
    counters: &BTreeMap<String, u64>,
    ledger: &Value,
) -> Vec<Check> {
    let differing: Vec<&str> =
        ENDINGS.iter().filter(|(event, counter)| of(events, event) != of(counters, counter)).map(|(_, c)| *c).collect();
    let sum: u64 = ["performed", "simulated", "refused", "failed", "inDoubt", "open"]
        .iter()
        .map(|counter| of(counters, counter))
        .sum();
    let (performed, effective) = (of(events, "ActionPerformed"), ledger["effective"].as_u64());
    let duplicates = ledger["duplicates"].as_u64();
    vec![
        Check {
            what: "every event is counted once",
            holds: differing.is_empty(),
            detail: if differing.is_empty() { "no difference".to_owned() } else { differing.join(", ") },
        },
        Check {
            what: "everything reserved is accounted for",
            holds: of(counters, "reserved") == sum && of(counters, "open") == 0,
            detail: format!("{} reserved, {sum} ended or open", of(counters, "reserved")),
        },
        Check {
            what: "the ledger has what was performed",
            holds: effective == Some(performed) && performed > 0,
            detail: format!("{performed} performed, {} in the ledger", effective.unwrap_or_default()),
        },
        Check {
            what: "the platform saw nothing twice",
            holds: duplicates == Some(0),
            detail: format!("{} duplicates", duplicates.unwrap_or_default()),
        },
        Check {
            what: "the dry run wrote nothing",
            holds: player.writes_after_dry_run == 0 && of(events, "ActionSimulated") > 0,
            detail: format!("{} simulated, {} writes", of(events, "ActionSimulated"), player.writes_after_dry_run),
        },
    ]
}
