//! `reprise replay` and `reprise events`, with the real binary and a real database.

use std::fs;
use std::path::Path;

use serde_json::Value;
use store::testing::TestDatabase;
use tempfile::TempDir;

use super::{histories, life};
use crate::support::binary::{Done, reprise, run};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn says(database: &TestDatabase, folder: &Path, arguments: &[&str]) -> Done {
    let mut command = reprise(folder, arguments);
    command.env("DATABASE_URL", database.url());
    tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it ends")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

/// A history of a campaign's run whose first step is `name`.
fn history(name: &str) -> String {
    let at = "2026-03-02T10:00:00Z";
    let (job, bot) = (life::job_id(), life::bot_id());
    let event = |sequence: u32, name: &str, payload: &str| {
        format!(
            r#"{{"sequence":{sequence},"event_type":"{name}","event_version":"1","payload":{{"type":"{name}",{payload}"at":"{at}"}}}}"#
        )
    };
    let created = format!(
        r#""job_id":"{job}","bot_id":"{bot}","workflow":"campaign_run","input":{{"campaign_id":"{bot}"}},"origin":{{"kind":"PERSON"}},"#
    );
    let step = format!(r#""index":0,"name":"{name}","attempt":1,"result":null,"#);
    [event(1, "JobCreated", &created), event(2, "JobStarted", ""), event(3, "StepCompleted", &step)].join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_the_database_is_replayed_without_being_touched() {
    let database = TestDatabase::create().await;
    life::live(&database).await;
    let folder = folder();
    let id = life::job_id().to_string();
    let done = says(&database, folder.path(), &["replay", "job", &id]).await;
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("goes on with step plan at index 0"), "{}", done.stdout);
    let told = says(&database, folder.path(), &["replay", "job", &format!("Job-{id}"), "--json"]).await.json();
    assert_eq!((told["verdict"].as_str(), told["events"].as_i64()), (Some("fits"), Some(1)));
    let none = says(&database, folder.path(), &["replay", "job", &life::bot_id().to_string(), "--json"]).await;
    assert_eq!((none.status, none.json()["error"]["code"].as_str()), (65, Some("EVENTS_NO_SUCH_STREAM")));
}

#[test]
fn history_that_parts_is_shown_with_its_place_and_told_by_the_status() {
    let folder = folder();
    fs::write(folder.path().join("history.jsonl"), history("nonsense")).expect("it is written");
    let done = run(&mut reprise(folder.path(), &["replay", "job", "--file", "history.jsonl"]));
    assert_eq!(done.status, 1, "{}{}", done.stdout, done.stderr);
    for part in ["PARTS at index 0 (sequence 3)", "recorded:  step nonsense", "attempted: step plan"] {
        assert!(done.stdout.contains(part), "{part} is not in\n{}", done.stdout);
    }
    let told = run(&mut reprise(folder.path(), &["replay", "job", "--file", "history.jsonl", "--json"])).json();
    assert_eq!((told["verdict"].as_str(), told["index"].as_i64()), (Some("diverges"), Some(0)));
}

#[test]
fn what_is_no_history_is_named_with_its_line() {
    let folder = folder();
    let text = format!("{}\n{{\"sequence\": 4}}\n", history("plan"));
    fs::write(folder.path().join("broken.jsonl"), text).expect("it is written");
    let done = run(&mut reprise(folder.path(), &["replay", "job", "--file", "broken.jsonl", "--json"]));
    assert_eq!(done.status, 65);
    let error = &done.json()["error"];
    assert_eq!(error["code"], "REPLAY_UNREADABLE");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("line 4")), "{error}");
}

#[test]
fn corpus_says_which_histories_are_surprises() {
    let folder = folder();
    let below = folder.path().join("corpus/below");
    fs::create_dir_all(&below).expect("it is made");
    fs::write(below.join("parts.jsonl"), history("nonsense")).expect("it is written");
    let parts = run(&mut reprise(folder.path(), &["replay", "corpus", "corpus", "--jobs", "2", "--json"]));
    assert_eq!(parts.status, 1, "{}{}", parts.stdout, parts.stderr);
    assert_eq!(parts.json()["summary"]["surprises"], 1);
    fs::write(below.join("broken.json"), "{").expect("it is written");
    let broken = run(&mut reprise(folder.path(), &["replay", "corpus", "corpus"]));
    assert_eq!(broken.status, 65);
    assert!(broken.stdout.contains("REPLAY_UNREADABLE"), "{}", broken.stdout);
    let shipped = histories().display().to_string();
    let sound = run(&mut reprise(folder.path(), &["replay", "corpus", &shipped, "--json"]));
    assert_eq!(sound.status, 0, "{}{}", sound.stdout, sound.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_is_shown_event_by_event_with_what_changed() {
    let database = TestDatabase::create().await;
    life::live(&database).await;
    let folder = folder();
    let id = life::bot_id().to_string();
    let done = says(&database, folder.path(), &["replay", "bot", &id, "--at", "7", "--from", "7"]).await;
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    for part in ["AutomationEnabled", "state: \"LOGGED_IN\" → \"RUNNING\"", "the state then:"] {
        assert!(done.stdout.contains(part), "{part} is not in\n{}", done.stdout);
    }
    let at = ["replay", "bot", &id, "--at", "2026-03-02T12:00:00Z", "--json"];
    let told = lines(&says(&database, folder.path(), &at).await.stdout);
    let states: Vec<_> = told.iter().map(|line| line["state"]["state"].as_str().unwrap_or_default()).collect();
    assert_eq!((states[0], states.last()), ("LOGGED_OUT", Some(&"RUNNING")));
    let beyond = says(&database, folder.path(), &["replay", "bot", &id, "--from", "1000", "--json"]).await;
    assert_eq!((beyond.status, beyond.json()["error"]["code"].as_str()), (65, Some("REPLAY_NOTHING_TO_SHOW")));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_limits_show_what_they_would_have_refused() {
    let database = TestDatabase::create().await;
    life::live(&database).await;
    let folder = folder();
    fs::write(folder.path().join("limits.toml"), "like = 4\nhourly = { like = 4 }\n").expect("it is written");
    let id = life::bot_id().to_string();
    let arguments = ["replay", "what-if", &id, "--limits", "limits.toml"];
    let done = says(&database, folder.path(), &arguments).await;
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("DAY_LIMIT of LIKE in a DAY until 2026-03-11"), "{}", done.stdout);
    let told = says(&database, folder.path(), &[&arguments[..], &["--json"]].concat()).await.json();
    assert_eq!(told["totals"]["LIKE"]["asked"], life::LIKES);
    assert_eq!(told["totals"]["LIKE"]["allowed_then_suppressed"], 2);
    fs::write(folder.path().join("limits.toml"), "likes = 4\n").expect("it is written");
    let wrong = says(&database, folder.path(), &[&arguments[..], &["--json"]].concat()).await;
    assert_eq!((wrong.status, wrong.json()["error"]["code"].as_str()), (65, Some("REPLAY_LIMITS")));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_goes_into_an_empty_database_as_it_was() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    life::live(&one).await;
    let folder = folder();
    let exported = says(&one, folder.path(), &["events", "export", "--out", "all.jsonl", "--json"]).await;
    assert_eq!(exported.status, 0, "{}{}", exported.stdout, exported.stderr);
    let imported = says(&other, folder.path(), &["events", "import", "all.jsonl", "--json"]).await;
    assert_eq!(imported.status, 0, "{}{}", imported.stdout, imported.stderr);
    let (exported, imported) = (exported.json(), imported.json());
    assert_eq!((&imported["events"], &imported["streams"]), (&exported["events"], &exported["streams"]));
    assert_eq!((imported["known"].as_i64(), imported["streams"].as_i64()), (Some(0), Some(2)));
    let again = says(&other, folder.path(), &["events", "import", "all.jsonl", "--json"]).await.json();
    assert_eq!(again["known"], exported["events"]);
    let there = says(&other, folder.path(), &["events", "export"]).await.stdout;
    assert_eq!(there, fs::read_to_string(folder.path().join("all.jsonl")).expect("it is there"));
    assert_eq!(says(&other, folder.path(), &["audit", "verify"]).await.status, 0);
    let pending: i64 = sqlx::query_scalar("SELECT min(position) FROM projection_checkpoints")
        .fetch_one(other.pool())
        .await
        .expect("the reactors have begun");
    assert_eq!(Some(pending), imported["head"].as_i64(), "nothing acts on what was imported");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_export_is_refused_with_its_line_and_nothing_is_taken() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    life::live(&one).await;
    let folder = folder();
    let all = says(&one, folder.path(), &["events", "export"]).await.stdout;
    let refuse = async |text: String| {
        fs::write(folder.path().join("changed.jsonl"), text).expect("it is written");
        let done = says(&other, folder.path(), &["events", "import", "changed.jsonl", "--json"]).await;
        assert_eq!(done.status, 65, "{}{}", done.stdout, done.stderr);
        let error = done.json()["error"].clone();
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    };
    let without = |line: usize| {
        let kept = all.lines().enumerate().filter(|(number, _)| *number != line).map(|(_, text)| text);
        kept.collect::<Vec<_>>().join("\n")
    };
    let (code, message) = refuse(without(4)).await;
    assert_eq!(code, "EVENTS_GAP");
    assert!(message.contains("line 5"), "{message}");
    let (code, message) = refuse(all.replacen("AutomationEnabled", "AutomationEnebled", 2)).await;
    assert_eq!(code, "EVENTS_MALFORMED");
    assert!(message.contains("line 7"), "{message}");
    let mut first: Value = serde_json::from_str(all.lines().next().expect("a line")).expect("JSON");
    first["event_id"] = Value::from("00000000-0000-0000-0000-000000000000");
    let (code, message) = refuse(format!("{first}\n{}", without(0))).await;
    assert_eq!(code, "EVENTS_FOREIGN");
    assert!(message.contains("line 1"), "{message}");
    let head: i64 = sqlx::query_scalar("SELECT head FROM shards").fetch_one(other.pool()).await.expect("a head");
    assert_eq!(head, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_events_and_one_of_them_are_shown() {
    let database = TestDatabase::create().await;
    life::live(&database).await;
    let folder = folder();
    let bot = format!("Bot-{}", life::bot_id());
    let tail = says(&database, folder.path(), &["events", "tail", "-n", "2", "--stream", &bot]).await;
    assert_eq!((tail.status, tail.stdout.lines().count()), (0, 2), "{}{}", tail.stdout, tail.stderr);
    assert!(tail.stdout.contains("ActionPerformed"), "{}", tail.stdout);
    let shown = says(&database, folder.path(), &["events", "show", &format!("{bot}@2"), "--json"]).await.json();
    assert_eq!(shown["payload"]["username"], "mara");
    let none = says(&database, folder.path(), &["events", "show", "4711", "--json"]).await;
    assert_eq!((none.status, none.json()["error"]["code"].as_str()), (65, Some("EVENTS_NO_SUCH_EVENT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_history_is_a_file_of_a_corpus() {
    let database = TestDatabase::create().await;
    life::live(&database).await;
    let folder = folder();
    let job = format!("Job-{}", life::job_id());
    let out =
        ["events", "export", "--stream", &job, "--form", "history", "--shows", "A beginning.", "--out", "begun.json"];
    let done = says(&database, folder.path(), &out).await;
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    let corpus = run(&mut reprise(folder.path(), &["replay", "corpus", ".", "--json"]));
    assert_eq!(corpus.status, 0, "{}{}", corpus.stdout, corpus.stderr);
    let corpus = corpus.json();
    let told = &corpus["histories"][0];
    assert_eq!((told["name"].as_str(), told["expected"].as_str()), (Some("begun"), Some("open")));
    let again = says(&database, folder.path(), &out).await;
    assert_eq!(again.status, 73);
}
