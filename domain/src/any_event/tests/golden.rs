//! Every event ever stored still reads: see `golden/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use cqrs_es::{Aggregate, DomainEvent};
use serde_json::Value;

use crate::any_event::AnyEvent;
use crate::bot::{
    ActionKind, Bot, BotEvent, BotState, Counter, FailureClass, LoginFailureReason, Mode, Settlement, SuppressReason,
    Window,
};
use crate::campaign::schedule::Overlap;
use crate::campaign::{Campaign, CampaignEvent, HashtagTab, Module, RunEnding};
use crate::engine::{self, Engine, EngineEvent};
use crate::job::{Job, JobChange, JobEvent, JobPriority, JobState};
use crate::user::{Role, User, UserEvent};

const ID: &str = "0195a1b2-c3d4-7e5f-8a6b-000000000001";

struct Row {
    aggregate: String,
    event: String,
    version: String,
    form: String,
    payload: Value,
}

impl Row {
    fn read(&self) -> AnyEvent {
        let id = if self.aggregate == Engine::TYPE { engine::STREAM_ID } else { ID };
        AnyEvent::decode(&self.aggregate, id, &self.event, &self.version, self.payload.clone())
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name()))
    }

    fn name(&self) -> String {
        format!("{}/{}.v{} ({})", self.aggregate, self.event, self.version, self.form)
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn rows() -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let folders = entries(&folder).into_iter().filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder));
    files.map(|file| row(&file)).collect()
}

fn row(file: &Path) -> Row {
    let aggregate = file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let name = file.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let (event, version, form) = match parts[..] {
        [event, version, "json"] => (event, version, ""),
        [event, version, form, "json"] => (event, version, form),
        _ => panic!("{name} is not named like a row"),
    };
    let version = version.strip_prefix('v').unwrap_or_else(|| panic!("{name} has no version")).to_owned();
    let payload = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    Row { aggregate, event: event.to_owned(), version, form: form.to_owned(), payload }
}

/// The event as it would be stored now.
fn written(event: &AnyEvent) -> (Value, String) {
    match event {
        AnyEvent::Bot(_, event) => (serde_json::to_value(event).unwrap(), event.event_version()),
        AnyEvent::Campaign(_, event) => (serde_json::to_value(event).unwrap(), event.event_version()),
        AnyEvent::User(_, event) => (serde_json::to_value(event).unwrap(), event.event_version()),
        AnyEvent::Job(_, event) => (serde_json::to_value(event).unwrap(), event.event_version()),
        AnyEvent::Engine(event) => (serde_json::to_value(event).unwrap(), event.event_version()),
    }
}

#[test]
fn every_row_reads_and_a_row_of_the_newest_version_writes_back_as_it_is() {
    for row in rows() {
        let event = row.read();
        assert_eq!(event.name(), row.event, "{}", row.name());
        let (payload, version) = written(&event);
        if row.version == version {
            assert_eq!(payload, row.payload, "{}", row.name());
        }
    }
}

#[test]
fn an_older_row_reads_as_the_newest_row_of_its_form() {
    let newest: BTreeMap<_, _> = rows()
        .into_iter()
        .map(|row| ((row.aggregate.clone(), row.event.clone(), row.version.clone(), row.form.clone()), row))
        .collect();
    for row in newest.values() {
        let event = row.read();
        let (_, version) = written(&event);
        let key = (row.aggregate.clone(), row.event.clone(), version, row.form.clone());
        let newest = newest.get(&key).unwrap_or_else(|| panic!("{} has no newest row", row.name()));
        assert_eq!(event, newest.read(), "{}", row.name());
    }
}

#[test]
fn every_event_has_a_row_of_its_newest_version() {
    let mut expected = BTreeSet::new();
    for (aggregate, names) in [
        (Bot::TYPE, BotEvent::NAMES),
        (Campaign::TYPE, CampaignEvent::NAMES),
        (User::TYPE, UserEvent::NAMES),
        (Job::TYPE, JobEvent::NAMES),
        (Engine::TYPE, EngineEvent::NAMES),
    ] {
        expected.extend(names.iter().map(|name| (aggregate.to_owned(), (*name).to_owned())));
    }
    let newest: BTreeSet<_> = rows()
        .into_iter()
        .filter(|row| row.form.is_empty() && written(&row.read()).1 == row.version)
        .map(|row| (row.aggregate, row.event))
        .collect();
    assert_eq!(newest, expected);
}

/// Names in stored payloads and in tables.
#[test]
fn stored_names_stay_what_they_are() {
    macro_rules! assert_names {
        ($($name:ident: $text:literal;)+) => {
            $(
                let names: Vec<&str> = $name::ALL.iter().map(|value| value.as_str()).collect();
                assert_eq!(names.join(" "), $text);
                for value in $name::ALL.iter().copied() {
                    assert_eq!(value.as_str().parse(), Ok(value));
                    assert_eq!(serde_json::to_value(value).unwrap(), value.to_string());
                }
                assert!("".parse::<$name>().is_err());
            )+
        };
    }
    assert_names! {
        BotState: "NOT_INITIALIZED LOGGED_OUT LOGGING_IN LOGGED_IN RUNNING PAUSED ERROR";
        Mode: "DRY_RUN LIVE";
        ActionKind: "FOLLOW UNFOLLOW LIKE STORY COMMENT DM";
        Counter: "FOLLOW UNFOLLOW LIKE STORY COMMENT DM REQUEST";
        Window: "HOUR DAY";
        SuppressReason:
            "SLOW_DOWN KIND_BLOCKED MODULE_STOPPED OUTSIDE_HOURS PACING HOUR_LIMIT DAY_LIMIT LIMIT_ZERO";
        LoginFailureReason:
            "WRONG_PASSWORD WRONG_TWO_FACTOR_CODE WRONG_ACCOUNT INTERRUPTED GATEWAY_UNAVAILABLE SLOW_DOWN SECRET_UNAVAILABLE OTHER";
        FailureClass:
            "PERSON_NEEDED LOGIN_ENDED ACTION_BLOCKED SLOW_DOWN SKIP_TARGET TRANSPORT SESSION_LOST CONTRACT_BROKEN UNKNOWN";
        Settlement: "PERFORMED NOT_PERFORMED";
        Module: "LIKE FOLLOW UNFOLLOW STORY_SEE STORY_LIKE COMMENT DM";
        HashtagTab: "TOP RECENT";
        RunEnding: "COMPLETED FAILED CANCELLED TERMINATED";
        Overlap: "SKIP QUEUE CANCEL_PREVIOUS";
        Role: "USER ADMIN";
        JobChange: "PAUSE RESUME CANCEL TERMINATE RETRY PRIORITIZE";
        JobPriority: "LOW NORMAL HIGH URGENT";
        JobState:
            "NOT_CREATED PENDING RUNNING PAUSED CANCELLING NEEDS_ATTENTION COMPLETED FAILED CANCELLED TERMINATED CONTINUED";
    }
}
