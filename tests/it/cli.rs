//! The command line as a person meets it: help, settings, and errors that say what to do.

use std::fs;

use tempfile::TempDir;

use crate::support::binary::{Done, reprise, run};
use crate::support::source;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn reprise_says(arguments: &[&str]) -> Done {
    run(&mut reprise(folder().path(), arguments))
}

#[test]
fn help_and_version_are_no_failure() {
    assert_eq!(reprise_says(&["--help"]).status, 0);
    let version = reprise_says(&["--version"]);
    assert_eq!((version.status, version.stdout.starts_with("reprise ")), (0, true));
}

#[test]
fn unknown_command_is_a_usage_error_with_a_suggestion() {
    let done = reprise_says(&["confg", "print"]);
    assert_eq!(done.status, 64);
    assert!(done.stderr.contains("'config'"), "{}", done.stderr);
}

#[test]
fn unknown_command_is_told_as_json_when_asked_for() {
    let done = reprise_says(&["confg", "--json"]);
    assert_eq!(done.status, 64);
    assert_eq!(done.json()["error"]["code"], "USAGE");
}

#[test]
fn variable_of_another_command_is_no_trouble() {
    let folder = folder();
    let done = run(reprise(folder.path(), &["config", "check"]).env("REPRISE_DEMO_PASSWORD", "a secret"));
    assert_eq!(done.status, 0, "{}", done.stderr);
}

#[test]
fn settings_are_listed_with_their_sources() {
    let folder = folder();
    fs::write(folder.path().join("reprise.toml"), "log = \"warn\"").expect("the file is written");
    let mut command = reprise(folder.path(), &["config", "print", "--json", "--data-dir", "kept"]);
    let rows = run(command.env("REPRISE_LISTEN", "127.0.0.1:9")).json();
    let row = |key: &str| {
        let rows = rows.as_array().expect("a list");
        rows.iter().find(|row| row["key"] == key).cloned().unwrap_or_default()
    };
    assert_eq!(row("listen")["origin"], "REPRISE_LISTEN");
    assert_eq!(row("log")["origin"], "reprise.toml");
    assert_eq!(row("data_dir")["origin"], "flag");
    let kept = folder.path().canonicalize().expect("it is there").join("kept");
    assert_eq!(row("data_dir")["value"], kept.display().to_string());
}

#[test]
fn secret_is_not_shown_anywhere() {
    let folder = folder();
    let mut command = reprise(folder.path(), &["config", "print"]);
    let done = run(command.env("DATABASE_URL", "postgres://ada:hush@localhost/reprise"));
    assert_eq!(done.status, 0);
    assert!(!done.stdout.contains("hush") && !done.stderr.contains("hush"));
}

#[test]
fn misspelt_setting_is_an_error_with_a_suggestion() {
    let folder = folder();
    fs::write(folder.path().join("reprise.toml"), "lisen = \"127.0.0.1:9\"").expect("the file is written");
    let done = run(&mut reprise(folder.path(), &["config", "check", "--json"]));
    assert_eq!(done.status, 78);
    let error = &done.json()["error"];
    assert_eq!(error["code"], "CONFIG_UNKNOWN_KEY");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("did you mean listen?")));
}

/// The README's table, between its two marks.
fn documented_settings() -> String {
    let readme = fs::read_to_string(source::top().join("README.md")).expect("the README is there");
    let after = readme.split_once("<!-- settings").expect("the first mark").1;
    after.split_once("<!-- /settings -->").expect("the second mark").0.to_owned()
}

#[test]
fn readme_lists_every_setting_as_it_is() {
    let folder = folder();
    let rows = run(&mut reprise(folder.path(), &["config", "print", "--json"])).json();
    let table = documented_settings();
    let rows = rows.as_array().expect("a list");
    for row in rows {
        let text = |field: &str| row[field].as_str().expect("a text").to_owned();
        let default = text("default");
        let default = default
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
            .map_or_else(|| format!("`{default}`"), str::to_owned);
        let line = format!("| `{}` | `{}` | {default} | {} |", text("key"), text("variable"), text("help"));
        assert!(table.contains(&line), "the README lacks:\n{line}");
    }
    let lines = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(lines, rows.len(), "the README has settings that there are not");
}
