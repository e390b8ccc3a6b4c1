//! Every error that can be shown has a page that says what happened and what to do, and every page an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::{error_codes, source};

fn folder() -> PathBuf {
    source::top().join("docs/errors")
}

fn pages() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    entries
        .filter_map(|entry| entry.expect("a readable folder").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect()
}

#[test]
fn every_error_code_has_a_page() {
    let pages = pages();
    let missing: Vec<String> = error_codes::of(&source::files())
        .into_iter()
        .filter(|(code, _)| !pages.contains(code))
        .map(|(code, path)| format!("docs/errors/{code}.md ({path})"))
        .collect();
    assert!(missing.is_empty(), "write these pages:\n{}", missing.join("\n"));
}

#[test]
fn every_page_belongs_to_an_error_code() {
    let codes = error_codes::of(&source::files());
    let stale: Vec<String> = pages().into_iter().filter(|page| !codes.contains_key(page)).collect();
    assert!(stale.is_empty(), "no error has these codes any more:\n{}", stale.join("\n"));
}

#[test]
fn every_page_says_what_happened_and_what_to_do() {
    for page in pages() {
        let text = fs::read_to_string(folder().join(format!("{page}.md"))).expect("a readable page");
        assert!(text.starts_with(&format!("# {page}\n")), "{page}.md starts with its code");
        for part in ["## What happened", "## What to do"] {
            let said = text.split_once(part).map_or("", |(_, rest)| rest.split("\n## ").next().unwrap_or("").trim());
            assert!(said.len() > 5, "{page}.md does not say {part:?}");
        }
    }
}
