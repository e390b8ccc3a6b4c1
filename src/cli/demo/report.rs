//! What happened, from three sides that know nothing of each other: events, counters and the platform's ledger.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::client::Client;
use super::flow::Played;
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
    user: String,
    account: String,
    hashtag: String,
    seconds: f64,
    engine_seconds: i64,
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

impl Report {
    /// Holds the three sides against each other.
    pub fn of(
        user: String,
        seconds: f64,
        played: Played,
        events: BTreeMap<String, u64>,
        counters: BTreeMap<String, u64>,
        ledger: Value,
    ) -> Self {
        let checks = checks(&played, &events, &counters, &ledger["totals"]);
        Self {
            agree: checks.iter().all(|check| check.holds),
            user,
            account: played.account,
            hashtag: played.hashtag,
            seconds,
            engine_seconds: played.engine_seconds,
            events,
            counters,
            ledger: ledger["totals"].clone(),
            checks,
        }
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let rows = ENDINGS.iter().map(|(event, counter)| {
            let ledger = match *counter {
                "performed" => self.ledger["effective"].to_string(),
                "refused" => self.ledger["refused"].to_string(),
                "simulated" => "0".to_owned(),
                _ => "-".to_owned(),
            };
            [
                (*counter).to_owned(),
                of(&self.events, event).to_string(),
                of(&self.counters, counter).to_string(),
                ledger,
            ]
        });
        let actions = output::table(["ACTIONS", "EVENTS", "COUNTERS", "LEDGER"], rows);
        let others = self.events.iter().filter(|(name, _)| !ENDINGS.iter().any(|(ending, _)| ending == name));
        let others =
            output::table(["OTHER EVENTS", "COUNT"], others.map(|(name, count)| [name.clone(), count.to_string()]));
        let checks = output::table(
            ["CHECK", "HOLDS", "DETAIL"],
            self.checks.iter().map(|check| {
                [check.what.to_owned(), if check.holds { "yes" } else { "NO" }.to_owned(), check.detail.clone()]
            }),
        );
        let verdict = if self.agree { "events, counters and ledger agree" } else { "they do NOT agree" };
        format!(
            "\n{actions}\n\n{others}\n\n{checks}\n\n{verdict}: @{} on #{}, {:.1} h of engine time in {:.0} s",
            self.account,
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
    played: &Played,
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
            holds: played.writes_after_dry_run == 0 && of(events, "ActionSimulated") > 0,
            detail: format!("{} simulated, {} writes", of(events, "ActionSimulated"), played.writes_after_dry_run),
        },
    ]
}
