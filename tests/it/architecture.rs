//! The rules of the source that no compiler holds: crate arrows, purity of the domain, sizes, documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::source::{self, CRATES, SourceFile};

/// The most lines of a file that is not only tests, its own tests not counted.
const LONGEST_FILE: usize = 500;

/// Which crates of ours a crate may use.
fn allowed_arrows() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("domain", &[][..]),
        ("store", &["domain"]),
        ("projections", &["domain", "store"]),
        ("workers", &["domain", "store", "projections"]),
        ("api", &["domain", "store", "projections"]),
        ("", &["domain", "store", "projections", "workers", "api"]),
    ])
}

fn dependencies(name: &str, table: &str) -> BTreeSet<String> {
    let manifest = source::manifest(name);
    let table = manifest.get(table).and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Lines of `files` that hold one of `words`, as `path:line: text`.
fn lines_with<'a>(files: &'a [SourceFile], part: impl Fn(&'a SourceFile) -> &'a str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let part = part(file);
        let skipped = file.text.len() - part.len();
        let first = if file.text.starts_with(part) { 0 } else { file.text[..skipped].lines().count() };
        for (index, line) in part.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            let this_file = file.path == "tests/it/architecture.rs";
            if !comment && !this_file && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.path, first + index + 1, line.trim()));
            }
        }
    }
    found
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn crates_depend_downwards_only() {
    let ours: BTreeSet<&str> = CRATES.into_iter().chain(["reprise"]).collect();
    for (name, allowed) in allowed_arrows() {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(name, table) {
                let is_ours = ours.contains(dependency.as_str());
                assert!(!is_ours || allowed.contains(&dependency.as_str()), "{name:?} must not use {dependency}");
            }
        }
    }
}

#[test]
fn domain_uses_pure_libraries_only() {
    let pure =
        ["async-trait", "chrono", "chrono-tz", "cqrs-es", "hex", "serde", "serde_json", "sha2", "thiserror", "uuid"];
    for dependency in dependencies("domain", "dependencies") {
        assert!(pure.contains(&dependency.as_str()), "the domain must not use {dependency}");
    }
}

#[test]
fn domain_has_no_clock_no_randomness_and_no_input_or_output() {
    let words = [
        "Utc::now",
        "Local::now",
        "Instant::now",
        "SystemTime",
        "now_v7",
        "new_v4",
        "rand::",
        "getrandom",
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "std::thread",
        "tokio::",
        "sqlx",
        "reqwest",
        "tracing::",
    ];
    let files = source::files_of("domain");
    assert_none(&lines_with(&files, SourceFile::code, &words), "the domain decides, and does nothing else");
}

#[test]
fn resolvers_hold_no_sql() {
    let files: Vec<SourceFile> =
        source::files_of("api").into_iter().filter(|file| file.path.contains("/graphql/")).collect();
    assert_none(&lines_with(&files, SourceFile::code, &["sqlx::"]), "queries stand beside their read model");
}

#[test]
fn every_version_is_set_in_the_root_manifest() {
    for name in CRATES {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let manifest = source::manifest(name);
            let Some(table) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for (dependency, how) in table {
                let inherited = how.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{name:?}: {dependency} must say `workspace = true`");
            }
        }
    }
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    for name in CRATES {
        let manifest = source::manifest(name);
        let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherited, Some(true), "{name:?} has no `[lints] workspace = true`");
    }
}

#[test]
fn one_sqlx_and_one_tls_provider_are_in_the_tree() {
    let lock = fs::read_to_string(source::top().join("Cargo.lock")).expect("the lock file is there");
    let count = |name: &str| lock.matches(&format!("\nname = \"{name}\"\n")).count();
    assert_eq!(count("sqlx"), 1);
    assert_eq!(count("rustls"), 1);
    assert_eq!(count("ring"), 1);
    for unwanted in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
        assert_eq!(count(unwanted), 0, "{unwanted} came into the tree");
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent: Vec<String> =
        source::files().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    assert_none(&silent, "a file starts with `//!` and a sentence");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = source::files()
        .into_iter()
        .filter(|file| !file.is_test())
        .map(|file| (file.code().lines().count(), file.path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert_none(&long, "look for the seam");
}

#[test]
fn code_that_runs_for_people_never_unwraps() {
    let words = [".unwrap()", "unimplemented!(", "todo!(", "unreachable_unchecked", "dbg!("];
    let files = source::files();
    assert_none(&lines_with(&files, SourceFile::code, &words), "return an error");
}

/// A pause is part of a poll when a deadline is looked at in the lines around it.
fn is_poll(text: &str, line: &str) -> bool {
    let number: usize = line.split(':').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    let around = text.lines().skip(number.saturating_sub(10)).take(14);
    let mut lower = around.map(str::to_lowercase);
    lower.any(|line| ["deadline", "elapsed", "timeout"].iter().any(|word| line.contains(word)))
}

#[test]
fn tests_wait_for_signals_not_for_time() {
    let files = source::files();
    let words = ["thread::sleep(", "time::sleep(", " sleep("];
    let mut found = lines_with(&files, SourceFile::tests, &words);
    found.retain(|line| !files.iter().any(|file| line.starts_with(&file.path) && is_poll(&file.text, line)));
    assert_none(&found, "await a signal, or poll with a deadline");
}

#[test]
fn ignored_tests_say_why() {
    let files = source::files();
    assert_none(&lines_with(&files, |file| file.text.as_str(), &["#[ignore]"]), "write #[ignore = \"reason\"]");
}

#[test]
fn makefile_has_every_promised_target() {
    let makefile = fs::read_to_string(source::top().join("Makefile")).expect("the Makefile is there");
    for target in ["up", "test", "check", "bench", "chaos", "demo", "schema", "help"] {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target} is missing");
    }
}

#[test]
fn every_migration_has_a_version_of_its_own() {
    let folder = fs::read_dir(source::top().join("migrations")).expect("the migrations are there");
    let paths = folder.map(|entry| entry.expect("it reads").path());
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "sql")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.split('_').next().unwrap_or_default().to_owned();
        let earlier = files.insert(version, name.clone());
        assert_eq!(earlier, None, "it has the version of {name}");
    }
}
