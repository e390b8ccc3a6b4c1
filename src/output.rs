//! What every command prints: text or one JSON object on standard output, notes and progress on standard error.
//!
//! A reader that went away (`reprise … | head`) is no error: what cannot be written is dropped.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

/// How this process talks to whoever started it.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    colour: bool,
    bars: bool,
}

impl Output {
    /// Colour and bars are for terminals only, and for none that asks for none (`NO_COLOR`).
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = io::stderr().is_terminal();
        Self { json, colour: terminal && !plain, bars: terminal && !plain && !json }
    }

    /// Whether results are JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// The command's result: the value as one line of JSON, or the text made from it.
    pub fn result<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            match serde_json::to_string(value) {
                Ok(line) => print(&line),
                Err(error) => note(format!("the result is not JSON: {error}")),
            }
        } else {
            print(&text(value));
        }
    }

    /// A bar of known length, or one that only spins (`None`); hidden when nobody watches.
    pub fn progress(self, length: Option<u64>, what: &str) -> ProgressBar {
        let (bar, template) = match length {
            Some(length) => (ProgressBar::new(length), "{msg} [{bar:32}] {human_pos}/{human_len} {per_sec} {eta}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos} {elapsed}"),
        };
        bar.set_draw_target(if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar
    }

    /// Tells a failure: with `--json` also as the one object on standard output.
    pub fn failure(self, failure: &Failure) {
        if self.json {
            let object = json!({ "error": {
                "code": failure.code,
                "message": failure.message,
                "causes": failure.causes(),
                "hint": failure.hint,
            }});
            print(&object.to_string());
            return;
        }
        let (start, end) = if self.colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{start}error[{}]{end}: {}", failure.code, failure.message);
        for cause in failure.causes() {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
        if let Some(hint) = &failure.hint {
            text.push_str("\n  what to do: ");
            text.push_str(hint);
        }
        note(text);
    }
}

/// A table without lines, as wide as the terminal.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header)
        .add_rows(rows);
    table.trim_fmt()
}

/// A line about the course of things, on standard error.
pub fn note(text: impl AsRef<str>) {
    drop(writeln!(io::stderr().lock(), "{}", text.as_ref()));
}

/// What is neither a result nor a line for people, such as a file's content.
pub fn text(text: &str) {
    print(text);
}

fn print(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}
