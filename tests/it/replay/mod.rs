//! Histories of every version, replayed over today's code; and the replay tools as a person meets them.

mod cli;
mod life;
mod recorder;
mod shipped;
mod small;

use std::fs;
use std::path::{Path, PathBuf};

use workers::job::Registry;
use workers::job::replay::{Heading, history, replay};

use crate::support::source;

/// Histories of the workflows that are shipped.
pub fn histories() -> PathBuf {
    source::top().join("tests/it/histories")
}

/// Histories of small workflows of the tests, most of which today's code parts from on purpose.
fn partings() -> PathBuf {
    source::top().join("tests/it/partings")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What is not as expected of the histories in `folder`, and how many there are.
fn surprises(registry: &Registry, folder: &Path) -> (Vec<String>, usize) {
    let files = files(folder);
    let mut surprises = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).expect("a readable file");
        let parsed = history::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for history in parsed {
            let heading = history.heading.expect("a file has one");
            match replay(registry, &history.events) {
                Ok(replayed) if heading.expect.is_met_by(&replayed) => {}
                found => {
                    let found = found.map(|replayed| replayed.verdict);
                    surprises.push(format!("{}: {:?} is expected, {found:?}", path.display(), heading.expect));
                }
            }
        }
    }
    (surprises, files.len())
}

#[test]
fn histories_of_shipped_workflows_replay_as_they_should() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = workers::replayable().expect("nothing is contacted");
    let (surprises, count) = surprises(&registry, &histories());
    assert!(surprises.is_empty(), "today's code breaks jobs that are under way:\n{}", surprises.join("\n"));
    assert!(count > 0, "there are no histories");
}

#[test]
fn every_kind_of_change_is_found_where_it_is() {
    let mut registry = Registry::default();
    for case in small::CASES {
        registry = registry.with(small::workflow(case.name, case.today));
    }
    let (surprises, count) = surprises(&registry, &partings());
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    assert!(count >= small::CASES.len(), "a case has no history: see tests/it/histories/README.md");
}

/// Histories are never written anew: one that is missing is recorded when `REPRISE_RECORD` is set.
#[tokio::test]
async fn recording_a_case_again_gives_a_history_that_its_own_code_fits() {
    let folder = partings().join(env!("CARGO_PKG_VERSION"));
    for case in small::CASES {
        let rows = recorder::record(case).await;
        let heading = Heading {
            name: case.name.to_owned(),
            workflow: case.name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shows: case.shows.to_owned(),
            expect: case.expect,
        };
        let text = history::to_file(&heading, rows).expect("it is JSON");
        let history = history::parse(&text).expect("it reads back").pop().expect("it is one");
        assert_eq!(history.heading.as_ref(), Some(&heading));
        let registry = Registry::default().with(small::workflow(case.name, case.recorded));
        let replayed = replay(&registry, &history.events).expect("it is a history");
        assert!(matches!(replayed.verdict, workers::job::replay::Verdict::Fits { .. }), "{}: {replayed:?}", case.name);
        let path = folder.join(format!("{}.json", case.name));
        if std::env::var_os("REPRISE_RECORD").is_some() && !path.exists() {
            fs::create_dir_all(&folder).expect("the folder is made");
            fs::write(&path, text).expect("the history is written");
        }
    }
}
