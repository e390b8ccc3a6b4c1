//! The codes of every error, read from the source: what each `fn code` (or the `codes!` that writes one) can
//! answer, what lists of codes hold, and what failures are made with.

use std::collections::BTreeMap;

use super::source::SourceFile;

/// Every code, with a file that has it.
pub fn of(files: &[SourceFile]) -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    for file in files {
        let code = file.code();
        let answers = ["fn code(", "codes!("]
            .into_iter()
            .flat_map(|start| code.match_indices(start))
            .map(|(at, _)| body(&code[at..]));
        let lists = code.match_indices("const CODES: ").map(|(at, _)| list(&code[at..]));
        let failures = code.match_indices("Failure::new(").map(|(at, _)| first_argument(&code[at..]));
        for part in answers.chain(lists).chain(failures) {
            for word in literals(part).filter(|word| is_code(word)) {
                codes.insert(word.to_owned(), file.path.clone());
            }
        }
    }
    codes
}

/// From the first brace to the one that closes it.
fn body(text: &str) -> &str {
    let Some(start) = text.find('{') else { return "" };
    let mut depth = 0_usize;
    for (at, character) in text[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return &text[start..start + at],
            '}' => depth -= 1,
            _ => {}
        }
    }
    &text[start..]
}

/// To the end of the list.
fn list(text: &str) -> &str {
    text.split_once("];").map_or("", |(list, _)| list)
}

fn first_argument(text: &str) -> &str {
    text.split_once(',').map_or(text, |(first, _)| first)
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn is_code(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word
            .chars()
            .all(|character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
}
