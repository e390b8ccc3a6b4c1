//! The contract that clients are built on: `schema.graphql` is what the code says, and every part of it is described.

use std::fs;

use crate::support::source;

#[test]
fn schema_file_is_what_the_code_says() {
    let written = fs::read_to_string(source::top().join("schema.graphql")).expect("schema.graphql is there");
    let said = api::schema_sdl();
    let differs = written.lines().zip(said.lines()).position(|(written, said)| written != said);
    assert!(
        written.trim_end() == said.trim_end(),
        "schema.graphql differs from the code, first at line {}: run `make schema` and look at the change",
        differs.map_or_else(|| written.lines().count().min(said.lines().count()) + 1, |line| line + 1),
    );
}

#[test]
fn every_type_field_and_value_is_described() {
    let sdl = api::schema_sdl();
    let mut described = false;
    let mut in_text = false;
    let mut within = String::new();
    let mut silent = Vec::new();
    for line in sdl.lines() {
        let text = line.trim();
        if in_text || text.starts_with('"') {
            in_text = if text.contains("\"\"\"") { !in_text } else { in_text };
            described = true;
            continue;
        }
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            within = text.to_owned();
        }
        let names_something = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if names_something && !within.starts_with("schema") && !described {
            silent.push(format!("{within} / {text}"));
        }
        described = false;
    }
    assert!(silent.is_empty(), "without a description:\n{}", silent.join("\n"));
}
